"""The build as Dagster sees it: sealed raw tables, dbt's models, two suites of checks, the publication.

Keys of assets are those of dbt's sources, and one for all models, so that nothing is translated.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from expectations.attribution import attribution
from expectations.landed_events import landed_events
from funnelhouse.settings import Settings
from orchestration.build_inputs import MADE_FROM, SEALED, inputs_published, sealed_now
from orchestration.build_record import DBT_STEP, build_record, checked_before, made_models
from orchestration.build_resource import MODELS, PUBLICATION, RAW, Build, is_whole
from orchestration.checks import suite_check, warning_if_raising
from orchestration.dbt_command import model_seconds, results_path, test_outcomes
from orchestration.deployment import CODE, tidy_up
from orchestration.disk_space import (
    DiskFullError,
    check_space,
    engine_options,
    engine_options_beside_dbt,
    remove_spill,
    reserve_kept,
)
from orchestration.incremental import changes_of_build, mark_published
from orchestration.instance import JOB
from orchestration.manifest import DbtProjectError, model_names
from orchestration.outcome import PUBLISH_STEP
from orchestration.spark_warehouse import (
    SparkError,
    check_spark,
    is_on_spark,
    large_marts,
    remove_tables,
)
from orchestration.warehouse import WarehouseError
from publication.layout import CURRENT
from publication.postgres import publish_to_postgres
from publication.publishing import PublishError, check_current, publish, remove_leftovers
from record.contract import RAW_TABLES
from record.landing.store import LandingError
from record.retention import prune
from record.sealing import seal
from record.verifying import IncompleteRecordError, check_record

OLD_ROWS_LEAVE = dg.AssetCheckSpec(
    "old_rows_leave",
    asset=RAW["events"],
    description="Rows and answers whose time is over leave the landing store, and `rejected` the raw zone.",
)

DBT_TESTS = dg.AssetCheckSpec(
    "dbt_tests",
    asset=MODELS,
    description="dbt's tests that only warn. One that blocks fails the step, and is named by it.",
)

COPIED_TO_POSTGRES = dg.AssetCheckSpec(
    "copied_to_postgres",
    asset=PUBLICATION,
    description="The marts are in PostgreSQL too (FUNNELHOUSE_PUBLISH_POSTGRES).",
)


OWNERS = ["team:data"]

FRESH = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=1), fail_window=timedelta(days=2))
"""A day without a publication is a day without a report, or a build that fails: either is worth a look."""

BUILD_OPTIONS = {
    "full_refresh": dg.Field(bool, default_value=False, description="Build every model from nothing."),
}
"""What a run of the job may be told. The resource `build` reads it, for the run begins with it."""


def sealed_assets(settings: Settings) -> dg.AssetsDefinition:
    """The raw tables; dbt knows them as sources."""

    @dg.multi_asset(
        name="seal",
        specs=[
            dg.AssetSpec(
                RAW[table], group_name="raw", kinds={"parquet"}, owners=OWNERS, description=row.__doc__
            )
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
            if is_on_spark(settings):
                remove_tables(settings)
                check_spark(settings)
            check_space(settings, build.is_full_refresh or is_on_spark(settings))
            check_record(settings.landing_store, settings.raw_dir, time.time_ns() // 1000)
            rows = seal(settings.landing_store, settings.raw_dir)
        for table in RAW_TABLES:
            yield dg.MaterializeResult(asset_key=RAW[table], metadata={"rows_sealed": rows[table]})
        left = warning_if_raising(OLD_ROWS_LEAVE, partial(old_rows_leave, settings))
        if is_whole(context.run):
            # While Great Expectations is imported, and checks what was sealed.
            build.modelling.begin()
        yield left

    return sealed


def old_rows_leave(settings: Settings) -> dict[str, int]:
    """Forget what is not kept for ever, under the build lock; returns rows deleted per raw table.

    What is made of a damaged record is not published.
    """
    try:
        return prune(settings.landing_store, settings.raw_dir, settings.landing_days, time.time_ns() // 1000)
    except IncompleteRecordError as damaged:
        raise dg.Failure(description=str(damaged), allow_retries=False) from damaged


@contextmanager
def _in_words() -> Iterator[None]:
    """What is refused here, or by the system, fails the step with its own words: each says what to do."""
    try:
        yield
    except (
        DbtProjectError,
        DiskFullError,
        IncompleteRecordError,
        LandingError,
        OSError,
        PublishError,
        SparkError,
        WarehouseError,
    ) as refused:
        raise dg.Failure(description=str(refused), allow_retries=False) from refused


def modelled_asset(settings: Settings) -> dg.AssetsDefinition:
    """Seeds, models and dbt's tests, built by one call of dbt.

    One asset: an event for each of dbt's nodes would be a thousand per build, in a history that is kept.
    """

    @dg.multi_asset(
        name=DBT_STEP,
        specs=[
            dg.AssetSpec(
                MODELS,
                deps=list(RAW.values()),
                group_name="warehouse",
                kinds={"dbt", settings.engine},
                owners=OWNERS,
                description="Every model of dbt_project, with its tests.",
            )
        ],
        check_specs=[DBT_TESTS],
        config_schema=BUILD_OPTIONS,
        required_resource_keys={"build"},
    )
    def modelled(context: dg.AssetExecutionContext) -> Iterator[Any]:
        if not is_whole(context.run):
            # The next build starts from what this one says it has built: everything that landed.
            raise _refused("Models are built together with what they are made from and for")
        build: Build = context.resources.build
        try:
            with _in_words():
                failures = build.modelling.failures()
        finally:
            for warning in build.modelling.warnings:
                context.log.warning(warning)
        if failures:
            # A failing test fails again: trying once more would only cost minutes.
            raise dg.Failure(description="\n".join(failures), allow_retries=False)
        tests = test_outcomes(results_path(settings))
        yield dg.MaterializeResult(
            asset_key=MODELS, metadata={"seconds": sum(model_seconds(settings).values())}
        )
        yield warnings_of_dbt(tests)

    return modelled


def warnings_of_dbt(tests: list[dict[str, Any]]) -> dg.AssetCheckResult:
    """The check of dbt's tests, of a build whose blocking ones held: what the others found."""
    failed = [test for test in tests if not test["passed"]]
    return dg.AssetCheckResult(
        check_name=DBT_TESTS.name,
        asset_key=MODELS,
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        description="\n".join(
            f"{test['severity']} {test['name']}: {' '.join(test['description'].split())}" for test in failed
        ),
        metadata={"tests": len(tests)},
    )


def publication_asset(settings: Settings) -> dg.AssetsDefinition:
    """The marts as readers see them."""

    @dg.multi_asset(
        name=PUBLISH_STEP,
        specs=[
            dg.AssetSpec(
                PUBLICATION,
                deps=[MODELS],
                group_name="published",
                kinds={"duckdb"},
                owners=OWNERS,
                freshness_policy=FRESH,
                description="Every mart of one build, swapped in all at once.",
            )
        ],
        check_specs=[COPIED_TO_POSTGRES] if settings.publish_postgres else [],
        required_resource_keys={"build"},
    )
    def publication(context: dg.AssetExecutionContext) -> Iterator[Any]:
        build: Build = context.resources.build
        log = context.instance.all_logs(context.run.run_id)
        if not made_models(log):
            # What the warehouse holds may be half of another build.
            raise _refused("This run has built no models to publish")
        manifest = build.deployment.manifest()
        with _in_words():
            publication = publish(
                build.warehouse,
                settings.published_dir,
                model_names(manifest, "marts"),
                build.build_id,
                datetime.now(UTC),
                {
                    "started_at": build.started_at.isoformat(),
                    "run_id": context.run.run_id,
                    "attribution_models": model_names(manifest, "attribution"),
                    CODE: build.deployment.said(),
                    MADE_FROM: build.made_from.as_json(),
                    SEALED: sealed_now(settings),
                    **build_record(settings, build, log),
                },
                engine_options(settings),
                settings.publish_parquet,
                partial(reserve_kept, settings),
                changes_of_build(build.warehouse, manifest)
                if not is_on_spark(settings) and is_same_code(settings, build)
                else None,
                large_marts(build.warehouse.parent) if is_on_spark(settings) else None,
            )
        if is_on_spark(settings):
            remove_tables(settings)
        else:
            mark_published(build.warehouse, build.build_id)
        tidy_up(settings)
        yield dg.MaterializeResult(
            asset_key=PUBLICATION,
            metadata={
                "build_id": publication.build_id,
                "dagster/row_count": sum(publication.marts.values()),
                "rows": dg.MetadataValue.table(
                    [dg.TableRecord({"mart": mart, "rows": rows}) for mart, rows in publication.marts.items()]
                ),
            },
        )
        if settings.publish_postgres:
            # Where readers are held at an older build, PostgreSQL has that one, too.
            folder = (settings.published_dir / CURRENT).resolve()
            yield postgres_check(folder, settings.publish_postgres, settings.publish_postgres_schema)

    return publication


def is_same_code(settings: Settings, build: Build) -> bool:
    """Whether what is published was made by the code and settings of this build, and so has its form."""
    published = inputs_published(settings)
    return published is not None and published.made_with == build.made_from.made_with


def _refused(why: str) -> dg.Failure:
    return dg.Failure(description=f"{why}: run the job {JOB}.", allow_retries=False)


def postgres_check(folder: Path, url: str, schema: str) -> dg.AssetCheckResult:
    """Copy a published build to PostgreSQL. It is published whatever becomes of the copy."""
    return warning_if_raising(COPIED_TO_POSTGRES, lambda: publish_to_postgres(folder, url, schema))


def suite_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Great Expectations' two suites: of what landed, while dbt reads it, and before credit is published."""
    return [
        suite_check(
            "landed_events",
            RAW["events"],
            lambda build: landed_events(
                settings.raw_dir, build.deployment.quarantine, checked_before(settings, build)
            ),
            partial(engine_options_beside_dbt, settings),
        ),
        suite_check(
            "attribution",
            MODELS,
            lambda build: attribution(build.warehouse),
            partial(engine_options, settings),
        ),
    ]
