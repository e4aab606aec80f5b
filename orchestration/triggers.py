"""What starts a build: something is new since the last publication."""

import time

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from funnelhouse.settings import Settings
from orchestration.assets import COPIED_TO_POSTGRES, old_rows_leave
from orchestration.build_inputs import inputs_now, inputs_published
from orchestration.build_lock import BuildRunningError, build_lock, is_build_running
from orchestration.instance import JOB, LOST, UNFINISHED, end_lost_runs
from orchestration.pace import LOOK_EVERY_S, shortest_interval_s

LONGEST_INTERVAL_S = 3600.0
"""After failed builds the interval doubles up to here."""

MOST_DOUBLINGS = 6


def arrivals_sensor(settings: Settings) -> dg.SensorDefinition:
    """Builds when the publication is not made from what is there now: what landed, code, settings.

    What is published counts, never what was seen or asked for: so a build that was killed or failed is begun
    again, and one from the command line is not repeated. At most one build every `max(60 s, twice the last
    build)`, from start to start; each failed one in a row doubles that, until the code changes, which the
    cursor is for. It only looks at the landing store
    and at build.json: never at the warehouse.
    """

    @dg.sensor(
        name="arrivals",
        job_name=JOB,
        minimum_interval_seconds=LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def arrivals(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if is_build_running(settings.build_lock_path):
            return dg.SkipReason("A build is running.")
        end_lost_runs(settings, context.instance)
        wanted, published = inputs_now(settings), inputs_published(settings)
        if published == wanted or (published is None and not wanted.landed):
            return dg.SkipReason("Nothing is new since the last publication.")
        if context.instance.get_run_records(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED), limit=1):
            return dg.SkipReason("A build is about to run.")
        wait_s = _seconds_until_next_build(context.instance, time.time(), context.cursor == wanted.made_with)
        if wait_s > 0:
            return dg.SkipReason(f"Something is new; the next build may start in {wait_s:.0f} s.")
        context.update_cursor(wanted.made_with)
        return dg.RunRequest()

    return arrivals


def hourly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Builds every hour where anything is new; also when the last publication could not be copied.

    Where nothing is, old rows leave the landing store without a build.
    """

    @dg.schedule(
        name="hourly",
        job_name=JOB,
        cron_schedule="0 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if is_build_running(settings.build_lock_path):
            return dg.SkipReason("A build is running.")
        if inputs_published(settings) != inputs_now(settings) or not is_copied(settings, context.instance):
            return dg.RunRequest()
        try:
            with build_lock(settings.build_lock_path, is_inherited=False):
                old_rows_leave(settings)
        except BuildRunningError:
            return dg.SkipReason("A build is running.")
        return dg.SkipReason("Nothing is new since the last publication.")

    return hourly


def is_copied(settings: Settings, instance: dg.DagsterInstance) -> bool:
    """Whether the last publication is wherever it is to be copied to."""
    if not settings.publish_postgres:
        return True
    key = COPIED_TO_POSTGRES.key
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    return found is not None and found.status is AssetCheckExecutionRecordStatus.SUCCEEDED


def _seconds_until_next_build(instance: dg.DagsterInstance, now: float, is_same_code: bool) -> float:
    """`now` is in Unix seconds. The last build counts whoever started it; a failed one too."""
    records = instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=MOST_DOUBLINGS + 1)
    if not records:
        return 0.0
    last = records[0]
    started = last.start_time or last.create_timestamp.timestamp()
    # When a killed one was missed says nothing of how long a build takes.
    took = 0.0 if LOST in last.dagster_run.tags else (last.end_time or now) - started
    failed = 0
    while failed < len(records) and records[failed].dagster_run.status is not dg.DagsterRunStatus.SUCCESS:
        failed += 1
    shortest = shortest_interval_s(took)
    doubled = shortest * 2 ** max(0, failed - 1) if is_same_code else shortest
    return started + min(doubled, max(LONGEST_INTERVAL_S, shortest)) - now
