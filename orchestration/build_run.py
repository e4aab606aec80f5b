"""A run of the job in this process: what `orchestration.build` does when there is something to build.

Importing Dagster takes seconds, in which dbt, a child of this process, can import itself.
"""

import contextlib
import io
import logging
import threading
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace

import dagster as dg
from dagster._core.events import DagsterEventType

from funnelhouse.settings import Settings
from orchestration.build_job import build_definitions
from orchestration.build_record import seconds_by_step
from orchestration.build_report import STEPS, BuildReport, OnProgress
from orchestration.dbt_command import DbtProcess, model_seconds, node_names
from orchestration.instance import JOB, open_instance
from orchestration.outcome import check_outcomes, failures, published_id
from orchestration.spark_warehouse import is_on_spark
from orchestration.warehouse import heal, show_damage


def run_job(
    settings: Settings,
    full_refresh: bool,
    dbt: DbtProcess,
    on_progress: OnProgress | None,
    started: float,
) -> BuildReport:
    """Run the job, under the build lock, with a dbt that waits; once more where damage comes up midway.

    `started` is when the build began, by the monotonic clock. Raises WarehouseError.
    """
    with open_instance(settings) as instance, _quiet():
        progress = _Progress(
            on_progress or (lambda *_: None), len(STEPS) + len(node_names(dbt.deployment.manifest()))
        )
        definitions = build_definitions(settings, is_locked=True, on_node=progress.move, dbt=dbt)
        report = _run(settings, definitions, instance, full_refresh, progress, started)
        # What dbt did not read, the attribution suite and the publication did.
        is_suspect = not is_on_spark(settings) and show_damage(report.failures)
        healed = heal(settings.warehouse_path, is_suspect=True) if is_suspect else None
        if healed is None:
            return report
        again = _run(settings, definitions, instance, full_refresh, progress, started)
        return replace(again, warnings=(healed, *again.warnings))


def _run(
    settings: Settings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    full_refresh: bool,
    progress: "_Progress",
    started: float,
) -> BuildReport:
    job = definitions.resolve_job_def(JOB)
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, progress.listen)
    prepare_s = time.monotonic() - started
    result = job.execute_in_process(
        run_config={
            "ops": {"dbt": {"config": {"full_refresh": full_refresh}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        instance=instance,
        run_id=run_id,
        raise_on_error=False,
    )
    events = result.all_events
    return BuildReport(
        build_id=published_id(events),
        seconds={"prepare": prepare_s, **seconds_by_step(instance.all_logs(run_id))},
        model_seconds=model_seconds(settings),
        failures=failures(events),
        warnings=(*_logged_warnings(instance.all_logs(run_id)), *check_outcomes(events, "warning")),
    )


def _logged_warnings(entries: Iterable[dg.EventLogEntry]) -> list[str]:
    """What steps said beside their events, such as that a damaged warehouse was set aside."""
    return [e.user_message for e in entries if e.dagster_event is None and e.level == logging.WARNING]


class _Progress:
    """Counts the steps of a build, and the nodes of dbt, as they are done."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress = on_progress
        self._total = total
        self._done = 0
        # dbt's nodes are done in a thread of their own.
        self._moving = threading.Lock()

    def move(self, name: str) -> None:
        """One more is done."""
        with self._moving:
            self._done += 1
            self._on_progress(name, self._done, self._total)

    def listen(self, entry: dg.EventLogEntry, _cursor: str | None = None) -> None:
        """A run calls it with each of its events."""
        event = entry.dagster_event
        if event is not None and event.event_type is DagsterEventType.STEP_SUCCESS and event.step_key:
            self.move(event.step_key)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dagster's lines off the terminal: the report says what matters, in words."""
    logger = logging.getLogger("dagster")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
