"""Dagster's own storage below the home folder: how it is set up, and what killed builds leave in it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from sqlalchemy import event
from sqlalchemy.engine import Engine

from funnelhouse.last_build import note_build
from funnelhouse.settings import Settings

JOB = "build"

LOCATION = "funnelhouse"
"""Dagster's name for where the job comes from."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

LOST = "funnelhouse/lost"
"""Tag of a run whose process was killed: nobody knows how long it took."""

CONFIGURATION = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    # Builds wait for each other instead of failing on the lock.
    "concurrency": {"runs": {"max_concurrent_runs": 1}},
    "run_monitoring": {"enabled": True, "start_timeout_seconds": 180},
    "retention": {
        "schedule": {"purge_after_days": 14},
        "sensor": {"purge_after_days": {"skipped": 1, "started": 14, "failure": 14, "success": 14}},
    },
}

KILLED = "The process of this build ended without a word; it was killed."

LOST_AFTER_S = 120.0
"""A run shows as started for a moment before it takes the lock; after this long it has it or is gone."""


def prepare_dagster_home(settings: Settings) -> Path:
    """Write Dagster's configuration; returns its folder, which DAGSTER_HOME must name."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "dagster.yaml"
    text = "# Written by Funnelhouse at every start.\n" + yaml.safe_dump(CONFIGURATION)
    if not file.exists() or file.read_text() != text:
        unfinished = folder / "dagster.yaml.tmp"
        unfinished.write_text(text)
        unfinished.replace(file)
    return folder


def write_workspace(settings: Settings, code_port: int) -> Path:
    """Tell Dagster's processes where the code server listens; returns the file.

    The location has a name of its own, not its port's: switches, cursors and queued runs belong to it.
    """
    file = prepare_dagster_home(settings) / "workspace.yaml"
    server = {"host": "127.0.0.1", "port": code_port, "location_name": LOCATION}
    file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return file


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance that `funnelhouse up` uses too, without capture of output: for a build in this process."""
    no_capture = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
        "config": {},
    }
    folder = str(prepare_dagster_home(settings))
    with (
        _history_without_waiting(),
        dg.DagsterInstance.from_ref(
            InstanceRef.from_dir(folder, overrides={"compute_logs": no_capture})
        ) as it,
    ):
        yield it


@contextmanager
def _history_without_waiting() -> Iterator[None]:
    """Let Dagster write its SQLite files without waiting for the disk after each of a build's entries.

    What a killed build wrote stays; a power cut may take the last entries, of a history that nothing is
    computed from. Dagster opens a file anew for each entry: one more connection, held until the end, spares
    closing it for good as often.
    """
    held: dict[str, sqlite3.Connection] = {}

    def connected(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("pragma synchronous = normal")
            path = connection.execute("pragma database_list").fetchone()[2]
            if path not in held:
                held[path] = sqlite3.connect(path, check_same_thread=False)
                # It counts as open once it has read.
                held[path].execute("select count(*) from sqlite_master").fetchone()

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)
        for connection in held.values():
            connection.close()


def make_tables(settings: Settings) -> None:
    """Make Dagster's tables where they are missing.

    Each of its processes would, all at the same moment, and all but one fail.
    """
    with open_instance(settings) as instance:
        instance.get_run_records(limit=1)
        instance.all_instigator_state()
        instance.get_asset_keys(limit=1)


def end_lost_runs(
    settings: Settings,
    instance: dg.DagsterInstance,
    besides: str = "",
    lost_after_s: float | None = None,
) -> None:
    """Mark builds as failed whose process is gone: they would hold their place in the queue for ever.

    For the holder of the build lock, or when nobody holds it: then no other build can be running. `besides`
    is the caller's own run. `lost_after_s`: a run that began later may still be about to take the lock; 0 for
    a caller who knows that no process runs any. Then a run that was only being started is lost as well, and a
    queued one will be started.
    """
    patience_s = LOST_AFTER_S if lost_after_s is None else lost_after_s
    statuses = {dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}
    if patience_s == 0:
        statuses |= {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING}
    for record in instance.get_run_records(dg.RunsFilter(job_name=JOB, statuses=list(statuses))):
        run, now = record.dagster_run, time.time()
        started = record.start_time or record.create_timestamp.timestamp()
        if run.run_id == besides or now - started < patience_s:
            continue
        instance.add_run_tags(run.run_id, {LOST: "true"})
        instance.report_run_failed(run, KILLED)
        note_build(settings.last_build_path, int(started * 1_000_000), [KILLED])
