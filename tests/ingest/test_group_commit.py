"""Answered means durable: a failure reaches exactly its group, and kill -9 loses nothing acknowledged."""

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import start_ingest

from funnelhouse.problems import Refusal
from ingest_api import group_commit
from ingest_api.group_commit import GroupCommit
from record.contract import Definition, row_values
from record.landing import Location, open_store
from record.landing.store import Answer, Batch, LandingError


def row(key: str) -> tuple[Any, ...]:
    return row_values(Definition)(
        Definition(project_id="shop", kind="goal", key=key, received_us=1, body=None)
    )


def with_writer(location: Location, work: Callable[[GroupCommit], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        commits = GroupCommit(location)
        try:
            return await asyncio.wait_for(work(commits), 20)
        finally:
            await asyncio.to_thread(commits.close)

    return asyncio.run(run())


def failing(*_: object) -> list[int | Answer]:
    raise LandingError("disk full")


def landed(location: Location) -> list[tuple[Any, ...]]:
    with closing(open_store(location)) as store:
        return store.query("SELECT id, key FROM definitions ORDER BY id")


def test_each_request_learns_where_its_rows_are(location: Location) -> None:
    sizes = [1, 3, 70, 1, 9, 200]

    async def work(commits: GroupCommit) -> list[int]:
        requests = [
            commits.submit("definitions", [row(f"{number}") for _ in range(size)], 1)
            for number, size in enumerate(sizes)
        ]
        return await asyncio.gather(*requests)

    first_ids = with_writer(location, work)
    rows = landed(location)
    assert len(rows) == sum(sizes)
    for number, (first_id, size) in enumerate(zip(first_ids, sizes, strict=True)):
        assert [key for found, key in rows if first_id <= found < first_id + size] == [f"{number}"] * size


def test_a_failed_commit_is_told_to_its_group_and_the_next_works(location: Location) -> None:
    async def work(commits: GroupCommit) -> None:
        assert commits._store is not None
        commits._store.append = failing  # type: ignore[method-assign]
        group = [commits.submit("definitions", [row(f"lost{n}")], 1) for n in range(3)]
        refused = await asyncio.gather(*group, return_exceptions=True)
        assert [(type(r), getattr(r, "status", 0)) for r in refused] == [(Refusal, 503)] * 3
        assert not commits.is_healthy
        await commits.submit("definitions", [row("kept")], 1)
        assert commits.is_healthy

    with_writer(location, work)
    assert [key for _, key in landed(location)] == ["kept"]


def test_a_commit_that_the_engine_refuses_leaves_nothing_of_its_group(location: Location) -> None:
    async def work(commits: GroupCommit) -> None:
        nameless = (None, *row("lost")[1:])
        group = [commits.submit("definitions", [each], 1) for each in (row("lost"), nameless)]
        refused = await asyncio.gather(*group, return_exceptions=True)
        assert [type(each) for each in refused] == [Refusal] * 2
        await commits.submit("definitions", [row("kept")], 1)

    with_writer(location, work)
    assert [key for _, key in landed(location)] == ["kept"]


def test_a_store_that_failed_is_opened_again_without_a_request(location: Location) -> None:
    async def work(commits: GroupCommit) -> None:
        assert commits._store is not None
        commits._store.append = failing  # type: ignore[method-assign]
        with pytest.raises(Refusal):
            await commits.submit("definitions", [row("lost")], 1)
        while not commits.is_healthy:
            await asyncio.sleep(0.01)
        await commits.submit("definitions", [row("kept")], 1)

    with_writer(location, work)
    assert [key for _, key in landed(location)] == ["kept"]


def test_the_queue_is_bounded_in_bytes(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    async def work(commits: GroupCommit) -> None:
        assert commits._store is not None
        append = commits._store.append

        def wait(batches: Sequence[Batch], answers: Mapping[int, Answer] | None = None) -> list[int | Answer]:
            gate.wait(10)
            return append(batches, answers)

        commits._store.append = wait  # type: ignore[method-assign]
        monkeypatch.setattr(group_commit, "MAX_WAITING_BYTES", 10 + group_commit.ROW_BYTES)
        first = asyncio.ensure_future(commits.submit("definitions", [row("a")], 8))
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal) as refused:
            await commits.submit("definitions", [row("b")], 8)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        gate.set()
        await first
        await commits.submit("definitions", [row("c")], 8)

    with_writer(location, work)
    assert [key for _, key in landed(location)] == ["a", "c"]


def test_closing_writes_what_waits(location: Location) -> None:
    async def work(commits: GroupCommit) -> None:
        waiting = asyncio.ensure_future(commits.submit("definitions", [row("last")], 1))
        await asyncio.sleep(0)
        await asyncio.to_thread(commits.close)
        await waiting

    with_writer(location, work)
    assert [key for _, key in landed(location)] == ["last"]


@pytest.mark.parametrize("after", [0.3, 0.7])
def test_what_was_acknowledged_is_there_after_kill_9(
    location: Location, tmp_path: Path, after: float
) -> None:
    server = start_ingest(tmp_path / "home", location)
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
    with closing(server.store()) as store:
        found = [event_id for (event_id,) in store.query("SELECT event_id FROM events")]
    assert acknowledged
    assert set(acknowledged) <= set(found) <= sent
    assert len(found) == len(set(found))
    # A request is whole or not there at all.
    assert len(found) % 3 == 0
    start_ingest(tmp_path / "home", location).stop()
