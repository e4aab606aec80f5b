"""Everything that Dagster is told: one job over all assets and checks, and what starts it."""

from collections.abc import Callable

import dagster as dg

from funnelhouse.settings import Settings
from orchestration.assets import modelled_asset, publication_asset, sealed_assets, suite_checks
from orchestration.build_resource import build_resource
from orchestration.dbt_command import DbtProcess
from orchestration.instance import JOB
from orchestration.triggers import arrivals_sensor, hourly_schedule


def build_definitions(
    settings: Settings,
    is_locked: bool = False,
    on_node: Callable[[str], None] | None = None,
    dbt: DbtProcess | None = None,
) -> dg.Definitions:
    """Definitions of the build of one home.

    `is_locked`: this process holds the build lock already. `on_node` is told each of dbt's nodes when it is
    done. `dbt` is one that waits to be used.
    """
    # In one process: the lock is held by whoever runs the steps, and there is one warehouse to write.
    job = dg.define_asset_job(
        JOB,
        description="Seal what landed, build the models, check, publish. Set full_refresh to rebuild whole.",
        selection=dg.AssetSelection.all(),
        executor_def=dg.in_process_executor,
        # Every event is in Dagster's storage; the log of the code server needs only what went wrong.
        config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
    )
    return dg.Definitions(
        assets=[
            sealed_assets(settings),
            modelled_asset(settings),
            publication_asset(settings),
        ],
        asset_checks=suite_checks(settings),
        jobs=[job],
        sensors=[arrivals_sensor(settings)],
        schedules=[hourly_schedule(settings)],
        # Whatever is run beside the job: the lock is held for a whole run only where that is one process.
        executor=dg.in_process_executor,
        resources={"build": build_resource(settings, is_locked, on_node, dbt)},
    )
