import threading
import time
from dataclasses import replace

import dagster as dg
import pytest

from funnelhouse.settings import Settings
from orchestration.build_lock import build_lock
from orchestration.instance import JOB, end_lost_runs
from orchestration.triggers import arrivals_sensor, hourly_schedule


@dg.op
def nothing_to_do():
    pass


@dg.job(name=JOB)
def stand_in():
    nothing_to_do()


@pytest.fixture
def empty_home(location, tmp_path):
    """A home in which nothing has landed, with each kind of landing store in turn."""
    return Settings(home=tmp_path / "home", landing=location if isinstance(location, str) else "")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def look(empty_home, instance):
    """Let the sensor look once; returns whether it asks for a build, and the cursor after it."""

    def look(cursor=None):
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        answer = arrivals_sensor(empty_home)(context)
        return isinstance(answer, dg.RunRequest), context.cursor

    return look


def add_run(instance, status, started, ended=None):
    """A run of the job as it stands in Dagster's storage, with times in Unix seconds."""
    run = instance.create_run_for_job(stand_in, status=status)
    with instance.run_storage.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET start_time = ?, end_time = ? WHERE run_id = ?", (started, ended, run.run_id)
        )
    return run.run_id


def test_it_builds_once_for_what_arrived(look, empty_home, land_events, visit):
    asks, cursor = look()
    assert (asks, cursor) == (False, None)

    land_events(empty_home, visit)
    asks, cursor = look(cursor)
    assert asks
    assert look(cursor) == (False, cursor)

    land_events(empty_home, replace(visit, event_id="another"))
    asks, later = look(cursor)
    assert asks
    assert later != cursor


def test_a_landing_store_without_rows_starts_nothing(look, empty_home, land_events):
    land_events(empty_home)
    assert look() == (False, None)


def test_it_does_not_open_the_warehouse(look, empty_home, land_events, visit):
    land_events(empty_home, visit)
    empty_home.home_dir.mkdir(exist_ok=True)
    empty_home.warehouse_path.write_bytes(b"no database")
    assert look()[0]


def test_while_a_build_holds_the_lock_it_waits_and_keeps_the_cursor(look, empty_home, land_events, visit):
    land_events(empty_home, visit)
    done, taken = threading.Event(), threading.Event()

    def build():
        with build_lock(empty_home.build_lock_path):
            taken.set()
            done.wait(30)

    builder = threading.Thread(target=build)
    builder.start()
    try:
        assert taken.wait(10)
        assert look("before") == (False, "before")
    finally:
        done.set()
        builder.join()
    assert look("before")[0]


@pytest.mark.parametrize(
    ("began_ago_s", "took_s", "builds"),
    [(30, 5, False), (61, 5, True), (100, 60, False), (121, 60, True)],
    ids=["within a minute", "after a minute", "within twice the last build", "after twice the last build"],
)
def test_builds_keep_their_distance(
    look, instance, empty_home, land_events, visit, began_ago_s, took_s, builds
):
    land_events(empty_home, visit)
    began = time.time() - began_ago_s
    add_run(instance, dg.DagsterRunStatus.SUCCESS, began, began + took_s)
    asks, cursor = look("before")
    assert asks is builds
    assert (cursor == "before") is not builds


def test_it_does_not_ask_twice_while_a_build_is_about_to_run(look, instance, empty_home, land_events, visit):
    land_events(empty_home, visit)
    instance.create_run_for_job(stand_in, status=dg.DagsterRunStatus.NOT_STARTED)
    assert look("before") == (False, "before")


def test_a_build_that_was_killed_does_not_hold_its_place_for_ever(empty_home, instance):
    lost = add_run(instance, dg.DagsterRunStatus.STARTED, time.time() - 600)
    starting = add_run(instance, dg.DagsterRunStatus.STARTED, time.time() - 1)
    own = add_run(instance, dg.DagsterRunStatus.STARTED, time.time() - 600)
    end_lost_runs(empty_home, instance, besides=own)
    statuses = [instance.get_run_by_id(run_id).status for run_id in (lost, starting, own)]
    assert statuses == [
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.STARTED,
    ]


def test_the_schedule_builds_every_hour_but_not_beside_another_build(empty_home):
    schedule = hourly_schedule(empty_home)
    assert schedule.cron_schedule == "0 * * * *"
    assert isinstance(schedule(dg.build_schedule_context()), dg.RunRequest)
    with build_lock(empty_home.build_lock_path):
        assert isinstance(schedule(dg.build_schedule_context()), dg.SkipReason)


def test_both_run_from_the_start(empty_home):
    assert arrivals_sensor(empty_home).default_status is dg.DefaultSensorStatus.RUNNING
    assert hourly_schedule(empty_home).default_status is dg.DefaultScheduleStatus.RUNNING
