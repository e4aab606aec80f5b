"""One build in this process: the very job that Dagster schedules, without its servers."""

import time

from funnelhouse.last_build import note_build, read_last_build
from funnelhouse.settings import Settings
from orchestration.build_inputs import is_unchanged
from orchestration.build_lock import BuildRunningError, build_lock
from orchestration.build_report import BuildReport, OnProgress
from orchestration.dbt_command import warm_dbt
from orchestration.deployment import deployed_or_first, import_deployed
from orchestration.extensions import ExtensionError
from orchestration.incremental import holds_publication
from orchestration.manifest import DbtProjectError
from orchestration.spark_warehouse import SparkError, is_on_spark
from orchestration.warehouse import WarehouseError
from publication.layout import latest_folder, read_build
from publication.publishing import PublishError, check_whole, remove_leftovers
from record.landing.store import LandingError
from record.retention import prune
from record.verifying import IncompleteRecordError, check_record


def run_build(
    settings: Settings, full_refresh: bool = False, on_progress: OnProgress | None = None
) -> BuildReport:
    """Seal, build, check and publish in this process; where nothing is new, only old rows leave.

    Nothing is raised for what can go wrong with data, SQL, or another build that is running: the report says
    it, and the last publication stays. `full_refresh` builds every model from nothing, whatever is new.
    """
    started, started_us = time.monotonic(), time.time_ns() // 1000
    try:
        # Taken before the run begins, so that a build that may not run leaves no failed run behind.
        with build_lock(settings.build_lock_path):
            if not full_refresh and (published := unchanged_publication(settings)):
                return _unchanged(settings, published, started_us)
            deployment = deployed_or_first(settings)
            with warm_dbt(settings, deployment) as dbt:
                import_deployed(deployment)
                from orchestration.build_run import run_job

                return run_job(settings, full_refresh, dbt, on_progress, started)
    except BuildRunningError as refused:
        return BuildReport(failures=(str(refused),))
    except (ExtensionError, IncompleteRecordError) as broken:
        failed = tuple(str(broken).splitlines())
    except (DbtProjectError, LandingError, PublishError, SparkError, WarehouseError) as broken:
        failed = (str(broken),)
    except OSError as refused:
        failed = (f"{settings.home_dir} cannot be used: {refused}",)
    note_build(settings.last_build_path, started_us, failed)
    return BuildReport(failures=failed)


def unchanged_publication(settings: Settings) -> str | None:
    """Id of the last publication, when it is what a build would make now; else None.

    Nothing landed since, code and settings are the same, its files and DuckDB's warehouse are whole, and it
    is wherever it is to be copied to. The caller holds the build lock. Raises LandingError.
    """
    published = read_build(latest_folder(settings.published_dir))
    if published is None or not is_unchanged(settings):
        return None
    if not check_whole(settings.published_dir):
        return None
    if not is_on_spark(settings) and not holds_publication(settings.warehouse_path):
        return None
    if settings.publish_postgres:
        from orchestration.instance import open_instance
        from orchestration.triggers import is_copied

        with open_instance(settings) as instance:
            if not is_copied(settings, instance):
                return None
    return published.build_id


def _unchanged(settings: Settings, build_id: str, started_us: int) -> BuildReport:
    """Let old rows leave. Raises IncompleteRecordError when the record has a hole."""
    remove_leftovers(settings.published_dir)
    check_record(settings.landing_store, settings.raw_dir, started_us)
    warnings = []
    try:
        prune(settings.landing_store, settings.raw_dir, settings.landing_days, started_us)
    except IncompleteRecordError:
        raise
    except Exception as error:
        warnings.append(f"warning old_rows_leave: {error}")
    last = read_last_build(settings.last_build_path)
    # A build that failed is made good: what it was of is gone, and what is published holds.
    if last is None or last.build_id != build_id:
        note_build(settings.last_build_path, started_us, (), build_id)
    return BuildReport(build_id=build_id, is_unchanged=True, warnings=tuple(warnings))
