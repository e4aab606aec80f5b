"""One build in this process: the very job that Dagster schedules, without its servers."""

import contextlib
import io
import logging
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import dagster as dg
from dagster._core.events import DagsterEventType

from funnelhouse.settings import Settings
from orchestration.build_job import build_definitions
from orchestration.build_lock import BuildRunningError, build_lock
from orchestration.build_record import seconds_by_step
from orchestration.dbt_command import model_seconds, node_names
from orchestration.instance import JOB, open_instance
from orchestration.manifest import DbtProjectError, load_manifest
from orchestration.outcome import check_outcomes, failures, note_build, published_id
from orchestration.warehouse import WarehouseError, heal, show_damage

STEPS = ("seal", "landed_events", "dbt", "attribution", "publication")
"""In the order in which they run."""

OnProgress = Callable[[str, int, int], None]
"""Called with what was just done, how many things are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What became of a build.

    `seconds`: wall time by step, in the order they ran (`prepare`, `seal`, `landed_events`, `dbt`,
    `attribution`, `publication`), failed steps included. `model_seconds`: dbt's own time by model and seed.
    `failures` and `warnings` are sentences. `build_id` is None unless it was published.
    """

    build_id: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    model_seconds: dict[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether readers see this build."""
        return self.build_id is not None


def run_build(
    settings: Settings, full_refresh: bool = False, on_progress: OnProgress | None = None
) -> BuildReport:
    """Seal, build, check and publish in this process.

    Nothing is raised for what can go wrong with data, SQL, or another build that is running: the report says
    it, and the last publication stays. `full_refresh` builds every model from nothing.
    """
    started, started_us = time.monotonic(), time.time_ns() // 1000
    try:
        # Taken before the run begins, so that a build that may not run leaves no failed run behind.
        with build_lock(settings.build_lock_path), open_instance(settings) as instance, _quiet():
            total = len(STEPS) + len(node_names(load_manifest(settings)))
            progress = _Progress(on_progress or (lambda *_: None), total)
            definitions = build_definitions(settings, is_locked=True, on_node=progress.move)
            report = _run(settings, definitions, instance, full_refresh, progress, started)
            # What dbt did not read, the attribution suite and the publication did.
            healed = heal(settings.warehouse_path, is_suspect=True) if show_damage(report.failures) else None
            if healed is None:
                return report
            again = _run(settings, definitions, instance, full_refresh, progress, started)
            return replace(again, warnings=(healed, *again.warnings))
    except BuildRunningError as refused:
        return BuildReport(failures=(str(refused),))
    except (DbtProjectError, WarehouseError) as broken:
        failed = str(broken)
    except OSError as refused:
        failed = f"{settings.home_dir} cannot be used: {refused}"
    note_build(settings, started_us, [failed])
    return BuildReport(failures=(failed,))


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

    def move(self, name: str) -> None:
        """One more is done."""
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
