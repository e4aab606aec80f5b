"""Nothing acknowledged is lost or counted twice, whenever ingest or the sealer is killed.

A client's ledger is compared with the record after many kills. Planted faults show that the comparison can
fail: each runs the same system with one function replaced.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from dbt_cli import run_dbt
from ledger import Ledger, Traffic, gaps, send_until, violations
from postgres import Cluster
from seeds import a_seed
from servers import free_port

from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from record.landing import Location, open_store
from record.landing.store import LandingError
from record.sealing import seal

pytestmark = pytest.mark.slow

SENDERS = 8

# Both wait, with everything imported, for a line: a killed one is followed by the next at once.
INGEST = """
import sys
import ingest_api.app
from funnelhouse.settings import Settings
from ingest_api.server import serve
{fault}
sys.stdin.readline()
serve(Settings())
"""

SEALER = """
import sys, time
from funnelhouse.settings import Settings
from record import sealing
sealing.RANGE_ROWS = 300
settings = Settings()
{fault}
print("ready", flush=True)
sys.stdin.readline()
while True:
    sealing.seal(settings.landing_store, settings.raw_dir)
    time.sleep(0.02)
"""

ACKNOWLEDGE_BEFORE_COMMIT = """
import asyncio
from ingest_api.group_commit import GroupCommit
waiting, submit = set(), GroupCommit.submit
async def answered_at_once(self, table, rows, size):
    task = asyncio.ensure_future(submit(self, table, rows, size))
    waiting.add(task)
    return 1
GroupCommit.submit = answered_at_once
"""

SEAL_WITHOUT_HORIZON = """
from record.landing import postgres
postgres.HORIZON = "pg_snapshot_xmax(pg_current_snapshot())"
"""

# No fault, but a longer moment in which a transaction can be overtaken.
SLOW_COMMITS = """
import random, time
from contextlib import contextmanager
from record.landing.postgres import PostgresStore
rest = PostgresStore._rest_of_transaction
@contextmanager
def slow_rest(self):
    with rest(self):
        yield
        time.sleep(random.choice((0, 0, 1)))
PostgresStore._rest_of_transaction = slow_rest
"""

# After a crash it takes all that is not sealed, instead of the committed range; and it is killed right
# behind committing one.
REPLAY_WITHOUT_POSITIONS = """
import os, signal
from dataclasses import replace
from record.landing.sqlite import SqliteStore
unfinished_ranges = SqliteStore.unfinished_ranges
def all_that_is_not_sealed(self, table):
    last = self.sealable()[table]
    for opened in unfinished_ranges(self, table):
        opened = replace(opened, last=last)
        yield replace(opened, row_count=sum(count for _, count in self.range_days(opened)))
SqliteStore.unfinished_ranges = all_that_is_not_sealed
started = time.monotonic()
def step(name):
    if name == "range committed" and time.monotonic() > started + 0.3:
        os.kill(os.getpid(), signal.SIGKILL)
sealing._step = step
"""


class House:
    """Ingest processes and a sealer over one landing store, of which each can be killed and replaced."""

    def __init__(self, home: Path, location: Location, ingest_fault: str = "", seal_fault: str = "") -> None:
        landing = location if isinstance(location, str) else ""
        self.settings = Settings(home=home, landing=landing)
        with closing(open_store(self.settings.landing_store)) as store:
            self.headers = {"Authorization": f"Bearer {create_key(store, 'crash', ['ingest'])}"}
            self.headers["x-api-key"] = self.headers["Authorization"].removeprefix("Bearer ")
            set_access(store, "crash", postbacks="open")
        # The empty files, which a sealer would begin with.
        seal(self.settings.landing_store, self.settings.raw_dir)
        # Several ingest processes need PostgreSQL.
        self.ports = [free_port() for _ in range(2 if landing else 1)]
        self._ingest_code = INGEST.format(fault=ingest_fault)
        self._sealer_code = SEALER.format(fault=seal_fault)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = (home / "log").open("ab")

    def __enter__(self) -> "House":
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                kill(process)
        self._log.close()

    def prepare_ingest(self, port: int) -> subprocess.Popen[bytes]:
        """An ingest process of `port` that `begin` will set going."""
        return self._prepare(self._ingest_code, subprocess.DEVNULL, {"FUNNELHOUSE_INGEST_PORT": str(port)})

    def prepare_sealer(self) -> subprocess.Popen[bytes]:
        """A sealer that `begin` will set going; says so when it has imported everything."""
        return self._prepare(self._sealer_code, subprocess.PIPE, {})

    def _prepare(self, code: str, stdout: int, extra: dict[str, str]) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "FUNNELHOUSE_HOME": str(self.settings.home_dir),
            "FUNNELHOUSE_LANDING": self.settings.landing,
            "FUNNELHOUSE_POSTBACK_RATE_LIMIT": "off",
            **extra,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=self._log,
        )
        self._processes.append(process)
        return process


def begin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 of the whole group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


async def _until_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/ingest/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)
    raise AssertionError("ingest did not become ready")


class Run:
    """Traffic on a house, while its processes are killed."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.ledger = Ledger()
        self.rng = random.Random(seed)
        self.ingest_kills = 0
        self.sealer_kills = 0

    async def under_traffic(self, work: Callable[["Run"], Any]) -> None:
        """Send until `work` is done; at its end, and at its begin, all ingest processes are ready."""
        self.ingest = [self.house.prepare_ingest(port) for port in self.house.ports]
        for process in self.ingest:
            begin(process)
        for port in self.house.ports:
            await _until_ready(port)
        stopped = asyncio.Event()
        traffic = Traffic(self.ledger, self.rng, "crash")
        senders = [
            asyncio.create_task(
                send_until(stopped, self.ledger, self.rng, traffic, self._url, self.house.headers)
            )
            for _ in range(SENDERS)
        ]
        try:
            await work(self)
        finally:
            stopped.set()
            await asyncio.gather(*senders)

    def _url(self) -> str:
        return f"http://127.0.0.1:{self.rng.choice(self.house.ports)}"

    async def kill_ingest(self, times: int) -> None:
        """Kill one of the ingest processes, now and then all, at random moments; the next follow at once."""
        ports = self.house.ports
        for _ in range(times):
            hit = [self.rng.randrange(len(ports))] if self.rng.random() < 0.8 else list(range(len(ports)))
            following = [self.house.prepare_ingest(ports[number]) for number in hit]
            await asyncio.sleep(self.rng.uniform(0.1, 0.9))
            for number in hit:
                await asyncio.to_thread(kill, self.ingest[number])
                self.ingest_kills += 1
            for number, process in zip(hit, following, strict=True):
                begin(process)
                self.ingest[number] = process
            for number in hit:
                await _until_ready(ports[number])

    async def kill_sealers(self, least: int, until: "asyncio.Task[None]") -> None:
        """Let sealers run and kill each at a random moment, `least` times and until the task has ended."""
        following = self.house.prepare_sealer()
        while self.sealer_kills < least or not until.done():
            process, following = following, self.house.prepare_sealer()
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
            begin(process)
            await asyncio.sleep(self.rng.uniform(0.1, 3.0))
            await asyncio.to_thread(kill, process)
            self.sealer_kills += 1

    def sealed(self) -> list[tuple[int, str, str]]:
        """The record after a last, whole sealing: seq, event id and payload of each row."""
        seal(self.house.settings.landing_store, self.house.settings.raw_dir)
        return self.record()

    def files(self) -> int:
        """How many files the record of events has."""
        return len(list(self.house.settings.raw_dir.glob("events/*/*.parquet")))

    def record(self) -> list[tuple[int, str, str]]:
        """The record as it is."""
        files = self.house.settings.raw_dir / "events" / "*" / "*.parquet"
        return duckdb.sql(
            f"SELECT seq, event_id, payload FROM read_parquet('{files}') ORDER BY seq"
        ).fetchall()


def test_sixty_kills_lose_nothing_and_count_nothing_twice(location: Location, tmp_path: Path) -> None:
    if isinstance(location, Path):
        # Where the settings have it.
        location = tmp_path / "home" / "landing.sqlite"
    with House(tmp_path / "home", location) as house:
        run = Run(house, a_seed())

        async def work(run: Run) -> None:
            kills = asyncio.create_task(run.kill_ingest(60))
            await run.kill_sealers(20, kills)
            await kills

        asyncio.run(run.under_traffic(work))
        files = run.files()
        rows = run.sealed()
    print(run.ingest_kills, run.sealer_kills, files, len(rows), run.ledger.answers)
    assert run.ingest_kills >= 60
    assert run.sealer_kills >= 20
    # They were killed while they sealed, not before.
    assert files > 20
    assert len(run.ledger.acknowledged()) > 1000
    assert run.ledger.answers["lost answer"] > 20
    assert violations(run.ledger, [row[1:] for row in rows]) == []
    assert gaps([row[0] for row in rows]) == []

    built = run_dbt(
        house.settings,
        *("build", "--indirect-selection", "cautious", "--exclude-resource-type", "unit_test"),
        *("--select", "+int_events_in_work"),
    )
    assert built.returncode == 0, built.stdout[-8000:]
    with duckdb.connect(house.settings.warehouse_path, read_only=True) as warehouse:
        modelled = warehouse.execute("SELECT event_id FROM int_events_in_work").fetchall()
    event_ids = {event_id for _, event_id, _ in rows}
    assert sorted(event_id for (event_id,) in modelled) == sorted(event_ids)
    assert len({payload for _, _, payload in rows}) == len(event_ids)


def found_in(home: Path, location: Location, kills: int, **faults: str) -> list[str]:
    """What the ledger has against a house with a planted fault, after some kills of ingest and sealers."""
    with House(home, location, **faults) as house:
        run = Run(house, a_seed())

        async def work(run: Run) -> None:
            killing = asyncio.create_task(run.kill_ingest(kills))
            await run.kill_sealers(0, killing)
            await killing

        asyncio.run(run.under_traffic(work))
        assert run.files() > 1
        try:
            rows = run.sealed()
        except (LandingError, RuntimeError):
            # Sealing may have noticed by itself, and refuse to go on.
            rows = run.record()
        return violations(run.ledger, [row[1:] for row in rows])


def test_the_ledger_finds_an_acknowledgement_before_the_commit(tmp_path: Path) -> None:
    home = tmp_path / "home"
    found = found_in(home, home / "landing.sqlite", 12, ingest_fault=ACKNOWLEDGE_BEFORE_COMMIT)
    assert any(violation.startswith("lost: ") for violation in found)


@pytest.mark.parametrize("fault", [SEAL_WITHOUT_HORIZON, ""], ids=["planted", "without it"])
def test_the_ledger_finds_sealing_without_the_horizon(postgres: Cluster, tmp_path: Path, fault: str) -> None:
    faults = {"ingest_fault": SLOW_COMMITS, "seal_fault": fault}
    found = found_in(tmp_path / "home", postgres.new_database(), 8, **faults)
    assert any(violation.startswith("lost: ") for violation in found) == bool(fault)


def test_the_ledger_finds_a_replay_without_positions(tmp_path: Path) -> None:
    home = tmp_path / "home"
    found = found_in(home, home / "landing.sqlite", 8, seal_fault=REPLAY_WITHOUT_POSITIONS)
    assert any(violation.startswith("stored 2 times: ") for violation in found)
