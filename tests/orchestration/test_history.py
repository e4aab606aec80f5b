"""Dagster's history is bounded: old runs leave it with everything, and the disk gets its room back."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from orchestration import history
from orchestration.history import prune_history
from orchestration.instance import JOB, open_instance
from record.contract import DAY_US

TABLES = {
    "history/runs.db": ("runs", "run_tags"),
    "history/runs/index.db": ("event_logs", "asset_event_tags", "asset_check_executions", "asset_keys"),
}


@dg.multi_asset(
    name="nothing",
    specs=[dg.AssetSpec("thing", tags={"a": "b"})],
    check_specs=[dg.AssetCheckSpec("held", asset="thing")],
)
def nothing_to_do():
    yield dg.MaterializeResult(asset_key="thing", metadata={"much": "x" * 200_000})
    yield dg.AssetCheckResult(asset_key="thing", check_name="held", passed=True)


@pytest.fixture
def home(empty_home):
    return empty_home.model_copy(update={"history_days": 3})


@pytest.fixture
def instance(home):
    with open_instance(home) as instance:
        yield instance


def run(home, instance, began_days_ago):
    """A run that left all that runs leave, and was created some days ago; returns its id."""
    definitions = dg.Definitions([nothing_to_do], jobs=[dg.define_asset_job(JOB)])
    run_id = definitions.resolve_job_def(JOB).execute_in_process(instance=instance, tags={"c": "d"}).run_id
    output = home.dagster_home / "storage" / run_id / "compute_logs"
    output.mkdir(parents=True)
    (output / "nothing.err").write_text("much")
    created = (time.time() * 1_000_000 - began_days_ago * DAY_US) / 1_000_000
    with closing(sqlite3.connect(home.dagster_home / "history" / "runs.db")) as runs, runs:
        runs.execute(
            "update runs set create_timestamp = datetime(?, 'unixepoch') where run_id = ?", [created, run_id]
        )
    return run_id


def rows_of(home, run_ids):
    """Rows of all tables that name one of the runs, and its files."""
    found = []
    for file, tables in TABLES.items():
        with closing(sqlite3.connect(home.dagster_home / file)) as connection:
            for table in tables:
                for row in connection.execute(f"select * from {table}").fetchall():
                    found += [table for run_id in run_ids if run_id in map(str, row)]
    names = [path.name for path in home.dagster_home.rglob("*")]
    return found + [name for name in names if any(run_id in name for run_id in run_ids)]


def test_runs_older_than_the_setting_leave_nothing_and_others_all(home, instance):
    old = [run(home, instance, began_days_ago=days) for days in (5, 3.1)]
    kept = [run(home, instance, began_days_ago=days) for days in (2.9, 0)]
    before = rows_of(home, kept)
    index = home.dagster_home / "history" / "runs" / "index.db"
    size = index.stat().st_size
    prune_history(home, instance)
    assert rows_of(home, old) == []
    assert rows_of(home, kept) == before != []
    assert set(instance.get_run_ids()) == set(kept)
    assert index.stat().st_size < 0.7 * size
    assert instance.get_latest_materialization_event(dg.AssetKey("thing")).run_id == kept[-1]


def test_more_than_the_newest_are_not_kept_however_young(home, instance, monkeypatch):
    monkeypatch.setattr(history, "MOST_RUNS", 1)
    runs = [run(home, instance, began_days_ago=0) for _ in range(3)]
    prune_history(home, instance)
    assert instance.get_run_ids() == runs[-1:]


def test_a_run_that_has_not_ended_stays(home, instance):
    job = dg.Definitions([nothing_to_do], jobs=[dg.define_asset_job(JOB)]).resolve_job_def(JOB)
    running = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED).run_id
    with closing(sqlite3.connect(home.dagster_home / "history" / "runs.db")) as runs, runs:
        runs.execute("update runs set create_timestamp = '2020-01-01 00:00:00'")
    prune_history(home, instance)
    assert instance.get_run_ids() == [running]


def test_a_history_that_cannot_be_pruned_stops_no_build(home, instance):
    run(home, instance, began_days_ago=5)
    (home.dagster_home / "history" / "runs" / "index.db").write_bytes(b"no database" * 1000)
    prune_history(home, instance)


@pytest.mark.slow
def test_twenty_builds_leave_the_home_as_five_did(home_copy, land_events, visit):
    """As `funnelhouse build` and `up` do them: each has something new, which is all that may stay."""
    sizes = {}
    for number in range(1, 21):
        land_events(home_copy, replace(visit, event_id=f"more-{number}", visitor_id=f"visitor {number}"))
        subprocess.run(
            [Path(sys.executable).with_name("funnelhouse"), "build"],
            env={**os.environ, "FUNNELHOUSE_HOME": str(home_copy.home_dir)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        sizes[number] = size_without_what_landed(home_copy)
    assert sizes[20] <= 1.2 * sizes[5], sizes


def size_without_what_landed(settings):
    """Bytes on disk of all but the landing store and the record."""
    return sum(
        path.lstat().st_blocks * 512
        for path in settings.home_dir.rglob("*")
        if settings.raw_dir not in path.parents and not path.name.startswith("landing.sqlite")
    )
