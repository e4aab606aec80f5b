"""A disk that is full, or fails to write or to sync: nothing acknowledged is lost, and service returns.

The landing file of a real server is opened through a VFS that fails on demand.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from ledger import Ledger, Traffic, send_until, violations
from postgres import Cluster
from seeds import a_seed
from servers import Server, start_ingest

# The control file says which operation fails, on which file, and how: "sync wal io". Each commit's handle of
# the WAL has a number; one that failed and is synced again is written down.
FAULTY = """
import apsw, itertools, os, threading
from pathlib import Path
from record.landing import sqlite
home = Path(os.environ["FUNNELHOUSE_HOME"])
numbers = itertools.count(1)

class File(apsw.VFSFile):
    def __init__(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("unix", name, flags)
        self._kind = "wal" if path.endswith("-wal") else "db" if path.endswith(".sqlite") else "other"
        self._has_failed = False

    def _error(self, operation):
        try:
            wanted, kind, how = (home / "fault").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        if (wanted, kind) != (operation, self._kind):
            return None
        with (home / "faults").open("a") as log:
            log.write(f"{operation} {kind} {how}\\n")
        return how

    def xWrite(self, data, offset):
        how = self._error("write")
        if how == "short":
            super().xWrite(data[: len(data) // 2], offset)
        if how is not None:
            raise (apsw.IOError if how == "io" else apsw.FullError)("injected")
        super().xWrite(data, offset)

    def xSync(self, flags):
        if self._has_failed and self._kind == "wal":
            (home / "synced-again").touch()
        if self._error("sync"):
            self._has_failed = True
            raise apsw.IOError("injected")
        super().xSync(flags)

class Shim(apsw.VFS):
    def __init__(self):
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name, flags):
        return File(name, flags)

shim = Shim()
sqlite._CHECKPOINT_PAGES = 50
from funnelhouse.settings import Settings
from ingest_api.server import serve
serve(Settings())
"""

WAL_FAULTS = ["write wal full", "write wal io", "write wal short", "sync wal io"]
FAULTS = [*WAL_FAULTS, "write db full", "write db short", "sync db io"]

PAGE_VIEW = b'{"event_type": "pageview", "event_id": "%d"}'


@contextmanager
def faulty_server(home: Path) -> Iterator[Server]:
    server = start_ingest(home, code=FAULTY, FUNNELHOUSE_POSTBACK_RATE_LIMIT="off")
    try:
        yield server
    finally:
        (home / "fault").unlink(missing_ok=True)
        assert server.stop() == 0
    assert not (home / "synced-again").exists()


def set_fault(server: Server, fault: str) -> None:
    """Switch a fault on at once; "" switches it off."""
    path = server.settings.home_dir / "fault"
    path.with_suffix(".new").write_text(fault)
    path.with_suffix(".new").replace(path)


def is_ready(server: Server) -> bool:
    return httpx.get(f"{server.url}/ingest/ready").status_code == 200


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + 30
    while not is_ready(server):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stored(server: Server) -> list[tuple[str, str]]:
    with closing(server.store()) as store:
        if isinstance(server.settings.landing_store, Path):
            assert store.query("PRAGMA integrity_check") == [("ok",)]
        return [(row[0], row[1]) for row in store.query("SELECT event_id, payload FROM events")]


@pytest.mark.parametrize("fault", WAL_FAULTS)
def test_while_the_disk_fails_requests_are_answered_503_and_service_returns(
    tmp_path: Path, fault: str
) -> None:
    with faulty_server(tmp_path / "home") as server:
        headers = {"x-api-key": server.key("disk", "ingest")}
        numbers = itertools.count()

        async def send(times: int) -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
                return await asyncio.gather(
                    *(
                        client.post("/v1/projects/disk/events", content=PAGE_VIEW % next(numbers))
                        for _ in range(times)
                    )
                )

        def statuses() -> set[int]:
            return {answer.status_code for answer in asyncio.run(send(8))}

        assert statuses() == {202}
        set_fault(server, fault)
        failed = asyncio.run(send(8))
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in failed} == {(503, "1")}
        # It stays so for as long as the disk does, also behind the attempts to open it anew.
        for _ in range(8):
            assert not is_ready(server)
            time.sleep(0.1)
        assert statuses() == {503}
        set_fault(server, "")
        wait_until_ready(server)
        assert statuses() == {202}
        found = {int(event_id) for event_id, _ in stored(server)}
        assert {*range(8), *range(24, 32)} <= found <= set(range(32))
        log = (server.settings.home_dir / "faults").read_text().splitlines()
        assert len(log) >= 2
        assert set(log) == {fault}


async def _under_traffic(server: Server, ledger: Ledger, seed: int, rounds: int) -> None:
    """Send while faults of every kind come and go; ends with a healthy disk."""
    rng = random.Random(seed)
    stopped = asyncio.Event()
    traffic = Traffic(ledger, rng, "disk")
    key = server.key("disk", "ingest")
    server.set_postbacks("disk", "open")
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key}
    senders = [
        asyncio.create_task(send_until(stopped, ledger, rng, traffic, lambda: server.url, headers))
        for _ in range(8)
    ]
    for number in range(rounds):
        await asyncio.sleep(rng.uniform(0, 0.3))
        set_fault(server, FAULTS[number] if number < len(FAULTS) else rng.choice(FAULTS))
        await asyncio.sleep(rng.uniform(0, 0.4))
        set_fault(server, "")
        if rng.random() < 0.5:
            await asyncio.to_thread(wait_until_ready, server)
    await asyncio.to_thread(wait_until_ready, server)
    answered = ledger.answers[202]
    while ledger.answers[202] < answered + 20:
        await asyncio.sleep(0.01)
    stopped.set()
    await asyncio.gather(*senders)


@pytest.mark.parametrize("rounds", [len(FAULTS), pytest.param(50, marks=pytest.mark.slow)])
def test_faults_at_any_moment_lose_nothing_acknowledged(tmp_path: Path, rounds: int) -> None:
    seed = a_seed()
    ledger = Ledger()
    with faulty_server(tmp_path / "home") as server:
        asyncio.run(_under_traffic(server, ledger, seed, rounds))
        assert ledger.answers["lost answer"] == 0
        assert ledger.answers[503] > 0
        assert violations(ledger, stored(server)) == []
    # As well for who opens the file afterwards.
    assert violations(ledger, stored(server)) == []


def test_a_checkpoint_that_fails_loses_nothing_acknowledged(tmp_path: Path) -> None:
    faults = ["write db full", "write db short", "sync db io"]
    with faulty_server(tmp_path / "home") as server:
        key = server.key("disk", "ingest")
        numbers = itertools.count()
        acknowledged = set()
        with httpx.Client(base_url=server.url, headers={"x-api-key": key}) as client:
            for fault in [*faults, ""]:
                set_fault(server, fault)
                for number in itertools.islice(numbers, 60):
                    answer = client.post("/v1/projects/disk/events", content=PAGE_VIEW % number)
                    if answer.status_code != 202:
                        # SQLite itself keeps silent; the injected error is raised through the commit.
                        assert answer.status_code == 503
                        break
                    acknowledged.add(number)
                set_fault(server, "")
                wait_until_ready(server)
        assert set((server.settings.home_dir / "faults").read_text().splitlines()) == set(faults)
        assert len(acknowledged) >= 60
        assert acknowledged <= {int(event_id) for event_id, _ in stored(server)}


@pytest.mark.long
def test_a_postgresql_that_crashes_under_load_loses_nothing_acknowledged(
    postgres: Cluster, tmp_path: Path
) -> None:
    server = start_ingest(tmp_path / "home", postgres.new_database(), FUNNELHOUSE_POSTBACK_RATE_LIMIT="off")
    ledger, rng = Ledger(), random.Random(1)
    key = server.key("disk", "ingest")
    server.set_postbacks("disk", "open")
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key}

    async def run() -> None:
        stopped = asyncio.Event()
        traffic = Traffic(ledger, rng, "disk")
        senders = [
            asyncio.create_task(send_until(stopped, ledger, rng, traffic, lambda: server.url, headers))
            for _ in range(8)
        ]
        for _ in range(2):
            await asyncio.sleep(rng.uniform(0.3, 0.6))
            try:
                await asyncio.to_thread(postgres.stop, "immediate")
                await asyncio.sleep(rng.uniform(0, 0.3))
            finally:
                await asyncio.to_thread(postgres.start)
            await asyncio.to_thread(wait_until_ready, server)
        stopped.set()
        await asyncio.gather(*senders)

    try:
        asyncio.run(run())
    finally:
        assert server.stop() == 0
    assert ledger.answers[503] > 0
    assert len(ledger.acknowledged()) > 100
    assert violations(ledger, stored(server)) == []
