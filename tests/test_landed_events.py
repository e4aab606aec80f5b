"""What both landing stores answer about the events that are in them."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from record.contract import Event, columns, row_values
from record.landing import Location, open_store
from record.landing.store import LandingStore, Placed, Row

NAMES = [column.name for column in columns(Event)]
_values = row_values(Event)


def row(event_id: str, project_id: str = "shop", **more: Any) -> Row:
    event = Event(
        event_id=event_id,
        project_id=project_id,
        dialect="openanalytics",
        dialect_version="1",
        sender="server",
        kind="event",
        received_us=1,
        occurred_us=1,
        payload="{}",
        **more,
    )
    return _values(event)


def ids(found: list[Placed]) -> list[str]:
    return [values[NAMES.index("event_id")] for _, values in found]


def append(store: LandingStore, *rows: Row) -> None:
    store.append([("events", rows)])


def test_newest_first_and_on_behind_a_position(location: Location) -> None:
    with closing(open_store(location)) as store:
        # More than two of SQLite's blocks, so that walks cross blocks with and without the project's events.
        append(store, *(row(f"a{n}") for n in range(3)))
        append(store, *(row(f"x{n}", "other") for n in range(9000)))
        append(store, *(row(f"b{n}") for n in range(3)))
        newest = store.newest_events("shop", 100)
        assert ids(newest) == ["b2", "b1", "b0", "a2", "a1", "a0"]
        first = store.newest_events("shop", 2)
        assert ids(first) == ["b2", "b1"]
        assert ids(store.newest_events("shop", 3, first[-1][0])) == ["b0", "a2", "a1"]
        assert store.newest_events("nobody", 5) == []

        until = store.sealable()["events"]
        behind = store.events_behind("shop", (0, 0), until, 4)
        assert ids(behind) == ["a0", "a1", "a2", "b0"]
        assert ids(store.events_behind("shop", behind[-1][0], until, 4)) == ["b1", "b2"]
        assert store.events_behind("shop", newest[0][0], until, 4) == []
        assert store.events_behind("shop", newest[0][0], newest[0][0], 4) == []
        assert ids(store.events_behind("shop", (0, 0), newest[-2][0], 4)) == ["a0", "a1"]


def test_by_event_id(location: Location) -> None:
    with closing(open_store(location)) as store:
        append(store, row("e", name="first", forwardable=False), row("e", "other"))
        append(store, *(row(f"x{n}") for n in range(5000)))
        append(store, row("e", name="second"))
        found = store.events_with_id("shop", "e", 10)
        assert [values[NAMES.index("name")] for _, values in found] == ["first", "second"]
        assert found[0][1][NAMES.index("forwardable")] is False
        assert found[0][0] < found[1][0]
        assert len(store.events_with_id("shop", "e", 1)) == 1
        assert store.events_with_id("shop", "nothing", 10) == []


def test_a_store_made_before_the_index_gets_it(location: Location) -> None:
    with closing(open_store(location)) as store:
        append(store, row("e"))
        store.execute("DROP INDEX events_by_project")
    with closing(open_store(location)) as store:
        assert ids(store.newest_events("shop", 1)) == ["e"]
        if isinstance(location, str):
            named = store.query("SELECT 1 FROM pg_indexes WHERE indexname = 'events_by_project'")
        else:
            named = store.query("SELECT 1 FROM sqlite_schema WHERE name = 'events_by_project'")
        assert named == [(1,)]


def test_sqlite_never_walks_all_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(tmp_path / "landing.sqlite")) as store:
        append(store, row("e"))
        asked: list[str] = []
        query = store.query

        def explained(sql: str, *values: Any) -> list[Row]:
            asked.extend(step[3] for step in query(f"EXPLAIN QUERY PLAN {sql}", *values))
            return query(sql, *values)

        monkeypatch.setattr(store, "query", explained)
        store.newest_events("shop", 5)
        store.events_behind("shop", (0, 0), (0, 10), 5)
        store.events_with_id("shop", "e", 5)
        chosen = [step for step in asked if "events_by_project" in step]
        assert chosen and all("COVERING INDEX" in step for step in chosen), asked
        assert not [step for step in asked if step.startswith("SCAN e")], asked
