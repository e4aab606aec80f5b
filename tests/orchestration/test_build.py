import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import dagster as dg
import duckdb
import pytest

from expectations.attribution import attribution
from expectations.checking import no_rows
from expectations.landed_events import landed_events
from funnelhouse.last_build import note_build, read_last_build
from funnelhouse.settings import Settings
from orchestration.build import run_build, unchanged_publication
from orchestration.build_inputs import inputs_now, inputs_published, is_unchanged
from orchestration.build_job import build_definitions
from orchestration.build_lock import is_build_running
from orchestration.dbt_command import results_path
from orchestration.deployment import deployed, prepare, use
from orchestration.incremental import seeds_are_loaded
from orchestration.instance import open_instance
from orchestration.manifest import DBT_PROJECT, model_names
from publication.publishing import publish
from record.contract import DAY_US
from record.landing import open_store
from record.landing.store import Answer
from record.sealing import seal
from record.verifying import REMEDY, check_record

BUILD = """
import sys
from pathlib import Path
from funnelhouse.settings import Settings
from orchestration.build import run_build
report = run_build(Settings(home=Path(sys.argv[1])))
print("\\n".join(report.failures))
sys.exit(0 if report.published else 1)
"""


def current(settings):
    """The build that readers see, and the rows of its marts."""
    folder = settings.published_dir / "current"
    with duckdb.connect(folder.resolve() / "marts.duckdb", read_only=True) as connection:
        names = [name for (name,) in connection.execute("show tables").fetchall()]
        rows = {name: connection.execute(f"select count(*) from {name}").fetchone()[0] for name in names}
    return folder.readlink().name, rows


def test_a_build_publishes_every_mart(built_home):
    settings, report = built_home.settings, built_home.report
    assert report.failures == ()
    assert report.published
    build_id, rows = current(settings)
    assert build_id == report.build_id
    assert set(rows) == set(model_names(deployed(settings).manifest(), "marts"))
    assert rows["fct_sessions"] == rows["fct_touches"] == rows["fct_conversions"] == 1
    assert not is_build_running(settings.build_lock_path)


@pytest.mark.parametrize("asset", ["publication", "models"])
def test_a_run_of_a_part_is_refused(home_copy, asset):
    everything = build_definitions(home_copy).resolve_implicit_global_asset_job_def()
    shown = current(home_copy)
    with open_instance(home_copy) as instance:
        run = everything.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=False
        )
    (failure,) = [e.step_failure_data for e in run.all_events if e.is_step_failure]
    assert failure.user_failure_data.description.endswith("run the job build.")
    assert current(home_copy) == shown


def test_it_takes_old_rows_out_of_the_landing_store(built_home):
    with closing(open_store(built_home.settings.landing_store)) as store:
        assert store.query("SELECT count(*) FROM events") == [(0,)]
    assert built_home.report.warnings == ()


def test_its_report_says_how_long_each_step_and_model_took(built_home):
    seconds, models = built_home.report.seconds, built_home.report.model_seconds
    assert list(seconds) == ["prepare", "seal", "landed_events", "dbt", "attribution", "publication"]
    assert all(value >= 0 for value in [*seconds.values(), *models.values()])
    assert {"stg_raw__events", "fct_attribution", "rpt_funnel_stages"} <= set(models)


def test_its_file_says_what_was_checked_and_how_long_it_took(built_home):
    folder = built_home.settings.published_dir / "current"
    said = json.loads((folder / "build.json").read_text())
    assert list(said["seconds"]) == ["seal", "landed_events", "dbt", "attribution"]
    assert said["checks"] == []
    # Every expectation of both suites, the leaving of old rows, and dbt's tests of marts and seeds.
    assert said["checks_passed"] > 100
    assert said["newest_received_us"] == 1_750_003_600_000_000
    decimals = said["currency_decimals"]
    assert (decimals["JPY"], decimals["KWD"], decimals.get("USD", 2)) == (0, 3, 2)
    assert said["landed"]["to_seq"] == 2


def test_its_end_is_written_down(built_home):
    last = read_last_build(built_home.settings.last_build_path)
    assert (last.outcome, last.build_id, last.failures) == ("published", built_home.report.build_id, ())
    assert 0 < last.started_us < last.ended_us


def test_dagster_is_told_of_it_in_a_hundred_events_at_most(built_home):
    history = built_home.settings.dagster_home / "history" / "runs"
    counts = []
    for file in history.glob("*.db"):
        with closing(sqlite3.connect(file)) as events:
            counts += events.execute("select count(*) from event_logs").fetchone()
    # Of the run, and of what all runs did to assets.
    assert len(counts) == 2
    assert 0 < min(counts) <= max(counts) <= 100


def test_nothing_is_new_after_it(built_home):
    assert inputs_published(built_home.settings) == inputs_now(built_home.settings)
    assert is_unchanged(built_home.settings)


def test_a_build_of_nothing_new_leaves_what_is_published_and_lets_old_rows_leave(home_copy):
    before, last = current(home_copy), read_last_build(home_copy.last_build_path)
    with closing(open_store(home_copy.landing_store)) as store:
        old_us = time.time_ns() // 1000 - 31 * DAY_US
        store.append([("events", [])], {0: Answer("shop", "/v1", "old", b"hash", old_us, 200, {}, b"{}")})
    report = run_build(home_copy)
    assert (report.failures, report.warnings) == ((), ())
    assert (report.is_unchanged, report.build_id, report.seconds) == (True, before[0], {})
    assert current(home_copy) == before
    assert read_last_build(home_copy.last_build_path) == last
    with closing(open_store(home_copy.landing_store)) as store:
        assert store.query("SELECT idempotency_key FROM answers") == [("new",)]


def test_a_failed_build_that_nothing_is_left_of_is_made_good_by_one_of_nothing_new(home_copy):
    note_build(home_copy.last_build_path, 1, ["The build was interrupted."])
    assert run_build(home_copy).is_unchanged
    last = read_last_build(home_copy.last_build_path)
    assert (last.outcome, last.build_id) == ("published", current(home_copy)[0])


@pytest.mark.parametrize(
    "harmed", ["landed", "sealed", "warehouse", "publication", "marts", "setting", "unpublished"]
)
def test_what_is_not_as_it_was_published_is_built(home_copy, land_events, visit, harmed):
    assert unchanged_publication(home_copy)
    settings, folder = home_copy, (home_copy.published_dir / "current").resolve()
    if harmed == "landed":
        land_events(home_copy, replace(visit, event_id="visit-2"))
    elif harmed == "sealed":
        (sealed,) = (home_copy.raw_dir / "events").glob("received_date=2*/*.parquet")
        sealed.with_name("seq-3-4.parquet").write_bytes(sealed.read_bytes())
    elif harmed == "warehouse":
        home_copy.warehouse_path.write_bytes(b"no database")
    elif harmed == "publication":
        (folder / "build.json").write_text("{")
    elif harmed == "marts":
        os.truncate(folder / "marts.duckdb", 1000)
    elif harmed == "setting":
        settings = home_copy.model_copy(update={"publish_parquet": True})
    elif harmed == "unpublished":
        with duckdb.connect(str(home_copy.warehouse_path)) as warehouse:
            warehouse.execute("update publication set is_latest_build = false")
    assert unchanged_publication(settings) is None


def test_seeds_are_loaded_only_for_other_files_or_anew(built_home):
    deployment = deployed(built_home.settings)
    assert seeds_are_loaded(built_home.settings.warehouse_path, deployment.fingerprint)
    assert not seeds_are_loaded(built_home.settings.warehouse_path, "of other files")


def test_its_progress_ends_at_the_total(built_home):
    dones = [done for _, done, _ in built_home.progress]
    totals = {total for _, _, total in built_home.progress}
    assert dones == list(range(1, len(dones) + 1))
    assert totals == {dones[-1]}
    assert built_home.progress[-1][0] == "publication"


def test_the_promises_about_money_are_tested_in_it(built_home):
    results = json.loads(results_path(built_home.settings).read_text())["results"]
    passed = {result["unique_id"].split(".")[2] for result in results if result["status"] == "pass"}
    assert {path.stem for path in (DBT_PROJECT / "tests").glob("assert_*.sql")} <= passed


def test_answers_to_repeats_are_forgotten_after_30_days(built_home):
    with closing(open_store(built_home.settings.landing_store)) as store:
        assert store.query("SELECT idempotency_key FROM answers") == [("new",)]


@pytest.mark.long
def test_without_any_data_it_publishes_empty_marts(empty_home):
    report = run_build(empty_home)
    assert report.failures == ()
    _, rows = current(empty_home)
    assert rows
    assert set(rows.values()) == {0}


@pytest.mark.slow
def test_an_expectation_that_raises_stops_it(home_copy, monkeypatch):
    def nonsense(path):
        suite = attribution(path)
        raising = no_rows("asks_for_nonsense", "critical", "credits", "select no_such_column from {batch}")
        return replace(suite, expectations=[*suite.expectations, raising])

    before = current(home_copy)
    monkeypatch.setattr("orchestration.assets.attribution", nonsense)
    report = run_build(home_copy, full_refresh=True)
    assert not report.published
    [failure] = report.failures
    assert failure.startswith("critical asks_for_nonsense: could not run")
    assert "attribution" in report.seconds
    assert "publication" not in report.seconds
    assert current(home_copy) == before


def test_an_expectation_of_what_landed_that_fails_stops_it_and_dbt(
    home_copy, land_events, visit, monkeypatch
):
    def refusing(*arguments):
        suite = landed_events(*arguments)
        batch = suite.expectations[-1].of
        everything = no_rows("nothing_ever_lands", "critical", batch, "select 1 as row_found from {batch}")
        return replace(suite, expectations=[*suite.expectations, everything])

    before = current(home_copy)
    land_events(home_copy, replace(visit, event_id="visit-2"))
    monkeypatch.setattr("orchestration.assets.landed_events", refusing)
    report = run_build(home_copy)
    [failure] = report.failures
    assert failure.startswith("critical nothing_ever_lands: ")
    assert list(report.seconds) == ["prepare", "seal", "landed_events"]
    assert current(home_copy) == before
    # Its dbt, which had begun, has ended.
    assert not is_build_running(home_copy.build_lock_path)


@pytest.mark.long
def test_a_failing_dbt_test_stops_it_and_is_named(home_copy, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "tests" / "assert_nothing_ever_lands.sql").write_text(
        "select event_id from {{ ref('stg_raw__events') }}"
    )
    for module in ("manifest", "extensions", "deployment"):
        monkeypatch.setattr(f"orchestration.{module}.DBT_PROJECT", project)
    before = current(home_copy)
    # Saved, and not deployed.
    assert run_build(home_copy).is_unchanged
    use(home_copy, prepare(home_copy))
    report = run_build(home_copy)
    assert not report.published
    [failure] = report.failures
    assert failure.startswith("dbt test assert_nothing_ever_lands: Got 2 results")
    last = read_last_build(home_copy.last_build_path)
    assert (last.outcome, last.build_id, last.failures) == ("failed", None, report.failures)
    assert current(home_copy) == before


def test_a_hole_in_the_record_stops_it_before_anything_is_sealed(home_copy, land_events, visit):
    before = current(home_copy)
    (sealed,) = (home_copy.raw_dir / "events").glob("received_date=2*/*.parquet")
    away = sealed.rename(home_copy.home_dir / sealed.name)
    land_events(home_copy, replace(visit, event_id="visit-2"))
    report = run_build(home_copy)
    assert not report.published
    assert report.failures == (
        f"{home_copy.raw_dir / 'events'} has no file of the positions 1 to 2: is its disk mounted?",
        REMEDY,
    )
    assert list(report.seconds) == ["prepare", "seal"]
    assert list((home_copy.raw_dir / "events").glob("received_date=2*/*.parquet")) == []
    away.rename(sealed)
    check_record(home_copy.landing_store, home_copy.raw_dir, time.time_ns() // 1000)
    assert current(home_copy) == before


def test_a_record_that_turns_out_damaged_while_old_rows_leave_stops_it(home_copy, land_events, visit):
    land_events(home_copy, replace(visit, event_id="visit-2"))
    seal(home_copy.landing_store, home_copy.raw_dir)
    (sealed,) = (home_copy.raw_dir / "events").glob("received_date=2*/seq-3-3.parquet")
    times, content = sealed.stat(), bytearray(sealed.read_bytes())
    content[60] ^= 1
    sealed.write_bytes(content)
    os.utime(sealed, ns=(times.st_atime_ns, times.st_mtime_ns))
    report = run_build(home_copy)
    assert report.failures == (f"{sealed} is not what was sealed: its content has changed.", REMEDY)
    with closing(open_store(home_copy.landing_store)) as store:
        assert store.query("SELECT count(*) FROM events") == [(1,)]


def test_without_disk_space_it_does_not_begin(home_copy, land_events, visit):
    land_events(home_copy, replace(visit, event_id="visit-2"))
    report = run_build(home_copy.model_copy(update={"keep_free": 10**18}))
    [failure] = report.failures
    assert failure.startswith(f"The disk of {home_copy.home_dir} has ")
    assert list((home_copy.raw_dir / "events").glob("*/seq-3-3.parquet")) == []


def test_when_disk_space_runs_out_it_ends_and_leaves_nothing_behind(
    home_copy, land_events, visit, monkeypatch
):
    land_events(home_copy, replace(visit, event_id="visit-2"))
    before, files = current(home_copy), sorted(home_copy.published_dir.iterdir())
    log = home_copy.home_dir / "warehouse.duckdb.wal"
    monkeypatch.setattr("orchestration.disk_space._free", lambda _: 10**8 if log.exists() else 10**12)
    report = run_build(home_copy)
    [failure] = report.failures
    assert failure.startswith("The build was ended: less than 1,000 MB were free")
    assert "attribution" not in report.seconds
    assert (current(home_copy), sorted(home_copy.published_dir.iterdir())) == (before, files)
    assert not is_build_running(home_copy.build_lock_path)


def test_a_publication_that_is_a_folder_stops_it_at_once(home_copy):
    link = home_copy.published_dir / "current"
    build = link.readlink()
    link.unlink()
    shutil.copytree(home_copy.published_dir / build, link)
    report = run_build(home_copy)
    [failure] = report.failures
    assert failure.startswith(f"{link} is not a link to a build")
    assert report.seconds == {}


def test_an_emptied_landing_store_stops_it(home_copy):
    home_copy.landing_path.write_bytes(b"")
    [failure] = run_build(home_copy).failures
    assert failure.startswith(f"{home_copy.landing_path} is empty: ")
    assert home_copy.landing_path.stat().st_size == 0


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    home = Settings(home=tmp_path / "file" / "home")
    [failure] = run_build(home).failures
    assert failure.startswith(f"{home.home_dir} cannot be used: ")


def flip_bits_of_a_model(path, model):
    """In a block of its rows, which nobody reads who only opens the file."""
    with duckdb.connect(str(path), read_only=True) as opened:
        blocks = opened.execute(
            f"select distinct block_id from pragma_storage_info('{model}') where block_id >= 0"
        ).fetchall()
    content = bytearray(path.read_bytes())
    for (block,) in blocks:
        content[12_288 + block * 262_144 + 20] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def troubled(built_home, tmp_path_factory, land_events, visit):
    """A home, and the report of its second build, in which much went wrong that stops none: of what is edited
    since the first, nothing can even be parsed."""
    broken = tmp_path_factory.mktemp("edited")
    (broken / "models").mkdir()
    (broken / "dbt_project.yml").write_text("name: [")
    (broken / "models" / "fct_conversions.sql").write_text("select {% if")
    home = Settings(home=tmp_path_factory.mktemp("troubled") / "home")
    shutil.copytree(built_home.settings.home_dir, home.home_dir, symlinks=True)
    sale = replace(visit, kind="conversion", name="purchase", event_id="sale")
    land_events(home, replace(visit, event_id="visit-2", visitor_id="bob's browser"))
    land_events(home, replace(visit, event_id="bad", occurred_us=visit.occurred_us // 1_000_000))
    land_events(home, replace(sale, amount_text="1" * 30, amount_unit="major"))
    land_events(home, replace(sale, amount_text="5", amount_unit="major"))
    flip_bits_of_a_model(home.warehouse_path, "fct_sessions")
    # Files that only spare time: a build does without them.
    (home.published_dir / "current" / "build.json").write_text("{")
    (home.home_dir / "dbt" / "build" / "run_results.json").write_bytes(b"broken")
    deployed(home).partial_parse.write_bytes(b"broken")

    def full(*_):
        raise OSError("no space left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestration.assets.prune", full)
        for module in ("manifest", "extensions", "deployment"):
            patch.setattr(f"orchestration.{module}.DBT_PROJECT", broken)
        return home, run_build(home)


@pytest.mark.long
def test_what_need_not_stop_it_is_a_warning(troubled):
    home, report = troubled
    assert report.failures == ()
    assert current(home)[0] == report.build_id
    assert sorted(warning.partition(" (")[0].partition(":")[0] for warning in report.warnings) == [
        f"{home.warehouse_path} was damaged",
        "warning occurred_us_lies_in_2000_to_2100",
        "warning old_rows_leave",
    ]


@pytest.mark.long
def test_what_is_saved_and_not_deployed_changes_nothing(troubled, built_home):
    home, report = troubled
    assert report.published
    first, second = (
        json.loads((each.published_dir / "current" / "build.json").read_text())["code"]
        for each in (built_home.settings, home)
    )
    assert first == second == deployed(home).said()


@pytest.mark.long
def test_old_rows_that_could_not_leave_stay_and_are_said(troubled):
    home, report = troubled
    assert "warning old_rows_leave: no space left" in report.warnings
    with closing(open_store(home.landing_store)) as store:
        assert store.query("SELECT count(*) FROM events") == [(4,)]


@pytest.mark.long
def test_rows_that_no_rule_can_use_are_set_aside_and_said(troubled):
    marts = troubled[0].published_dir / "current" / "marts.duckdb"
    with duckdb.connect(str(marts.resolve()), read_only=True) as published:
        trust = published.sql(
            "select detail, occurrences from rpt_data_trust where measure = 'events_set_aside' order by all"
        ).fetchall()
        # What is set aside takes nobody's event id.
        sold = published.sql("select amount_minor from fct_conversions where event_id = 'sale'").fetchall()
    assert trust == [("amount_unreadable", 1), ("time_out_of_range", 1)]
    assert sold == [(500,)]


@pytest.mark.long
def test_damage_that_comes_up_midway_heals_in_the_same_build(troubled):
    home, report = troubled
    [said] = [warning for warning in report.warnings if " was damaged " in warning]
    assert said.startswith(f"{home.warehouse_path} was damaged (IO Error: Corrupt database file")
    assert home.warehouse_path.with_name("warehouse.duckdb.damaged").exists()
    assert current(home)[1]["fct_sessions"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_warehouse_that_was_cut_is_built_anew(home_copy, land_events, visit, kept):
    land_events(home_copy, replace(visit, event_id="visit-2", visitor_id="bob's browser"))
    os.truncate(home_copy.warehouse_path, int(home_copy.warehouse_path.stat().st_size * kept))
    report = run_build(home_copy)
    assert report.failures == ()
    assert [warning.partition(" (")[0] for warning in report.warnings] == [
        f"{home_copy.warehouse_path} was damaged"
    ]
    assert current(home_copy)[1]["fct_sessions"] == 2


@pytest.mark.slow
def test_damage_that_only_the_publication_reads_heals_in_the_same_build(home_copy, monkeypatch):
    harmed = []

    def harm_then_publish(path, *arguments):
        if not harmed:
            harmed.append(path)
            flip_bits_of_a_model(path, "fct_conversions")
        return publish(path, *arguments)

    monkeypatch.setattr("orchestration.assets.publish", harm_then_publish)
    report = run_build(home_copy, full_refresh=True)
    assert report.failures == ()
    assert [warning.partition(" (")[0] for warning in report.warnings] == [
        f"{home_copy.warehouse_path} was damaged"
    ]
    assert current(home_copy)[0] == report.build_id


def test_while_another_build_runs_it_says_so_and_harms_nothing(home_copy):
    hold = (
        "import sys, time; from pathlib import Path; from orchestration.build_lock import build_lock\n"
        "with build_lock(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    before = current(home_copy)
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(home_copy.build_lock_path)], stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        report = run_build(home_copy)
        assert not report.published
        [failure] = report.failures
        assert failure.startswith(f"A build is running: process {other.pid} holds ")
        # It was none, so the last one is still the one before.
        assert read_last_build(home_copy.last_build_path).outcome == "published"
        assert is_build_running(home_copy.build_lock_path)
    finally:
        other.kill()
        other.wait()
    assert current(home_copy) == before


@pytest.mark.long
def test_killed_midway_it_leaves_the_last_publication_and_the_next_one_works(
    home_copy, land_events, visit, monkeypatch
):
    monkeypatch.setattr("orchestration.instance.LOST_AFTER_S", 0.0)
    before = current(home_copy)
    land_events(home_copy, replace(visit, event_id="visit-2", visitor_id="bob's browser"))
    results = results_path(home_copy)
    results.unlink()
    killed = subprocess.Popen([sys.executable, "-c", BUILD, str(home_copy.home_dir)], start_new_session=True)
    try:
        wait_for(lambda: (home_copy.home_dir / "warehouse.duckdb.wal").exists())
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    # Its dbt goes on alone.
    assert is_build_running(home_copy.build_lock_path)
    assert current(home_copy) == before

    # The next build waits for a minute by itself: less than a busy machine may need.
    wait_for(lambda: not is_build_running(home_copy.build_lock_path))
    report = run_build(home_copy)
    assert report.failures == ()
    build_id, rows = current(home_copy)
    assert build_id == report.build_id
    assert rows["fct_sessions"] == 2
    with open_instance(home_copy) as instance:
        statuses = [run.status for run in instance.get_runs()]
    # Newest first; the killed one is not left in the queue.
    assert statuses == [
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.SUCCESS,
    ]


@pytest.mark.long
def test_interrupted_it_ends_its_dbt_and_says_so(home_copy, land_events, visit):
    before = current(home_copy)
    land_events(home_copy, replace(visit, event_id="visit-2"))
    build = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(home_copy.home_dir)], stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: (home_copy.home_dir / "warehouse.duckdb.wal").exists())
    build.send_signal(signal.SIGTERM)
    said, _ = build.communicate(timeout=30)
    assert build.returncode == 1
    assert said.splitlines()[-1] == "The build was interrupted."
    assert read_last_build(home_copy.last_build_path).failures == ("The build was interrupted.",)
    # Its dbt was told to end too, and may take a moment over the query that it is in.
    wait_for(lambda: not is_build_running(home_copy.build_lock_path))
    assert current(home_copy) == before


def wait_for(condition, within_s=180):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
