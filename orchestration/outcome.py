"""What became of a build, read from the events of its run: the same words for every way to start one."""

from collections.abc import Iterable, Sequence

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster_shared.error import SerializableErrorInfo

PUBLISH_STEP = "publication"

INTERRUPTED = "The build was interrupted."


def published_id(events: Iterable[dg.DagsterEvent]) -> str | None:
    """The build id that the publication wrote down, None when it never came to that."""
    for event in events:
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.step_key == PUBLISH_STEP:
            return str(event.step_materialization_data.materialization.metadata["build_id"].value)
    return None


def failures(events: Sequence[dg.DagsterEvent]) -> tuple[str, ...]:
    """Sentences: what critical checks found, and why steps failed or the run could not begin."""
    return (*check_outcomes(events, "critical"), *_step_failures(events))


def check_outcomes(events: Iterable[dg.DagsterEvent], severity: str) -> list[str]:
    """What checks of a severity, `critical` or `warning`, found that did not hold, one line each."""
    return [
        line
        for event in events
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION
        for line in (event.asset_check_evaluation_data.description or "").splitlines()
        if line.startswith(severity)
    ]


def _step_failures(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """Why steps failed, or why the run could not begin. A blocking check's own words are with the checks."""
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
        return INTERRUPTED
    text = " ".join(error.message.split())
    kind, _, said = text.partition(": ")
    return said if said and error.cls_name is not None and kind.endswith(error.cls_name) else text
