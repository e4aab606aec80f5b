"""What makes a Dagster run a build: it holds the build lock from before its first step to after its last."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from funnelhouse.last_build import note_build
from funnelhouse.settings import Settings
from orchestration.build_inputs import BuildInputs, inputs_now
from orchestration.build_lock import build_lock
from orchestration.dbt_command import DbtProcess, Modelling
from orchestration.deployment import Deployment, deployed_or_first
from orchestration.history import prune_history
from orchestration.instance import JOB, end_lost_runs
from orchestration.outcome import failures, published_id
from orchestration.spark_warehouse import warehouse_of
from publication.layout import new_build_id
from record.contract import RAW_TABLES

RAW = {table: dg.AssetKey(["raw", table]) for table in RAW_TABLES}
MODELS = dg.AssetKey("models")
PUBLICATION = dg.AssetKey("publication")

SUITES = {
    "landed_events": dg.AssetCheckKey(RAW["events"], "landed_events"),
    "attribution": dg.AssetCheckKey(MODELS, "attribution"),
}
"""The checks by Great Expectations: nothing is published without them."""


@dataclass(frozen=True, slots=True)
class Build:
    """The build that a run is: its id, when it started (UTC), whether it builds everything from nothing, what
    it is made from, and what with. `modelling` makes its models; `warehouse` is the DuckDB file that shows
    their tables.
    """

    build_id: str
    started_at: datetime
    is_full_refresh: bool
    made_from: BuildInputs
    deployment: Deployment
    modelling: Modelling
    warehouse: Path


def is_whole(run: dg.DagsterRun) -> bool:
    """Whether a run is the whole build: all assets of its job, with both suites."""
    assets, checks = run.asset_selection, run.asset_check_selection
    return (
        run.job_name == JOB
        and (not assets or assets >= {*RAW.values(), MODELS, PUBLICATION})
        and (checks is None or checks >= set(SUITES.values()))
    )


def build_resource(
    settings: Settings,
    is_locked: bool,
    on_node: Callable[[str], None] | None = None,
    dbt: DbtProcess | None = None,
) -> dg.ResourceDefinition:
    """Resource `build`, needed by every step. The in-process executor enters it once, before any of them, and
    leaves it after the last: then what became of the build is written down.

    `is_locked`: this process took the lock already, before it started the run. `on_node` is told the name of
    each model, seed and test that is done. `dbt` was started before it is needed.
    """

    @dg.resource
    @contextmanager
    def build(context: dg.InitResourceContext) -> Iterator[Build]:
        instance, run = context.instance, context.run
        if instance is None or run is None:
            raise dg.DagsterInvariantViolationError("A build is a run of the job, in an instance.")
        started_us = time.time_ns() // 1000
        with nullcontext() if is_locked else build_lock(settings.build_lock_path):
            end_lost_runs(settings, instance, besides=run.run_id)
            prune_history(settings, instance)
            started_at = datetime.now(UTC)
            # The one place in which a run is told, by whoever starts it.
            told: Any = run.run_config
            is_full_refresh = bool(
                told.get("ops", {}).get("dbt", {}).get("config", {}).get("full_refresh", False)
            )
            deployment = dbt.deployment if dbt is not None else deployed_or_first(settings)
            build_id = new_build_id(started_at)
            modelling = Modelling(
                settings, deployment, is_full_refresh, on_node or (lambda _: None), dbt, build_id
            )
            try:
                yield Build(
                    build_id=build_id,
                    started_at=started_at,
                    is_full_refresh=is_full_refresh,
                    # Before anything is sealed: what lands from here on is the next build's.
                    made_from=inputs_now(settings, deployment),
                    deployment=deployment,
                    modelling=modelling,
                    warehouse=warehouse_of(settings, build_id),
                )
            finally:
                modelling.stop()
                if is_whole(run):
                    log = instance.all_logs(run.run_id)
                    events = [entry.dagster_event for entry in log if entry.dagster_event is not None]
                    note_build(settings.last_build_path, started_us, failures(events), published_id(events))

    return build
