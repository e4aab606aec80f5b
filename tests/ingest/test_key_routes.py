"""Keys over HTTP: shown once, never more than their maker, renamed, revoked, and seen in use to the hour."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import Server, start_ingest

from funnelhouse.keys import CACHE_SECONDS, SCOPES, insert_key, list_keys, new_key, note_use
from ingest_api import key_use, keys
from ingest_api.key_use import HOUR_US, WRITE_SECONDS, KeyUse
from ingest_api.landing_reader import LandingWriter
from record.landing import Location, open_existing, open_store
from record.landing.store import LandingStore

WRITTEN = WRITE_SECONDS + 20


class Caller:
    """The holder of a key, and the routes as it sees them."""

    def __init__(self, server: Server, key: str, project: str) -> None:
        self.key_id = key.split("_")[2]
        self._client = httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30)
        self._path = f"/v1/projects/{project}/keys"

    def make(self, scopes: list[str], headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self._client.post(self._path, json={"scopes": scopes, **more}, headers=headers)

    def listed(self) -> dict[str, dict[str, Any]]:
        answer = self._client.get(self._path)
        assert answer.status_code == 200, answer.text
        return {key["key_id"]: key for key in answer.json()["keys"]}

    def page(self, after: str) -> httpx.Response:
        return self._client.get(self._path, params={"after": after})

    def rename(self, key_id: str, name: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._client.put(f"{self._path}/{key_id}", json={"name": name}, headers=headers)

    def revoke(self, key_id: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._client.delete(f"{self._path}/{key_id}", headers=headers)


Calling = Callable[..., Caller]


@pytest.fixture
def calling(ingest_server: Server) -> Calling:
    def new(project: str, scopes: str = "ingest,read,admin", is_test: bool = False) -> Caller:
        return Caller(ingest_server, ingest_server.key(project, scopes, is_test=is_test), project)

    return new


def status(server: Server, key: str, project: str) -> int:
    """What a report sent with a key is answered."""
    report = {"event_type": "pageview", "anonymous_id": "a1"}
    url = f"{server.url}/v1/projects/{project}/events"
    return httpx.post(url, json=report, headers={"x-api-key": key}).status_code


def all_text(server: Server) -> str:
    """Everything that the landing store has of keys and of kept answers."""
    with closing(server.store()) as store:
        return str(store.query("SELECT * FROM keys")) + str(store.query("SELECT * FROM answers"))


def test_a_key_is_made_shown_once_and_works(ingest_server: Server, calling: Calling) -> None:
    caller = calling("made")
    answer = caller.make(["ingest"], name="Shop backend", expires_days=3)
    assert answer.status_code == 201 and answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    key = made.pop("key")
    assert key.startswith(f"fh_live_{made['key_id']}_")
    assert (made["name"], made["scopes"], made["is_test"]) == ("Shop backend", ["ingest"], False)
    assert made["created_at"][:4] == made["expires_at"][:4] and made["last_used_at"] is None
    assert caller.listed()[made["key_id"]] == made
    assert key.rpartition("_")[2] not in all_text(ingest_server)
    assert status(ingest_server, key, "made") == 202


def test_a_repeat_makes_no_second_key_and_is_not_shown_the_first(
    ingest_server: Server, calling: Calling
) -> None:
    caller = calling("repeated")
    before = len(caller.listed())
    once = {"Idempotency-Key": "backend"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller.make(["ingest"], once), range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    shown = [answer.json().pop("key") for answer in answers]
    (key,) = [each for each in shown if each is not None]
    assert {answer.json()["key_id"] for answer in answers} == {key.split("_")[2]}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert len(caller.listed()) == before + 1
    assert key.rpartition("_")[2] not in all_text(ingest_server)
    assert caller.make(["read"], once).status_code == 422
    assert caller.make(["ingest"], {**once, "Funnelhouse-Dry-Run": "1"}).json()["key_id"] == key.split("_")[2]


@pytest.mark.parametrize("own", ["admin", "read,admin", "ingest,admin", "ingest,read,admin"])
def test_a_key_gives_at_most_what_it_has(calling: Calling, own: str) -> None:
    caller = calling(f"gives-{own.replace(',', '-')}", own)
    has = {*own.split(","), *(["page"] if "ingest" in own else [])}
    for count in range(1, 4):
        for wanted in combinations(SCOPES, count):
            expected = 201 if set(wanted) <= has else 403
            if "page" in wanted and count > 1:
                expected = 400
            for is_test in (False, True):
                answer = caller.make([*wanted], is_test=is_test)
                assert answer.status_code == expected, (own, wanted, answer.text)
    assert {scope for key in caller.listed().values() for scope in key["scopes"]} == has


def test_a_test_key_makes_shows_and_ends_test_keys_only(ingest_server: Server, calling: Calling) -> None:
    live, test = calling("tried"), calling("tried", is_test=True)
    for caller, more in ((live, {"is_test": True}), (test, {}), (test, {"is_test": False})):
        made = caller.make(["ingest", "read"], name="CI", **more).json()
        assert made["key"].startswith("fh_test_") and made["is_test"]
        assert status(ingest_server, made["key"], "tried") == 202
        with closing(ingest_server.store()) as store:
            assert store.query("SELECT project_id FROM keys WHERE key_id = ?", made["key_id"]) == [
                ("tried.test",)
            ]
        assert {made["key_id"], test.key_id} <= live.listed().keys() & test.listed().keys()
    assert live.key_id not in test.listed()
    assert test.rename(live.key_id, "mine").status_code == test.revoke(live.key_id).status_code == 404
    assert live.listed()[live.key_id]["name"] is None
    assert live.rename(test.key_id, "pipeline").json()["name"] == "pipeline"
    assert live.revoke(test.key_id).status_code == 204


def test_keys_of_others_are_unknown(calling: Calling) -> None:
    caller, other = calling("own"), calling("others")
    assert other.key_id not in caller.listed()
    for key_id in (other.key_id, "nothing", "a" * 12, "%00", "a%0A", "'", "a" * 5000):
        for answer in (caller.rename(key_id, "x"), caller.revoke(key_id)):
            assert answer.status_code == 404, (key_id, answer.text)
    assert caller.page(other.key_id).status_code == 400
    (theirs,) = other.listed().values()
    assert theirs["name"] is None


def test_a_revoked_key_stops_and_stays_in_the_list(ingest_server: Server, calling: Calling) -> None:
    caller = calling("ended")
    made = caller.make(["ingest"]).json()
    assert caller.rename(made["key_id"], " Old backend ").json()["name"] == "Old backend"
    assert status(ingest_server, made["key"], "ended") == 202
    assert caller.revoke(made["key_id"]).status_code == 204
    time.sleep(CACHE_SECONDS + 0.1)
    assert status(ingest_server, made["key"], "ended") == 401
    listed = caller.listed()[made["key_id"]]
    assert listed["name"] == "Old backend" and listed["expires_at"] < made["expires_at"]
    # Again changes nothing; and who ends his own key is out.
    assert caller.revoke(made["key_id"]).status_code == 204
    assert caller.listed()[made["key_id"]] == listed
    assert caller.revoke(caller.key_id).status_code == 204
    time.sleep(CACHE_SECONDS + 0.1)
    assert caller.page("").status_code == 401


def test_a_dry_run_changes_nothing(calling: Calling) -> None:
    caller = calling("dry")
    dry = {"Funnelhouse-Dry-Run": "1"}
    before = caller.listed()
    made = caller.make(["read"], dry)
    assert (made.status_code, made.json()["key"]) == (201, None)
    assert caller.rename(caller.key_id, "new", dry).json()["name"] == "new"
    assert caller.revoke(caller.key_id, dry).status_code == 204
    assert caller.make(["page", "read"], dry).status_code == 400
    assert caller.revoke("nothing", dry).status_code == 404
    after = caller.listed()
    for key in (before, after):
        key[caller.key_id]["last_used_at"] = None
    assert after == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "ingest"}, "scopes"),
        ({"scopes": ["write"]}, "scopes.0"),
        ({"scopes": ["ingest", "page"]}, "scopes: page stands alone"),
        ({"scopes": ["read"], "name": ""}, "name"),
        ({"scopes": ["read"], "name": " "}, "name: name must be"),
        ({"scopes": ["read"], "name": "a\x1b[2J"}, "name: name must be"),
        ({"scopes": ["read"], "name": "x" * 256}, "name"),
        ({"scopes": ["read"], "expires_days": 0}, "expires_days"),
        ({"scopes": ["read"], "expires_days": 36_501}, "expires_days"),
        ({"scopes": ["read"], "expires_days": "1"}, "expires_days"),
        ({"scopes": ["read"], "is_test": 1}, "is_test"),
        ({"scopes": ["read"], "project": "other"}, "project"),
        ([], "JSON object"),
    ],
)
def test_what_is_no_key_is_refused(ingest_server: Server, calling: Calling, body: Any, field: str) -> None:
    caller = calling("refused")
    headers = {"x-api-key": ingest_server.key("refused", "admin,read")}
    answer = httpx.post(f"{ingest_server.url}/v1/projects/refused/keys", json=body, headers=headers)
    assert answer.status_code == 400 and field in answer.json()["detail"], answer.text
    assert all(key["name"] is None for key in caller.listed().values())


def test_a_long_list_has_pages(ingest_server: Server, calling: Calling) -> None:
    caller = calling("many")
    with closing(ingest_server.store()) as store, store.transaction():
        for _ in range(keys.MOST_LISTED):
            insert_key(store, *new_key("many", ["page"], 1))
    first = caller.page("").json()
    second = caller.page(first["next"]).json()
    ids = [key["key_id"] for page in (first, second) for key in page["keys"]]
    assert (len(first["keys"]), len(second["keys"]), second["next"]) == (keys.MOST_LISTED, 1, None)
    assert len(set(ids)) == len(ids) and ids[0] == caller.key_id


# When a key was last used


def used(server: Server, key_id: str) -> int | None:
    """What is kept of a key; the server may have stopped."""
    store = open_existing(server.settings.landing_store)
    assert store is not None
    with closing(store):
        ((last_used_us,),) = store.query("SELECT last_used_us FROM keys WHERE key_id = ?", key_id)
    found: int | None = last_used_us
    return found


def test_use_is_seen_whatever_it_was_and_only_of_who_was_let_in(
    ingest_server: Server, calling: Calling
) -> None:
    caller = calling("using")
    page, unused, foreign = (ingest_server.key("using", scopes) for scopes in ("page", "read", "ingest"))
    assert status(ingest_server, page, "using") == 202
    assert status(ingest_server, unused, "using") == 403
    assert status(ingest_server, foreign, "elsewhere") == 404
    deadline = time.monotonic() + WRITTEN
    while used(ingest_server, page.split("_")[2]) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    listed = caller.listed()
    last = listed[page.split("_")[2]]["last_used_at"]
    assert last.endswith(":00:00.000000Z") and last >= f"{listed[caller.key_id]['created_at'][:13]}:00"
    assert listed[unused.split("_")[2]]["last_used_at"] is None
    assert listed[foreign.split("_")[2]]["last_used_at"] is None


def test_no_answer_waits_for_it(ingest_server: Server, calling: Calling) -> None:
    caller = calling("waiting")
    with closing(ingest_server.store()) as other:
        with other.transaction():
            # Who writes must wait now: SQLite has one writer, and PostgreSQL's row is taken.
            other.execute("UPDATE keys SET name = 'held' WHERE key_id = ?", caller.key_id)
            for _ in range(3):
                began = time.monotonic()
                caller.listed()
                assert time.monotonic() - began < WRITE_SECONDS
            time.sleep(WRITE_SECONDS + 0.5)
            assert used(ingest_server, caller.key_id) is None
        deadline = time.monotonic() + WRITTEN
        while used(ingest_server, caller.key_id) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert used(ingest_server, caller.key_id) is not None


def test_a_server_that_is_stopped_leaves_no_use_behind(tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home")
    try:
        key = server.key("stopped", "ingest")
        assert status(server, key, "stopped") == 202
    finally:
        assert server.stop() == 0
    assert used(server, key.split("_")[2]) is not None


def test_a_key_is_written_once_an_hour(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(location)) as store, store.transaction():
        made, key = new_key("shop", ["read"], 1)
        insert_key(store, made, key)
    now_us = 100 * HOUR_US + 5
    monkeypatch.setattr(key_use.time, "time_ns", lambda: now_us * 1000)
    written: list[dict[str, int]] = []

    def note(store: LandingStore, hours_us: dict[str, int]) -> None:
        written.append(hours_us)
        note_use(store, hours_us)

    monkeypatch.setattr(key_use, "note_use", note)

    async def requests(*at_us: int) -> None:
        nonlocal now_us
        for at in at_us:
            now_us = at
            use.note(made.key_id)
            await use.write(writer)

    use, writer = KeyUse(), LandingWriter(location)
    try:
        asyncio.run(requests(*range(100 * HOUR_US, 101 * HOUR_US, HOUR_US // 50), 101 * HOUR_US))
        assert written == [{made.key_id: 100 * HOUR_US}, {made.key_id: 101 * HOUR_US}]
        # Another process that is late takes nothing back.
        use = KeyUse()
        asyncio.run(requests(100 * HOUR_US))
        # What the store does not take waits.
        monkeypatch.setattr(LandingWriter, "_open", lambda _: None)
        writer._store = None
        asyncio.run(requests(102 * HOUR_US))
        monkeypatch.undo()
        asyncio.run(use.write(writer))
    finally:
        writer.close()
    with closing(open_store(location)) as store:
        (listed,) = list_keys(store)
    assert len(written) == 3 and listed.last_used_us == 102 * HOUR_US
