"""What build.json says of a build besides its marts: what was checked, how long it took, what had landed."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEventType

from expectations.landed_events import Checked, checked_now
from funnelhouse.settings import Settings
from orchestration.build_resource import Build
from orchestration.dbt_command import results_path, test_outcomes
from orchestration.warehouse import currency_decimals
from publication.layout import BUILD_FILE, latest_folder

DBT_STEP = "dbt"


def build_record(settings: Settings, build: Build, entries: Iterable[dg.EventLogEntry]) -> dict[str, Any]:
    """Facts of a build that is about to be published, as JSON.

    `seconds`: wall time by step so far. `checks_passed`: how many of the expectations and dbt's tests held;
    `checks`: those that did not, each with `of` (its suite, or `dbt`), `name`, `severity`, `passed` and
    `description`. `newest_received_us`: when the newest event arrived, Unix microseconds, or null.
    `landed`: what the next build need not check again. `currency_decimals`: digits after the point that
    amounts have, of the currencies that have not two.
    """
    entries = list(entries)
    checks = [*_expectations(entries), *test_outcomes(results_path(settings))]
    landed = checked_now(settings.raw_dir, build.deployment.quarantine, checked_before(settings, build))
    return {
        "seconds": {step: round(value, 3) for step, value in seconds_by_step(entries).items()},
        "checks_passed": sum(check["passed"] for check in checks),
        "checks": [check for check in checks if not check["passed"]],
        "newest_received_us": landed.newest_received_us,
        "landed": asdict(landed),
        "currency_decimals": currency_decimals(build.warehouse),
    }


def checked_before(settings: Settings, build: Build) -> Checked | None:
    """What the publication that it follows was checked for; None for a build from nothing."""
    if build.is_full_refresh:
        return None
    try:
        published = json.loads((latest_folder(settings.published_dir) / BUILD_FILE).read_bytes())
        return Checked.from_json(published["landed"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Nothing is published, or by a version that did not keep it; or the file is damaged.
        return None


def made_models(entries: Iterable[dg.EventLogEntry]) -> bool:
    """Whether all models and their tests of this very run came to a good end."""
    return any(
        entry.step_key == DBT_STEP
        and entry.dagster_event is not None
        and entry.dagster_event.event_type is DagsterEventType.STEP_SUCCESS
        for entry in entries
    )


def seconds_by_step(entries: Iterable[dg.EventLogEntry]) -> dict[str, float]:
    """Wall seconds from start to end of each step that ran, failed ones included, in order."""
    ends = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE}
    started: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for entry in entries:
        if entry.step_key is None or entry.dagster_event is None:
            continue
        if entry.dagster_event.event_type is DagsterEventType.STEP_START:
            started[entry.step_key] = entry.timestamp
        elif entry.dagster_event.event_type in ends and entry.step_key in started:
            seconds[entry.step_key] = entry.timestamp - started[entry.step_key]
    return seconds


def _expectations(entries: Iterable[dg.EventLogEntry]) -> list[dict[str, Any]]:
    """What became of each expectation, and of each check that is none of dbt's tests."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        event = entry.dagster_event
        if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        if event.step_key == DBT_STEP:
            continue
        check = event.asset_check_evaluation_data
        table = check.metadata.get("expectations")
        if isinstance(table, dg.TableMetadataValue):
            found += [
                {
                    "of": check.check_name,
                    "name": record.data["name"],
                    "severity": record.data["severity"],
                    "passed": record.data["success"],
                    "description": record.data["observed"],
                }
                for record in table.records
            ]
        else:
            severity = "warning" if check.severity is dg.AssetCheckSeverity.WARN else "critical"
            found.append(
                {
                    "of": event.step_key,
                    "name": check.check_name,
                    "severity": severity,
                    "passed": check.passed,
                    "description": check.description,
                }
            )
    return found
