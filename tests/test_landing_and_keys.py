"""The landing store opens safely from several processes; keys are found, scoped, and forgotten in time."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from funnelhouse import keys
from funnelhouse.keys import KeyRing, create_key, list_keys, note_use, rename_key
from record.contract import RAW_TABLES
from record.landing import Location, open_existing, open_store
from record.landing.answers import find_answer
from record.landing.secret import cursor_secret
from record.landing.store import Answer, LandingError, LandingStore


def test_many_processes_may_open_a_new_store_at_once(location: Location) -> None:
    code = f"from record.landing import open_store; from pathlib import *;open_store({location!r})"
    openers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(6)]
    assert [opener.wait(30) for opener in openers] == [0] * 6
    with closing(open_store(location)) as store:
        assert store.sealable() == dict.fromkeys(RAW_TABLES, (0, 0))


def test_a_transaction_that_fails_leaves_nothing(landing: LandingStore) -> None:
    with pytest.raises(ZeroDivisionError), landing.transaction():
        landing.execute("INSERT INTO projects VALUES (?, ?)", "shop", 1)
        raise ZeroDivisionError
    with pytest.raises(LandingError), landing.transaction():
        landing.execute("INSERT INTO projects VALUES (?, ?)", "shop", 1)
        landing.execute("INSERT INTO projects VALUES (?, ?)", "shop", 1)
    assert landing.query("SELECT project_id FROM projects") == []


def test_a_store_for_queries_changes_nothing(landing: LandingStore, location: Location) -> None:
    with closing(open_existing(location)) as reader:
        with pytest.raises(LandingError):
            reader.execute("INSERT INTO projects VALUES (?, ?)", "shop", 1)
        assert reader.query("SELECT count(*) FROM projects") == [(0,)]


def test_a_column_that_joined_the_contract_is_added_to_an_older_store(tmp_path: Path) -> None:
    path = tmp_path / "landing.sqlite"
    with closing(open_store(path)) as older:
        older.execute("ALTER TABLE events DROP COLUMN experiments")
    with closing(open_store(path)) as store:
        names = [row[1] for row in store.query("PRAGMA table_info(events)")]
    assert "experiments" in names


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_tables(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall():
            connection.execute(f"PRAGMA foreign_keys=OFF; DROP TABLE {name}")


def without_keys(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DROP TABLE keys")


def other_bytes(path: Path) -> None:
    path.write_bytes(b"something else" * 1000)


@pytest.mark.parametrize("harm", [emptied, without_tables, without_keys, other_bytes])
def test_a_store_that_lost_what_was_in_it_does_not_begin_anew(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "landing.sqlite"
    with closing(open_store(path)) as store:
        create_key(store, "shop", ["ingest"])
    sealed = tmp_path / "raw" / "events" / "received_date=2026-01-01" / "seq-1-5.parquet"
    sealed.parent.mkdir(parents=True)
    sealed.touch()
    harm(path)
    harmed = path.read_bytes()
    for opening in (open_store, open_existing):
        with pytest.raises(LandingError, match="backup") as refusal:
            opening(path)
        assert str(path) in str(refusal.value)
    assert path.read_bytes() == harmed
    # As the message says: who deletes it begins anew.
    path.unlink()
    open_store(path).close()


def test_an_emptied_store_does_not_lose_the_log_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "landing.sqlite"
    with closing(open_store(path)) as store:
        create_key(store, "shop", ["ingest"])
        copy = tmp_path / "copy.sqlite"
        copy.touch()
        log = copy.with_name("copy.sqlite-wal")
        log.write_bytes(path.with_name("landing.sqlite-wal").read_bytes())
    held = log.read_bytes()
    assert held
    for opening in (open_store, open_existing):
        with pytest.raises(LandingError, match="is empty"):
            opening(copy)
    assert log.read_bytes() == held


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "landing.sqlite")) as store:
        assert store.query("PRAGMA journal_mode") == [("wal",)]
        assert store.query("PRAGMA synchronous") == [(2,)]


@pytest.fixture
def landing(location: Location) -> Iterator[LandingStore]:
    with closing(open_store(location)) as store:
        yield store


@pytest.fixture
def ring(location: Location) -> KeyRing:
    return KeyRing(location)


def test_a_key_is_found_and_stored_as_a_hash_only(landing: LandingStore, ring: KeyRing) -> None:
    key = create_key(landing, "shop", ["read", "ingest"])
    found = ring.find(key)
    assert found is not None
    assert (found.project_id, found.scopes) == ("shop", {"read", "ingest"})
    assert landing.query("SELECT project_id FROM projects") == [("shop",)]
    secret = key.split("_")[3]
    assert all(secret not in str(value) for row in landing.query("SELECT * FROM keys") for value in row)


def test_test_keys_belong_to_a_project_of_their_own(landing: LandingStore, ring: KeyRing) -> None:
    key = ring.find(create_key(landing, "shop", ["ingest"], is_test=True))
    assert key is not None
    assert key.project_id == "shop.test"
    assert key.opens("shop")
    assert key.opens("shop.test")
    assert not key.opens("shop.test.test")
    live = ring.find(create_key(landing, "shop", ["ingest"]))
    assert live is not None
    assert not live.opens("shop.test")


def test_wrong_keys_are_not_found(landing: LandingStore, ring: KeyRing) -> None:
    key = create_key(landing, "shop", ["ingest"])
    other = "A" if key[-1] != "A" else "B"
    for wrong in ("", "x", key[:-1], key[:-1] + other, key + "A", "oa_live_xxxxxxxxxxxx", key + "\n"):
        assert ring.find(wrong) is None


def test_an_expired_key_is_not_found(
    landing: LandingStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create_key(landing, "shop", ["ingest"], expires_days=1)
    later = time.time_ns() + 86_400_000_000_000
    monkeypatch.setattr(keys.time, "time_ns", lambda: later)
    assert ring.find(key) is None


def test_answers_are_remembered_a_second_and_no_longer(
    landing: LandingStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    key = create_key(landing, "shop", ["ingest"])
    assert ring.find(key)
    landing.execute("DELETE FROM keys")
    assert ring.find(key)
    now += 1.01
    assert ring.find(key) is None


def test_the_cache_is_bounded(landing: LandingStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHE_SIZE", 3)
    for number in range(20):
        ring.find(f"fh_live_{number:012}_{'a' * 40}")
    assert len(ring._cache) <= 3


def test_before_the_store_exists_no_key_is_found_and_no_store_made(location: Location) -> None:
    ring = KeyRing(location)
    assert ring.find(f"fh_live_{'a' * 12}_{'a' * 40}") is None
    assert open_existing(location) is None
    with closing(open_store(location)) as store:
        key = create_key(store, "shop", ["read"])
    assert ring.find(key) is not None


@pytest.mark.parametrize(
    ("project", "scopes", "days"),
    [
        ("Shop", ["read"], 1),
        ("", ["read"], 1),
        ("a.test", ["read"], 1),
        ("-a", ["read"], 1),
        ("a" * 64, ["read"], 1),
        ("shop\n", ["read"], 1),
        ("shop", [], 1),
        ("shop", ["write"], 1),
        ("shop", ["read"], 0),
        # Anybody can read a key of scope page.
        ("shop", ["page", "ingest"], 1),
        ("shop", ["read", "page"], 1),
    ],
)
def test_a_bad_key_is_not_created(landing: LandingStore, project: str, scopes: list[str], days: int) -> None:
    with pytest.raises(ValueError, match=r"must be|stands alone"):
        create_key(landing, project, scopes, days)


def test_a_store_made_before_pages_had_keys_goes_on(location: Location) -> None:
    earlier = Answer("shop", "/v1/batch", "order-1", b"hash", 1, 200, {}, b"{}")
    with closing(open_store(location)) as store:
        store.append([("events", [])], {0: earlier})
        store.execute("DROP TABLE cursor_secret")
        store.execute("DROP INDEX rejected_by_project")
        store.execute("ALTER TABLE rejected DROP COLUMN has_page_key")
        store.execute("ALTER TABLE rejected DROP COLUMN sent_us")
        store.execute("ALTER TABLE events DROP COLUMN sent_us")
    for _ in range(2):
        with closing(open_store(location)) as store:
            assert find_answer(store, "shop", "/v1/batch", "order-1") == earlier
            assert store.query("SELECT has_page_key, sent_us FROM rejected") == []
            assert store.query("SELECT sent_us FROM events") == []
            secrets = {cursor_secret(store) for _ in range(2)}
            store.execute("DROP INDEX rejected_by_project")
    with closing(open_store(location)) as store:
        assert {cursor_secret(store)} == secrets and len(secrets.pop()) == 32


def test_a_store_made_before_keys_had_names_goes_on(location: Location, ring: KeyRing) -> None:
    with closing(open_store(location)) as store:
        key = create_key(store, "shop", ["read", "ingest"])
        store.execute("DROP INDEX keys_by_project")
        store.execute("ALTER TABLE keys DROP COLUMN name")
        store.execute("ALTER TABLE keys DROP COLUMN last_used_us")
    # The read API looks keys up, and never changes a store.
    found = ring.find(key)
    assert found is not None
    for _ in range(2):
        with closing(open_store(location)) as store:
            (listed,) = list_keys(store)
            assert (listed.key_id, listed.scopes) == (found.key_id, {"read", "ingest"})
            assert (listed.name, listed.last_used_us) == (None, None)
            note_use(store, {})
    with closing(open_store(location)) as store:
        rename_key(store, found.key_id, "backend")
        note_use(store, {found.key_id: 1, "nothing": 1})
        assert [(key.name, key.last_used_us) for key in list_keys(store, "shop")] == [("backend", 1)]


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a\x1b[2J", "\u202egnp", "x" * 256])
def test_what_would_do_more_than_show_is_no_name(landing: LandingStore, name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        create_key(landing, "shop", ["read"], name=name)
    key = create_key(landing, "shop", ["read"], name=" x ")
    with pytest.raises(ValueError, match="name must be"):
        rename_key(landing, key.split("_")[2], name)
    assert [listed.name for listed in list_keys(landing)] == ["x"]
