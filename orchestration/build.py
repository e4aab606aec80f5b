"""One build in this process: the very job that Dagster schedules, without its servers."""

import contextlib
import io
import logging
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster_shared.error import SerializableErrorInfo

from funnelhouse.settings import Settings
from orchestration.build_job import build_definitions
from orchestration.build_lock import BuildRunningError, build_lock
from orchestration.build_record import DBT_STEP, seconds_by_step
from orchestration.dbt_command import model_seconds
from orchestration.instance import JOB, open_instance
from orchestration.manifest import DbtProjectError
from orchestration.warehouse import WarehouseError, heal, show_damage

PUBLISH_STEP = "publication"

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
    started = time.monotonic()
    try:
        # Taken before the run begins, so that a build that may not run leaves no failed run behind.
        with build_lock(settings.build_lock_path), open_instance(settings) as instance, _quiet():
            definitions = build_definitions(settings, is_locked=True)
            report = _run(settings, definitions, instance, full_refresh, on_progress, started)
            # What dbt did not read, the attribution suite and the publication did.
            healed = heal(settings.warehouse_path, is_suspect=True) if show_damage(report.failures) else None
            if healed is None:
                return report
            again = _run(settings, definitions, instance, full_refresh, on_progress, started)
            return replace(again, warnings=(healed, *again.warnings))
    except (BuildRunningError, DbtProjectError, WarehouseError) as refused:
        return BuildReport(failures=(str(refused),))
    except OSError as refused:
        return BuildReport(failures=(f"{settings.home_dir} cannot be used: {refused}",))


def _run(
    settings: Settings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    full_refresh: bool,
    on_progress: OnProgress | None,
    started: float,
) -> BuildReport:
    job = definitions.resolve_job_def(JOB)
    run_id = str(uuid.uuid4())
    if on_progress is not None:
        instance.add_event_listener(run_id, _progress_listener(job, on_progress))
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
        build_id=_published_id(events),
        seconds={"prepare": prepare_s, **seconds_by_step(instance.all_logs(run_id))},
        model_seconds=model_seconds(settings),
        failures=(*_suite_outcomes(events, "critical"), *_step_failures(events)),
        warnings=(
            *_logged_warnings(instance.all_logs(run_id)),
            *_suite_outcomes(events, "warning"),
            *_dbt_warnings(events),
        ),
    )


def _progress_listener(job: dg.JobDefinition, on_progress: OnProgress) -> Callable[[dg.EventLogEntry], None]:
    """Counts assets and checks as they are done; a run calls it with each of its events."""
    layer = job.asset_layer
    total = len(list(layer.executable_asset_keys)) + len(list(layer.asset_graph.asset_check_keys))
    done = 0

    def listen(entry: dg.EventLogEntry, _cursor: str | None = None) -> None:
        nonlocal done
        event = entry.dagster_event
        if event is None:
            return
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            done += 1
            on_progress(event.asset_key.to_user_string(), done, total)
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            done += 1
            on_progress(event.asset_check_evaluation_data.check_name, done, total)

    return listen


def _published_id(events: Iterable[dg.DagsterEvent]) -> str | None:
    """The build id that the publication wrote down, None when it never came to that."""
    for event in events:
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.step_key == PUBLISH_STEP:
            return str(event.step_materialization_data.materialization.metadata["build_id"].value)
    return None


def _suite_outcomes(events: Iterable[dg.DagsterEvent], severity: str) -> list[str]:
    """What the suites said of their expectations that failed, one line each."""
    return [
        line
        for event in events
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION and event.step_key != DBT_STEP
        for line in (event.asset_check_evaluation_data.description or "").splitlines()
        if line.startswith(severity)
    ]


def _logged_warnings(entries: Iterable[dg.EventLogEntry]) -> list[str]:
    """What steps said beside their events, such as that a damaged warehouse was set aside."""
    return [e.user_message for e in entries if e.dagster_event is None and e.level == logging.WARNING]


def _dbt_warnings(events: Iterable[dg.DagsterEvent]) -> list[str]:
    """dbt's tests that failed and only warn. Those that block are in the words of dbt's step."""
    return [
        f"dbt test {event.asset_check_evaluation_data.check_name} warns"
        for event in events
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION
        and event.step_key == DBT_STEP
        and not event.asset_check_evaluation_data.passed
        and event.asset_check_evaluation_data.severity is dg.AssetCheckSeverity.WARN
    ]


def _step_failures(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """Why steps failed, or why the run could not begin. A blocking check's own words are with the suites."""
    steps = [event.step_failure_data for event in events if event.event_type is DagsterEventType.STEP_FAILURE]
    if not steps:
        runs = [e.job_failure_data for e in events if e.event_type is DagsterEventType.RUN_FAILURE]
        return [_root(data.error) for data in runs if data.error is not None]
    failures: list[str] = []
    for data in steps:
        if data.user_failure_data is not None:
            failures += (data.user_failure_data.description or "").splitlines()
        elif data.error is not None and data.error.cls_name != "DagsterAssetCheckFailedError":
            failures.append(_root(data.error))
    return failures


def _root(error: SerializableErrorInfo) -> str:
    """Message of the first cause, without its class: Dagster wraps what a step raised."""
    while error.cause is not None:
        error = error.cause
    if error.cls_name == "DagsterExecutionInterruptedError":
        return "The build was interrupted."
    text = " ".join(error.message.split())
    kind, _, said = text.partition(": ")
    return said if said and error.cls_name is not None and kind.endswith(error.cls_name) else text


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep dbt's and Dagster's lines off the terminal: the report says what matters, in words.

    dagster_dbt prints every line of dbt; the file `dbt.log` in dbt's folder has them too.
    """
    logger = logging.getLogger("dagster")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
