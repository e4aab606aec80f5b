"""PostgreSQL: several writers at once, sealing below the horizon only, and what a lost server does."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psycopg
import pytest
from postgres import Cluster
from servers import start_ingest

from funnelhouse.problems import Refusal
from ingest_api.group_commit import GroupCommit
from record import sealing
from record.contract import RAW_TABLES, Definition, Event, columns, row_values
from record.landing import open_existing, open_store, postgres
from record.landing.postgres_schema import SCHEMA
from record.landing.store import LandingError, LandingStore, Row
from record.sealing import seal

PAGE_VIEW = b'{"event_type":"pageview"}'


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.new_database()


@pytest.fixture
def store(url: str) -> Iterator[LandingStore]:
    with closing(open_store(url)) as store:
        yield store


def goal(key: str) -> Row:
    return row_values(Definition)(
        Definition(project_id="shop", kind="goal", key=key, received_us=1, body=None)
    )


def event(event_id: str) -> Row:
    return row_values(Event)(
        Event(
            event_id=event_id,
            project_id="shop",
            dialect="openanalytics",
            dialect_version="1",
            sender="server",
            kind="event",
            received_us=1,
            occurred_us=1,
            payload='{"a": "tab\there", "b": "\\N", "ü": null}',
        )
    )


def sealed_keys(raw: Path) -> list[str]:
    found = duckdb.sql(f"SELECT key FROM read_parquet('{raw}/definitions/*/*.parquet') ORDER BY seq")
    return [key for (key,) in found.fetchall()]


def landed_keys(store: LandingStore) -> list[str]:
    return [key for (key,) in store.query("SELECT key FROM definitions ORDER BY xid, id")]


def test_the_landing_table_is_the_contract(store: LandingStore) -> None:
    types = {"VARCHAR": "text", "BIGINT": "bigint", "BOOLEAN": "boolean"}
    for table, row in RAW_TABLES.items():
        found = store.query(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
            " WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
            *(SCHEMA, table),
        )
        assert found[2:] == [
            (c.name, types[c.sql_type], "NO" if c.is_required else "YES") for c in columns(row)
        ]


def test_a_column_that_joined_the_contract_is_added_to_an_older_store(store: LandingStore, url: str) -> None:
    store.execute("ALTER TABLE events DROP COLUMN experiments")
    with closing(open_store(url)) as newer:
        assert newer.query("SELECT experiments FROM events") == []


def test_a_commit_waits_for_the_disk_whatever_the_server_is_set_to(postgres: Cluster, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off".encode())
        with closing(open_store(url)) as store:
            assert store.query("SHOW synchronous_commit") == [("on",)]
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        try:
            time.sleep(0.3)
            with pytest.raises(LandingError, match="fsync=on"):
                open_store(url)
        finally:
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf()")
            time.sleep(0.3)


def test_rows_come_back_as_they_were(store: LandingStore) -> None:
    assert store.append([("events", [event("a")]), ("events", []), ("events", [event("b"), event("c")])])
    names = ", ".join(column.name for column in columns(Event))
    found = store.query(f"SELECT {names} FROM events ORDER BY id")
    assert found == [event("a"), event("b"), event("c")]


def test_truncating_is_refused(store: LandingStore) -> None:
    with pytest.raises(LandingError, match="never changed"):
        store.execute("TRUNCATE events")


def test_a_failed_statement_is_never_taken_for_a_commit(store: LandingStore) -> None:
    with pytest.raises(LandingError, match="a statement of the transaction failed"), store.transaction():
        store.execute("INSERT INTO projects VALUES (?, ?)", "shop", 1)
        with pytest.raises(LandingError):
            store.execute("INSERT INTO projects VALUES (?, ?)", "shop", 1)
    assert store.query("SELECT project_id FROM projects") == []


def test_errors_repeat_neither_rows_nor_passwords(store: LandingStore) -> None:
    with pytest.raises(LandingError) as refused:
        store.append([("definitions", [("needle", "goal", None, 1, None)])])
    assert "needle" not in str(refused.value)
    assert refused.value.__suppress_context__
    for wrong in ("postgresql://me:needle@host:port/", "mysql://me:needle@host/"):
        with pytest.raises(LandingError) as refused:
            open_store(wrong)
        assert "needle" not in str(refused.value)


class Stopped(Exception):  # noqa: N818
    pass


def hold_open(store: LandingStore, stack: ExitStack, key: str) -> None:
    """Append in a transaction that stays open until the stack is left."""
    stack.enter_context(store.transaction())
    store.execute(
        "INSERT INTO definitions (project_id, kind, key, received_us) VALUES ('shop', 'goal', ?, 1)", key
    )


def seal_beside_an_open_transaction(url: str, raw: Path) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """What is in the raw zone, and what can be sealed: before a transaction ends beside others, and after."""
    sealed, sealable = [], []
    with closing(open_store(url)) as slow, closing(open_store(url)) as quick:
        quick.append([("definitions", [goal("before")])])
        with ExitStack() as stack:
            hold_open(slow, stack, "slow")
            quick.append([("definitions", [goal("quick")])])
            sealable.append(quick.sealable())
            seal(url, raw)
            sealed.append(sealed_keys(raw))
        sealable.append(quick.sealable())
        seal(url, raw)
        sealed.append(sealed_keys(raw))
    return sealed, sealable


def test_what_may_still_appear_before_it_keeps_a_row_from_being_sealed(url: str, tmp_path: Path) -> None:
    sealed, sealable = seal_beside_an_open_transaction(url, tmp_path)
    assert sealed == [["before"], ["before", "slow", "quick"]]
    assert sealable[0]["definitions"] < sealable[1]["definitions"]


def test_without_the_horizon_a_row_would_be_lost(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "HORIZON", "pg_snapshot_xmax(pg_current_snapshot())")
    sealed, _ = seal_beside_an_open_transaction(url, tmp_path)
    assert sealed[1] == ["before", "quick"]


def test_sealing_beside_many_writers_takes_every_row_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the sealer is stopped between two of its steps."""
    open_store(url).close()
    chance_to_stop = random.Random(1)

    def step(name: str) -> None:
        if chance_to_stop.random() < 0.1:
            raise Stopped(name)

    ends = time.monotonic() + 2.5
    counts = [0] * 5

    def write(writer: int) -> None:
        chance = random.Random(writer)
        with closing(open_store(url)) as store:
            while time.monotonic() < ends:
                with store.transaction():
                    for _ in range(chance.randrange(1, 4)):
                        store.execute(
                            "INSERT INTO definitions (project_id, kind, key, received_us)"
                            " VALUES ('shop', 'goal', ?, 1)",
                            f"{writer}-{counts[writer]}",
                        )
                        counts[writer] += 1
                        time.sleep(chance.random() / 100)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(len(counts))]
    for writer in writers:
        writer.start()
    monkeypatch.setattr(sealing, "_step", step)
    stops = 0
    while any(writer.is_alive() for writer in writers):
        try:
            seal(url, tmp_path)
        except Stopped:
            stops += 1
    assert stops
    monkeypatch.undo()
    seal(url, tmp_path)
    expected = {f"{writer}-{number}" for writer, count in enumerate(counts) for number in range(count)}
    found = sealed_keys(tmp_path)
    assert len(found) == len(set(found))
    assert set(found) == expected
    with closing(open_store(url)) as store:
        assert landed_keys(store) == found
    seqs = duckdb.sql(f"SELECT max(seq) FROM read_parquet('{tmp_path}/definitions/*/*.parquet')").fetchall()
    assert seqs == [(len(found),)]


def test_a_second_sealer_is_refused(
    store: LandingStore, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.2)
    with store.sealing(), pytest.raises(LandingError, match="another build"):
        seal(url, tmp_path)
    seal(url, tmp_path)


def test_a_sealer_that_lost_its_session_does_not_go_on(store: LandingStore, url: str) -> None:
    with store.sealing():
        end_sessions(url)
        with pytest.raises(LandingError):
            store.sealable()
        with pytest.raises(LandingError):
            store.sealable()
    assert store.sealable()["events"] == (0, 0)


def test_rows_from_another_cluster_are_told_rather_than_forgotten(store: LandingStore) -> None:
    store.execute(
        "INSERT INTO definitions (xid, project_id, kind, key, received_us)"
        " VALUES ('9000000000000', 'shop', 'goal', 'k', 1)"
    )
    with pytest.raises(LandingError, match="restored from a dump"):
        store.sealable()


def test_ranges_from_another_cluster_are_told_rather_than_forgotten(store: LandingStore) -> None:
    store.execute("INSERT INTO seal_ranges VALUES ('events', '3', 1, '9000000000000', 1, 1, 1, true)")
    with pytest.raises(LandingError, match="restored from a dump"):
        store.sealable()


def end_sessions(url: str) -> None:
    """End every session of the database but the one that does it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        time.sleep(0.1)


def test_a_session_that_was_lost_is_replaced(store: LandingStore, url: str) -> None:
    for _ in range(2):
        end_sessions(url)
        assert store.query("SELECT 1") == [(1,)]
        end_sessions(url)
        store.append([("definitions", [goal("a")])])
        end_sessions(url)
        with store.transaction():
            store.execute("INSERT INTO projects VALUES (?, 1) ON CONFLICT DO NOTHING", "shop")
    assert landed_keys(store) == ["a", "a"]
    with closing(open_existing(url)) as reader:
        end_sessions(url)
        # What may have been done is not done again.
        with pytest.raises(LandingError, match="terminating"):
            reader.execute("DELETE FROM projects")
        with pytest.raises(LandingError, match="read-only"):
            reader.execute("DELETE FROM projects")


FAULTS = """
CREATE FUNCTION funnelhouse.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.key = 'cut' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
    IF NEW.key = 'refused' THEN RAISE 'not today'; END IF;
    RETURN NEW;
END $$;
CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON funnelhouse.definitions DEFERRABLE INITIALLY {when}
    FOR EACH ROW EXECUTE FUNCTION funnelhouse.fail();
"""


@pytest.mark.parametrize("when", ["IMMEDIATE", "DEFERRED"])
@pytest.mark.parametrize("key", ["cut", "refused"])
def test_a_commit_that_fails_is_told_to_exactly_its_group(
    store: LandingStore, url: str, when: str, key: str
) -> None:
    store.execute(FAULTS.format(when=when))

    async def run() -> None:
        commits = GroupCommit(url)
        try:
            await commits.submit("definitions", [goal("first")], 1)
            group = [commits.submit("definitions", [goal(each)], 1) for each in ("beside", key, "beside")]
            answers = await asyncio.gather(*group, return_exceptions=True)
            assert [getattr(answer, "status", None) for answer in answers] == [503] * 3
            assert all(isinstance(answer, Refusal) for answer in answers)
            assert not commits.is_healthy
            while not commits.is_healthy:
                await asyncio.sleep(0.01)
            await commits.submit("definitions", [goal("last")], 1)
        finally:
            await asyncio.to_thread(commits.close)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert landed_keys(store) == ["first", "last"]


def test_two_servers_land_in_one_database(url: str, tmp_path: Path) -> None:
    # The same home for both: its lock file is for SQLite.
    servers = [start_ingest(tmp_path / "home", url) for _ in range(2)]
    try:
        key = servers[0].key("shop", "ingest,admin")

        async def send() -> list[httpx.Response]:
            async with httpx.AsyncClient(headers={"x-api-key": key}) as client:
                return await asyncio.gather(
                    *(
                        client.post(f"{server.url}/v1/projects/shop/events", content=PAGE_VIEW)
                        for _ in range(40)
                        for server in servers
                    )
                )

        answers = asyncio.run(send())
        assert {answer.status_code for answer in answers} == {202}
        acknowledged = sorted(answer.headers["Funnelhouse-Event-Id"] for answer in answers)
        for number, server in enumerate(servers):
            answer = httpx.put(
                f"{server.url}/v1/projects/shop/goals/signup",
                headers={"x-api-key": key},
                json={"match": {"type": "event_name", "value": f"{number}"}},
            )
            assert answer.json()["version"] == number + 1
        seen = [
            httpx.get(f"{server.url}/v1/projects/shop/goals", headers={"x-api-key": key}).json()
            for server in servers
        ]
        assert seen[0] == seen[1]
    finally:
        assert [server.stop() for server in servers] == [0, 0]
    with closing(open_store(url)) as store:
        found = store.query("SELECT event_id, id FROM events ORDER BY event_id")
    assert [event_id for event_id, _ in found] == acknowledged
    assert len({row_id for _, row_id in found}) == len(found)
    assert seal(url, tmp_path / "raw") == {**dict.fromkeys(RAW_TABLES, 0), "events": 80, "definitions": 2}


@pytest.mark.long
def test_a_server_refuses_while_the_database_is_gone_and_recovers(
    postgres: Cluster, url: str, tmp_path: Path
) -> None:
    server = start_ingest(tmp_path / "home", url)

    def ask(path: str) -> int:
        return httpx.get(f"{server.url}{path}").status_code

    def send() -> int:
        events = f"{server.url}/v1/projects/shop/events"
        return httpx.post(events, headers={"x-api-key": key}, content=PAGE_VIEW).status_code

    try:
        key = server.key("shop", "ingest")
        assert send() == 202
        postgres.stop("immediate")
        try:
            assert send() == 503
            assert (ask("/ingest/ready"), ask("/ingest/live")) == (503, 200)
            assert send() == 503
        finally:
            postgres.start()
        deadline = time.monotonic() + 60
        while ask("/ingest/ready") != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert send() == 202
    finally:
        assert server.stop() == 0
    with closing(open_store(url)) as store:
        assert store.query("SELECT count(*) FROM events") == [(2,)]
