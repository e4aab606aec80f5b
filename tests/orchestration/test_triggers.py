import json
import threading
import time
from contextlib import closing
from dataclasses import replace

import dagster as dg
import pytest

from funnelhouse.last_build import read_last_build
from funnelhouse.settings import Settings
from orchestration.assets import COPIED_TO_POSTGRES
from orchestration.build_inputs import MADE_FROM, inputs_now
from orchestration.build_lock import build_lock, is_build_running
from orchestration.code_version import CodeVersion
from orchestration.deployment import Deployment, said_anew, use
from orchestration.instance import JOB, end_lost_runs, open_instance
from orchestration.triggers import arrivals_sensor, hourly_schedule
from publication.layout import BUILD_FILE
from record.contract import DAY_US
from record.landing import open_store
from record.sealing import seal


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
def stored(empty_home):
    """The home's own instance, which alone schedules take."""
    with open_instance(empty_home) as instance:
        yield instance


@pytest.fixture
def look(empty_home, instance):
    """Let the sensor look once; returns whether it asks for a build, and the cursor after it."""

    def look(cursor=None, settings=empty_home):
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        answer = arrivals_sensor(settings)(context)
        return isinstance(answer, dg.RunRequest), context.cursor

    return look


@pytest.fixture
def publish(empty_home):
    """As far as triggers see it: a publication says what it was made from."""

    def publish(made_from=None):
        folder = empty_home.published_dir / "current"
        folder.mkdir(parents=True, exist_ok=True)
        said = {MADE_FROM: (made_from or inputs_now(empty_home)).as_json()}
        (folder / BUILD_FILE).write_text(json.dumps(said))

    return publish


def tick(settings, instance):
    """What the hourly schedule answers."""
    return hourly_schedule(settings)(dg.build_schedule_context(instance=instance))


def add_run(instance, status, started, ended=None):
    """A run of the job as it stands in Dagster's storage, with times in Unix seconds."""
    run = instance.create_run_for_job(stand_in, status=status)
    with instance.run_storage.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET start_time = ?, end_time = ? WHERE run_id = ?", (started, ended, run.run_id)
        )
    return run.run_id


def test_it_asks_until_what_arrived_is_published(look, publish, empty_home, land_events, visit):
    asks, cursor = look()
    assert (asks, cursor) == (False, None)

    land_events(empty_home, visit)
    asks, cursor = look(cursor)
    assert asks
    # The build that was asked for was killed, or failed.
    assert look(cursor)[0]

    began = inputs_now(empty_home)
    land_events(empty_home, replace(visit, event_id="another"))
    publish(began)
    # What came after the build had begun.
    assert look(cursor)[0]
    publish()
    assert not look(cursor)[0]
    # Whoever built it, and whatever the cursor: a cursor may be lost.
    assert not look(None)[0]


def test_new_code_and_settings_are_something_new(look, publish, empty_home, land_events, visit):
    land_events(empty_home, visit)
    publish()
    assert not look()[0]
    assert look(settings=empty_home.model_copy(update={"publish_parquet": True}))[0]
    postgres = {"publish_postgres": "postgresql://bi:one@127.0.0.1/bi"}
    copied = empty_home.model_copy(update=postgres)
    assert look(settings=copied)[0]
    publish(inputs_now(copied))
    assert not look(settings=copied)[0]
    # Another password is none, and the publication holds no hint of it.
    other = {"publish_postgres": "postgresql://bi:two@127.0.0.1/bi"}
    assert inputs_now(empty_home.model_copy(update=other)) == inputs_now(copied)
    publish()
    # Nothing was deployed before.
    deploy(empty_home, "of these files")
    assert look()[0]
    publish()
    assert not look()[0]
    deploy(empty_home, "of other files")
    assert look()[0]


def deploy(settings, deployment_id):
    """As far as triggers see it."""
    folder = settings.deployed_dir / deployment_id
    folder.mkdir(parents=True)
    use(
        settings,
        said_anew(
            Deployment(
                folder=folder, digest="", code=CodeVersion("1"), deployed_at="", is_tested=False, parsed_by=()
            )
        ),
    )


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
    last = read_last_build(empty_home.last_build_path)
    assert (last.outcome, last.build_id) == ("failed", None)
    assert last.failures == ("The process of this build ended without a word; it was killed.",)
    # One who knows that no process runs any waits for nothing.
    end_lost_runs(empty_home, instance, besides=own, lost_after_s=0)
    assert instance.get_run_by_id(starting).status is dg.DagsterRunStatus.FAILURE


def test_killed_builds_do_not_count_their_time(look, instance, empty_home, land_events, visit):
    land_events(empty_home, visit)
    add_run(instance, dg.DagsterRunStatus.STARTED, time.time() - 36_000)
    # It is missed only now; of how long a build takes that says nothing.
    assert look()[0]


def test_failed_builds_keep_a_growing_distance_until_the_code_changes(
    look, instance, empty_home, land_events, visit
):
    land_events(empty_home, visit)
    same = inputs_now(empty_home).made_with
    for failed, ago_s, builds in [(1, 61, True), (2, 61, False), (3, 121, False), (4, 1200, True)]:
        while len(instance.get_run_ids()) < failed:
            add_run(instance, dg.DagsterRunStatus.FAILURE, time.time() - 7200, time.time() - 7199)
        newest = instance.get_run_ids()[0]
        with instance.run_storage.connect() as connection:
            times = (time.time() - ago_s, time.time() - ago_s + 1, newest)
            connection.exec_driver_sql("UPDATE runs SET start_time = ?, end_time = ? WHERE run_id = ?", times)
        assert look(same)[0] is builds
        assert look("other code")[0]


def test_the_schedule_builds_what_is_new_but_not_beside_another_build(
    empty_home, stored, publish, land_events, visit
):
    assert hourly_schedule(empty_home).cron_schedule == "0 * * * *"
    # Nothing was ever published.
    assert isinstance(tick(empty_home, stored), dg.RunRequest)
    publish()
    assert isinstance(tick(empty_home, stored), dg.SkipReason)
    land_events(empty_home, visit)
    assert isinstance(tick(empty_home, stored), dg.RunRequest)
    with build_lock(empty_home.build_lock_path):
        assert isinstance(tick(empty_home, stored), dg.SkipReason)


def test_a_publication_that_was_not_copied_is_built_again_within_the_hour(empty_home, stored, publish):
    copied = empty_home.model_copy(update={"publish_postgres": "postgresql://bi@127.0.0.1/bi"})
    publish(inputs_now(copied))
    for passed, builds in [(None, True), (False, True), (True, False), (False, True)]:
        if passed is not None:
            stored.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=COPIED_TO_POSTGRES.asset_key, check_name=COPIED_TO_POSTGRES.name, passed=passed
                )
            )
        assert isinstance(tick(copied, stored), dg.RunRequest) is builds


def test_old_rows_leave_where_nothing_is_new_and_so_nothing_is_built(
    empty_home, stored, publish, land_events, visit
):
    land_events(empty_home, replace(visit, received_us=time.time_ns() // 1000 - 40 * DAY_US))
    seal(empty_home.landing_store, empty_home.raw_dir)
    publish()
    assert isinstance(tick(empty_home, stored), dg.SkipReason)
    with closing(open_store(empty_home.landing_store)) as store:
        assert store.query("SELECT count(*) FROM events") == [(0,)]
    assert not is_build_running(empty_home.build_lock_path)


def test_both_run_from_the_start(empty_home):
    assert arrivals_sensor(empty_home).default_status is dg.DefaultSensorStatus.RUNNING
    assert hourly_schedule(empty_home).default_status is dg.DefaultScheduleStatus.RUNNING
