"""The build as Dagster sees it: sealed raw tables, dbt's models, two suites of checks, the publication.

Keys of assets are those that dagster_dbt gives to sources and models, so that nothing is translated.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from expectations.attribution import attribution
from expectations.landed_events import landed_events
from funnelhouse.contract import RAW_TABLES
from funnelhouse.landing.store import LandingError
from funnelhouse.settings import Settings
from ingest_api.retention import forget
from ingest_api.sealing import seal
from ingest_api.verifying import IncompleteRecordError, check_record
from orchestration.build_record import build_record, checked_before, made_models
from orchestration.build_resource import Build
from orchestration.checks import suite_check, warning_if_raising
from orchestration.dbt_command import run_dbt
from orchestration.disk_space import DiskFullError, check_space, engine_options, remove_spill, reserve_kept
from orchestration.instance import JOB
from orchestration.manifest import Manifest, model_names
from orchestration.postgres_publishing import publish_to_postgres
from orchestration.publishing import PublishError, check_current, publish, remove_leftovers
from orchestration.quarantine import QUARANTINE
from orchestration.rebuilding import mark_published
from orchestration.warehouse import WarehouseError

RAW_EVENTS = dg.AssetKey(["raw", "events"])
FCT_ATTRIBUTION = dg.AssetKey("fct_attribution")

PUBLICATION = dg.AssetKey("publication")

OLD_ROWS_LEAVE = dg.AssetCheckSpec(
    "old_rows_leave",
    asset=RAW_EVENTS,
    description="Rows and answers whose time is over leave the landing store, and `rejected` the raw zone.",
)


COPIED_TO_POSTGRES = dg.AssetCheckSpec(
    "copied_to_postgres",
    asset=PUBLICATION,
    description="The marts are in PostgreSQL too (FUNNELHOUSE_PUBLISH_POSTGRES).",
)


class BuildOptions(dg.Config):
    """What a run of the job may be told."""

    full_refresh: bool = False


def sealed_assets(settings: Settings) -> dg.AssetsDefinition:
    """The raw tables; dbt knows them as sources."""

    @dg.multi_asset(
        name="seal",
        specs=[
            dg.AssetSpec(["raw", table], group_name="raw", kinds={"parquet"}, description=row.__doc__)
            for table, row in RAW_TABLES.items()
        ],
        check_specs=[OLD_ROWS_LEAVE],
        required_resource_keys={"build"},
    )
    def sealed(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        build: Build = context.resources.build
        with _in_words():
            check_current(settings.published_dir)
            remove_leftovers(settings.published_dir)
            remove_spill(settings)
            check_space(settings, build.is_full_refresh)
            check_record(settings.landing_store, settings.raw_dir, time.time_ns() // 1000)
            rows = seal(settings.landing_store, settings.raw_dir)
        for table in RAW_TABLES:
            yield dg.MaterializeResult(asset_key=["raw", table], metadata={"rows_sealed": rows[table]})
        yield warning_if_raising(OLD_ROWS_LEAVE, partial(_forget_old_rows, settings))

    return sealed


def _forget_old_rows(settings: Settings) -> dict[str, int]:
    """Rows that left the landing store, by raw table. What is made of a damaged record is not published."""
    try:
        return forget(settings.landing_store, settings.raw_dir, settings.landing_days, time.time_ns() // 1000)
    except IncompleteRecordError as damaged:
        raise dg.Failure(description=str(damaged), allow_retries=False) from damaged


@contextmanager
def _in_words() -> Iterator[None]:
    """What is refused here, or by the system, fails the step with its own words: each says what to do."""
    try:
        yield
    except (
        DiskFullError,
        IncompleteRecordError,
        LandingError,
        OSError,
        PublishError,
        WarehouseError,
    ) as refused:
        raise dg.Failure(description=str(refused), allow_retries=False) from refused


def modelled_assets(settings: Settings, manifest: Manifest) -> dg.AssetsDefinition:
    """Seeds and models, with dbt's tests as their checks: one asset, because each dbt call costs seconds."""

    @dbt_assets(name="dbt", manifest=manifest, required_resource_keys={"build", "dbt"})
    def modelled(context: dg.AssetExecutionContext, config: BuildOptions) -> Iterator[Any]:
        if context.is_subset:
            # The next build starts from what this one says it has built: everything that landed.
            raise dg.Failure(
                description=f"Models are built together: run the job {JOB}.", allow_retries=False
            )
        with _in_words():
            yield from run_dbt(settings, context.resources.dbt, context, config.full_refresh)

    return modelled


def publication_asset(settings: Settings, manifest: Manifest) -> dg.AssetsDefinition:
    """The marts as readers see them."""
    marts = model_names(manifest, "marts")
    attribution_models = model_names(manifest, "attribution")

    @dg.asset(
        deps=marts,
        group_name="published",
        kinds={"duckdb"},
        required_resource_keys={"build"},
        check_specs=[COPIED_TO_POSTGRES] if settings.publish_postgres else [],
    )
    def publication(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        """Every mart of one build, swapped in all at once."""
        build: Build = context.resources.build
        log = context.instance.all_logs(context.run.run_id)
        if not made_models(log):
            # What the warehouse holds may be half of another build.
            raise dg.Failure(
                description=f"This run has built no models to publish: run the job {JOB}.",
                allow_retries=False,
            )
        with _in_words():
            publication = publish(
                settings.warehouse_path,
                settings.published_dir,
                marts,
                build.build_id,
                datetime.now(UTC),
                {
                    "started_at": build.started_at.isoformat(),
                    "run_id": context.run.run_id,
                    "attribution_models": attribution_models,
                    **build_record(settings, build, log),
                },
                engine_options(settings),
                settings.publish_parquet,
                partial(reserve_kept, settings),
            )
        mark_published(settings.warehouse_path)
        copied = (
            [postgres_check(publication.folder, settings.publish_postgres, settings.publish_postgres_schema)]
            if settings.publish_postgres
            else []
        )
        return dg.MaterializeResult(
            metadata={"build_id": publication.build_id, "rows": publication.marts}, check_results=copied
        )

    return publication


def postgres_check(folder: Path, url: str, schema: str) -> dg.AssetCheckResult:
    """Copy a published build to PostgreSQL. It is published whatever becomes of the copy."""
    return warning_if_raising(COPIED_TO_POSTGRES, lambda: publish_to_postgres(folder, url, schema))


def suite_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Great Expectations' two suites: before dbt reads what landed, and before credit is published."""
    engine = partial(engine_options, settings)
    return [
        suite_check(
            "landed_events",
            RAW_EVENTS,
            lambda build: landed_events(settings.raw_dir, QUARANTINE, checked_before(settings, build)),
            engine,
        ),
        suite_check("attribution", FCT_ATTRIBUTION, lambda _: attribution(settings.warehouse_path), engine),
    ]
