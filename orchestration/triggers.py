"""What starts a build: something arrived, or an hour has passed."""

import json
import time
from contextlib import closing

import dagster as dg

from funnelhouse.landing import open_existing
from funnelhouse.settings import Settings
from orchestration.build_lock import is_build_running
from orchestration.instance import JOB, end_lost_runs

LOOK_EVERY_S = 10
SHORTEST_INTERVAL_S = 60.0

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def arrivals_sensor(settings: Settings) -> dg.SensorDefinition:
    """Builds when the landing store has grown. The cursor is the position that the last build was asked for.

    At most one build every `max(60 s, twice the last build)`, from start to start, so that builds leave at
    least half of the machine's time. It only looks at the landing store: never at the warehouse.
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
        end_lost_runs(context.instance)
        landed = _landed(settings)
        if landed == (context.cursor or _NOTHING):
            return dg.SkipReason("Nothing has arrived since the last build.")
        if context.instance.get_run_records(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED), limit=1):
            return dg.SkipReason("A build is about to run.")
        wait_s = _seconds_until_next_build(context.instance, time.time())
        if wait_s > 0:
            return dg.SkipReason(f"Something arrived; the next build may start in {wait_s:.0f} s.")
        context.update_cursor(landed)
        return dg.RunRequest()

    return arrivals


def hourly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Builds every hour, whatever arrived: it catches up on a build that failed."""

    @dg.schedule(
        name="hourly",
        job_name=JOB,
        cron_schedule="0 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def hourly() -> dg.RunRequest | dg.SkipReason:
        if is_build_running(settings.build_lock_path):
            return dg.SkipReason("A build is running.")
        return dg.RunRequest()

    return hourly


_NOTHING = json.dumps({})


def _landed(settings: Settings) -> str:
    """Position of the landing store, as text; that of an empty store while there is none."""
    store = open_existing(settings.landing_store)
    if store is None:
        return _NOTHING
    with closing(store):
        position = {table: last for table, last in store.sealable().items() if last > (0, 0)}
    return json.dumps(position, sort_keys=True)


def _seconds_until_next_build(instance: dg.DagsterInstance, now: float) -> float:
    """`now` is in Unix seconds. The last build counts whoever started it; a failed one too."""
    last = instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=1)
    if not last or last[0].start_time is None:
        return 0.0
    started = last[0].start_time
    duration = (last[0].end_time or now) - started
    return started + max(SHORTEST_INTERVAL_S, 2 * duration) - now
