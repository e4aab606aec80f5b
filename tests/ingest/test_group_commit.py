"""Answered means durable: a failure reaches exactly its group, and kill -9 loses nothing acknowledged."""

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from servers import start_ingest

from funnelhouse.contract import Definition, row_values
from funnelhouse.landing import open_landing
from funnelhouse.problems import Refusal
from ingest_api import group_commit
from ingest_api.group_commit import GroupCommit


def row(key: str) -> tuple[Any, ...]:
    return row_values(Definition)(
        Definition(project_id="shop", kind="goal", key=key, received_us=1, body=None)
    )


class Uncommitted:
    """A connection whose transactions never come to their end."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *values: Any) -> None:
        if statement != "COMMIT":
            self._connection.execute(statement, *values)

    def last_insert_rowid(self) -> int:
        return self._connection.last_insert_rowid()


def with_writer(path: Path, work: Callable[[GroupCommit], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        commits = GroupCommit(path)
        try:
            return await asyncio.wait_for(work(commits), 20)
        finally:
            await asyncio.to_thread(commits.close)

    return asyncio.run(run())


def landed(path: Path) -> list[tuple[int, str]]:
    return open_landing(path).execute("SELECT id, key FROM definitions ORDER BY id").fetchall()


def test_each_request_learns_where_its_rows_are(tmp_path: Path) -> None:
    sizes = [1, 3, 70, 1, 9, 200]

    async def work(commits: GroupCommit) -> list[int]:
        requests = [
            commits.submit("definitions", [row(f"{number}") for _ in range(size)], 1)
            for number, size in enumerate(sizes)
        ]
        return await asyncio.gather(*requests)

    first_ids = with_writer(tmp_path / "l.sqlite", work)
    rows = landed(tmp_path / "l.sqlite")
    assert len(rows) == sum(sizes)
    for number, (first_id, size) in enumerate(zip(first_ids, sizes, strict=True)):
        assert [key for found, key in rows if first_id <= found < first_id + size] == [f"{number}"] * size


def test_a_failed_commit_is_told_to_its_group_and_the_next_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.sqlite"
    commit = GroupCommit._commit

    def fail_once(self: GroupCommit, connection: apsw.Connection, group: Any) -> list[int]:
        monkeypatch.setattr(GroupCommit, "_commit", commit)
        commit(self, Uncommitted(connection), group)
        raise apsw.IOError("fsync failed")

    async def work(commits: GroupCommit) -> None:
        monkeypatch.setattr(GroupCommit, "_commit", fail_once)
        group = [commits.submit("definitions", [row(f"lost{n}")], 1) for n in range(3)]
        refused = await asyncio.gather(*group, return_exceptions=True)
        assert [(type(r), getattr(r, "status", 0)) for r in refused] == [(Refusal, 503)] * 3
        assert not commits.is_healthy
        await commits.submit("definitions", [row("kept")], 1)
        assert commits.is_healthy

    with_writer(path, work)
    assert [key for _, key in landed(path)] == ["kept"]


def test_a_store_that_failed_is_opened_again_without_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.sqlite"

    def fail(self: GroupCommit, connection: apsw.Connection, group: Any) -> list[int]:
        raise apsw.FullError("disk full")

    async def work(commits: GroupCommit) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(GroupCommit, "_commit", fail)
            with pytest.raises(Refusal):
                await commits.submit("definitions", [row("lost")], 1)
        while not commits.is_healthy:
            await asyncio.sleep(0.01)
        await commits.submit("definitions", [row("kept")], 1)

    with_writer(path, work)
    assert [key for _, key in landed(path)] == ["kept"]


def test_the_queue_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    commit = GroupCommit._commit

    def wait(self: GroupCommit, connection: apsw.Connection, group: Any) -> list[int]:
        gate.wait(10)
        return commit(self, connection, group)

    async def work(commits: GroupCommit) -> None:
        monkeypatch.setattr(GroupCommit, "_commit", wait)
        monkeypatch.setattr(group_commit, "MAX_WAITING_BYTES", 10)
        first = asyncio.ensure_future(commits.submit("definitions", [row("a")], 8))
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal) as refused:
            await commits.submit("definitions", [row("b")], 8)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        gate.set()
        await first
        await commits.submit("definitions", [row("c")], 8)

    with_writer(tmp_path / "l.sqlite", work)
    assert [key for _, key in landed(tmp_path / "l.sqlite")] == ["a", "c"]


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    async def work(commits: GroupCommit) -> None:
        waiting = asyncio.ensure_future(commits.submit("definitions", [row("last")], 1))
        await asyncio.sleep(0)
        await asyncio.to_thread(commits.close)
        await waiting

    with_writer(tmp_path / "l.sqlite", work)
    assert [key for _, key in landed(tmp_path / "l.sqlite")] == ["last"]


@pytest.mark.parametrize("after", [0.3, 0.7])
def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path, after: float) -> None:
    server = start_ingest(tmp_path / "home")
    headers = {"x-api-key": server.key("kill", "ingest")}
    sent: set[str] = set()
    acknowledged: list[str] = []

    async def send(client: httpx.AsyncClient, sender: int) -> None:
        number = 0
        while True:
            ids = [f"{sender}-{number}-{item}" for item in range(3)]
            number += 1
            sent.update(ids)
            body = json.dumps([{"event_type": "pageview", "event_id": event_id} for event_id in ids])
            try:
                answer = await client.post("/v1/projects/kill/events", content=body)
            except httpx.TransportError:
                return
            assert answer.status_code == 202
            acknowledged.extend(result["event_id"] for result in answer.json()["results"])

    async def run() -> None:
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
            senders = [asyncio.create_task(send(client, number)) for number in range(8)]
            await asyncio.sleep(after)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.gather(*senders)

    asyncio.run(run())
    rows = open_landing(server.settings.landing_path).execute("SELECT event_id FROM events").fetchall()
    found = [event_id for (event_id,) in rows]
    assert acknowledged
    assert set(acknowledged) <= set(found) <= sent
    assert len(found) == len(set(found))
    # A request is whole or not there at all.
    assert len(found) % 3 == 0
    start_ingest(tmp_path / "home").stop()
