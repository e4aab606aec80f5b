"""Definitions in memory: a change is seen soon, and what is held stays while the store is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import orjson
import pytest

from funnelhouse.problems import Refusal
from ingest_api.definitions import held as module
from ingest_api.definitions.held import Held, HeldDefinitions
from record.contract import Definition, row_values
from record.landing import Location, open_store
from record.landing.store import LandingError, LandingStore

row = row_values(Definition)


def define(store: LandingStore, project_id: str, key: str, body: dict[str, object] | None) -> None:
    text = None if body is None else orjson.dumps(body).decode()
    definition = Definition(project_id=project_id, kind="page", key=key, received_us=1, body=text)
    store.append([("definitions", [row(definition)])])


@asynccontextmanager
async def following(location: Location, **options: int) -> AsyncIterator[HeldDefinitions]:
    definitions = HeldDefinitions(location, **options)
    task = asyncio.create_task(definitions.follow())
    try:
        yield definitions
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await definitions.close()


async def soon(definitions: HeldDefinitions, holds: Callable[[Held], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds(await definitions.of("shop")):
            await asyncio.sleep(0.02)


def test_a_change_is_seen_and_a_deletion(location: Location) -> None:
    async def story() -> None:
        store = open_store(location)
        define(store, "shop", "offer", {"name": "first"})
        async with following(location) as definitions:
            assert (await definitions.of("shop")).bodies["page"] == {"offer": {"name": "first"}}
            assert (await definitions.of("other")).bodies["page"] == {}
            define(store, "shop", "offer", {"name": "second"})
            await soon(definitions, lambda held: held.bodies["page"]["offer"]["name"] == "second")
            define(store, "shop", "offer", None)
            await soon(definitions, lambda held: held.bodies["page"] == {})
        store.close()

    asyncio.run(story())


def test_more_changes_than_are_remembered_are_seen(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        store = open_store(location)
        async with following(location) as definitions:
            await definitions.of("shop")
            for number in range(7):
                define(store, "shop", f"page-{number}", {})
            await soon(definitions, lambda held: len(held.bodies["page"]) == 7)
            define(store, "shop", "page-7", {})
            await soon(definitions, lambda held: len(held.bodies["page"]) == 8)
        store.close()

    monkeypatch.setattr(module, "RECENT_IDS", 3)
    asyncio.run(story())


def test_what_is_held_stays_while_the_store_is_away(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise LandingError("gone")

    async def story() -> None:
        store = open_store(location)
        define(store, "shop", "offer", {"name": "first"})
        store.close()
        async with following(location) as definitions:
            await definitions.of("shop")
            monkeypatch.setattr(module, "_read_held", away)
            monkeypatch.setattr(HeldDefinitions, "_changed", away)
            await asyncio.sleep(2 * module.LOOK_SECONDS)
            assert (await definitions.of("shop")).bodies["page"] == {"offer": {"name": "first"}}
            with pytest.raises(Refusal) as refusal:
                await definitions.of("never-read")
            assert refusal.value.status == 503

    asyncio.run(story())


def test_what_was_asked_for_longest_ago_is_read_again(location: Location) -> None:
    async def story() -> None:
        store = open_store(location)
        for project in ("shop", "other", "third"):
            define(store, project, "offer", {"name": project})
        room = 2 * module.PROJECT_BYTES + 300
        async with following(location, most_bytes=room) as definitions:
            for project in ("shop", "other", "shop", "third"):
                held = await definitions.of(project)
                assert held.bodies["page"] == {"offer": {"name": project}}
            assert definitions.held_projects == ["shop", "third"]
        store.close()

    asyncio.run(story())
