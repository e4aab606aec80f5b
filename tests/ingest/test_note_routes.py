"""Notes on days over HTTP: whose they are, who sees and ends them, and when definitions changed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from servers import Server

from record import notes as kept
from record.landing import Location, open_store
from record.notes import MOST_CHARACTERS, insert_note, list_notes, new_note

HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE notes; --",
    "line\nline\ttab \\ \" ' % _",
    "\u202eright to left\u0001\u007f",
    "🛒 Ausverkauf, 50 %",
    "ü" * MOST_CHARACTERS,
)


class Caller:
    """The holder of a key, and the routes as it sees them."""

    def __init__(self, server: Server, project: str, scopes: str, **options: Any) -> None:
        key = server.key(project, scopes, **options)
        self.key_id = key.split("_")[2]
        self.client = httpx.Client(
            base_url=f"{server.url}/v1/projects/{project}", headers={"x-api-key": key}, timeout=30
        )

    def add(self, text: Any = "Sale", day: Any = "2026-03-01", **more: Any) -> httpx.Response:
        headers = more.pop("headers", None)
        return self.client.post("/notes", json={"day": day, "text": text, **more}, headers=headers)

    def listed(self, **asked: str) -> list[dict[str, Any]]:
        answer = self.client.get("/notes", params=asked)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["notes"])

    def texts(self, **asked: str) -> list[str]:
        return [note["text"] for note in self.listed(**asked)]

    def delete(self, note_id: str, **headers: str) -> int:
        return self.client.delete(f"/notes/{note_id}", headers=headers).status_code


Calling = Callable[..., Caller]


@pytest.fixture
def calling(ingest_server: Server) -> Calling:
    def new(project: str, scopes: str = "read,admin", **options: Any) -> Caller:
        return Caller(ingest_server, project, scopes, **options)

    return new


def test_a_note_is_added_listed_and_deleted(calling: Calling) -> None:
    caller = calling("noted", name="Ada")
    answer = caller.add("  Spring sale began ")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    written = datetime.fromisoformat(made["created_at"])
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=5)
    assert {**made, "note_id": "", "created_at": ""} == {
        "note_id": "",
        "created_at": "",
        "day": "2026-03-01",
        "text": "Spring sale began",
        "is_personal": False,
        "key_id": caller.key_id,
        "key_name": "Ada",
    }
    assert caller.listed() == [made]
    assert caller.delete(made["note_id"], **{"Funnelhouse-Dry-Run": "1"}) == 204
    assert caller.listed() == [made]
    assert [caller.delete(made["note_id"]) for _ in range(2)] == [204, 404]
    assert caller.listed() == []


def test_any_text_is_kept_letter_by_letter(calling: Calling) -> None:
    caller = calling("hostile")
    for text in HOSTILE:
        assert caller.add(text).json()["text"] == text
    assert caller.texts() == list(HOSTILE)


def test_days_are_chosen_and_in_order(calling: Calling) -> None:
    caller = calling("in-order")
    for day in ("2026-03-02", "2026-02-28", "2026-03-01", "2026-03-02"):
        assert caller.add(day, day).status_code == 201
    assert caller.texts() == ["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-02"]
    assert caller.texts(**{"from": "2026-03-01"}) == ["2026-03-01", "2026-03-02", "2026-03-02"]
    assert caller.texts(**{"to": "2026-03-01"}) == ["2026-02-28", "2026-03-01"]
    assert caller.texts(**{"from": "2026-03-01", "to": "2026-03-01"}) == ["2026-03-01"]
    assert caller.texts(**{"from": "2026-03-02", "to": "2026-03-01"}) == []


def test_pages_lead_through_all_notes_whatever_is_deleted(ingest_server: Server, calling: Calling) -> None:
    caller = calling("many")
    with closing(ingest_server.store()) as store, store.transaction():
        for number in range(1_001):
            note = new_note(f"2026-03-{number % 31 + 1:02}", str(number), False, caller.key_id, None)
            insert_note(store, "many", note)
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = caller.client.get("/notes", params={"after": after}).json()
        found += page["notes"]
        after = page["next"]
        # Where a page ended may be gone before the next is asked for.
        assert caller.delete(found[-1]["note_id"]) == 204
    assert len({note["note_id"] for note in found}) == len(found) == 1_001
    assert [note["day"] for note in found] == sorted(note["day"] for note in found)


def test_a_personal_note_is_seen_and_ended_by_its_keys_holder_alone(calling: Calling) -> None:
    reader, other, admin = calling("own", "read"), calling("own", "read"), calling("own", "admin")
    mine = reader.add("mine", is_personal=True).json()
    assert mine["is_personal"] and reader.texts() == ["mine"]
    assert other.texts() == admin.texts() == []
    assert other.delete(mine["note_id"]) == admin.delete(mine["note_id"]) == 404
    assert reader.texts() == ["mine"]
    assert reader.delete(mine["note_id"]) == 204


def test_a_note_of_the_project_is_of_admins(calling: Calling) -> None:
    reader, admin = calling("theirs", "read"), calling("theirs", "admin")
    refused = reader.add("ours")
    assert refused.status_code == 403 and "is_personal" in refused.json()["detail"]
    note = admin.add("ours").json()
    assert reader.texts() == ["ours"]
    assert reader.delete(note["note_id"]) == 403
    assert calling("theirs", "ingest").add("ours").status_code == 403
    assert calling("theirs", "admin").delete(note["note_id"]) == 204


def test_no_tenant_sees_anothers_and_test_keys_have_their_own(calling: Calling) -> None:
    live, stranger = calling("one"), calling("two")
    tested = calling("one", is_test=True)
    note = live.add("live").json()
    assert tested.add("test").status_code == 201
    assert (live.texts(), tested.texts(), stranger.texts()) == (["live"], ["test"], [])
    assert stranger.delete(note["note_id"]) == tested.delete(note["note_id"]) == 404
    assert stranger.client.get(str(live.client.base_url.join("notes"))).status_code == 404
    assert live.texts() == ["live"]


BAD_BODIES: tuple[Any, ...] = (
    {},
    [],
    {"day": "2026-03-01"},
    {"text": "x"},
    {"day": "2026-03-01", "text": ""},
    {"day": "2026-03-01", "text": " \n\t"},
    {"day": "2026-03-01", "text": None},
    {"day": "2026-03-01", "text": 1},
    {"day": "2026-03-01", "text": "x" * (MOST_CHARACTERS + 1)},
    {"day": "2026-02-30", "text": "x"},
    {"day": "2026-3-1", "text": "x"},
    {"day": "1999-12-31", "text": "x"},
    {"day": "2101-01-01", "text": "x"},
    {"day": "\uff12026-03-01", "text": "x"},
    {"day": 20260301, "text": "x"},
    {"day": "2026-03-01", "text": "x", "is_personal": "yes"},
    {"day": "2026-03-01", "text": "x", "personal": True},
    {"day": "2026-03-01", "text": "\x00"},
)


def test_what_is_no_note_is_refused_in_words(ingest_server: Server, calling: Calling) -> None:
    caller = calling("refused")
    for body in BAD_BODIES:
        answer = caller.client.post("/notes", json=body)
        assert answer.status_code == 400 and answer.json()["detail"], body
    assert caller.listed() == []
    with closing(ingest_server.store()) as store:
        kept_of_it = store.query("SELECT body FROM rejected WHERE project_id = ?", "refused")
    # It may have been a personal one.
    assert all(not text for (text,) in kept_of_it)


def test_half_a_letter_is_refused(calling: Calling) -> None:
    caller = calling("halves")
    for body in (b'{"day":"2026-03-01","text":"\\ud83d"}', b'{"day":"2026-03-01","text":"\xff"}', b"{"):
        assert caller.client.post("/notes", content=body).status_code == 400


UNASKABLE: tuple[tuple[str, dict[str, str]], ...] = (
    ("notes", {"from": "yesterday"}),
    ("notes", {"to": "2026-02-30"}),
    ("notes", {"after": "x"}),
    ("notes", {"after": "2026-03-01_1_" + "x" * 5000}),
    ("definition-changes", {"since": "2026"}),
    ("definition-changes", {"until": "9999-12-31T23:59:59Z"}),
    ("definition-changes", {"after": "-1_1"}),
    ("definition-changes", {"after": "9" * 30 + "_1"}),
)


def test_what_cannot_be_asked_for_is_said(calling: Calling) -> None:
    caller = calling("asked")
    for path, asked in UNASKABLE:
        answer = caller.client.get(f"/{path}", params=asked)
        assert answer.status_code == 400, asked
        assert answer.json()["detail"].startswith(f"{next(iter(asked))}: ")


def test_an_id_that_is_none_is_not_found(calling: Calling) -> None:
    caller = calling("nowhere")
    for note_id in ("x", "0" * 12, "%00", "é" * 12, "a" * 3000, "..%2Fkeys"):
        assert caller.delete(note_id) in (404, 405), note_id


def test_a_repeat_adds_no_second_note(calling: Calling) -> None:
    caller = calling("repeated-notes")
    once = {"Idempotency-Key": "sale"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller.add(headers=once), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    (note_id,) = {answer.json()["note_id"] for answer in answers}
    assert [note["note_id"] for note in caller.listed()] == [note_id]
    assert caller.add("another", headers=once).status_code == 422
    trial = caller.add(headers={**once, "Funnelhouse-Dry-Run": "1"})
    assert trial.json()["note_id"] == note_id
    assert caller.add(headers={"Funnelhouse-Dry-Run": "1"}).status_code == 201
    assert len(caller.listed()) == 1


def test_notes_are_bounded_those_of_a_project_and_those_of_a_key(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_NOTES", 2)
    with closing(open_store(location)) as store:
        for is_personal, key_id in ((False, "a"), (False, "b"), (True, "a"), (True, "a")):
            note = new_note("2026-03-01", "x", is_personal, key_id, None)
            assert kept.has_room(store, "shop", note)
            insert_note(store, "shop", note)
        for is_personal, key_id, room in ((False, "c", False), (True, "a", False), (True, "b", True)):
            note = new_note("2026-03-01", "x", is_personal, key_id, None)
            assert kept.has_room(store, "shop", note) is room
            assert kept.has_room(store, "other", note)


def test_a_store_that_was_made_earlier_gets_the_table(location: Location) -> None:
    with closing(open_store(location)) as store:
        store.execute("DROP TABLE notes")
    with closing(open_store(location)) as store:
        insert_note(store, "shop", new_note("2026-03-01", "x", False, "a", None))
        (note,) = list_notes(store, "shop", "b", "2026-01-01", "2026-12-31", None, 10)
        assert (note.text, note.key_name) == ("x", None)


GOAL = {"name": "Sign-up", "match": {"type": "event_name", "value": "signup"}}


def test_changes_of_definitions_that_hold_for_all_history_are_listed(calling: Calling) -> None:
    caller = calling("changing")
    begin = time.time_ns() // 1_000_000_000
    for path, body in (
        ("goals/signup", GOAL),
        # The same again changes nothing.
        ("goals/signup", GOAL),
        ("goals/signup", {**GOAL, "name": "Signed up"}),
        ("links/spring", {"name": "Spring", "to": [{"url": "https://shop.example/"}]}),
        ("settings", {"time_zone": "Europe/Berlin"}),
        ("traffic-sources/network", {"name": "Push network", "source": "push", "is_paid": True}),
    ):
        answer = caller.client.put(f"/{path}", json=body)
        assert answer.status_code == 200, answer.text
    assert caller.client.delete("/goals/signup").status_code == 204
    assert caller.client.put("/goals/signup", json=GOAL).status_code == 200
    page = calling("changing", "read").client.get("/definition-changes").json()
    said = [(each["kind"], each["id"], each["name"], each["change"]) for each in page["changes"]]
    assert page["next"] is None
    assert said == [
        ("goal", "signup", "Sign-up", "defined"),
        ("goal", "signup", "Signed up", "deleted"),
        ("traffic_source", "network", "Push network", "defined"),
        ("settings", "settings", None, "defined"),
        ("goal", "signup", "Signed up", "redefined"),
        ("goal", "signup", "Sign-up", "defined"),
    ]
    times = [each["changed_at"] for each in page["changes"]]
    assert times == sorted(times, reverse=True)
    asked = {"since": times[1], "until": times[0]}
    one = caller.client.get("/definition-changes", params=asked).json()["changes"]
    assert [each["change"] for each in one] == ["deleted"]
    later = {"since": datetime.fromtimestamp(begin + 3600, UTC).isoformat()}
    assert caller.client.get("/definition-changes", params=later).json()["changes"] == []
    assert calling("changing-not").client.get("/definition-changes").json()["changes"] == []


def test_pages_lead_through_all_changes(calling: Calling) -> None:
    caller = calling("often")
    for number in range(105):
        caller.client.put(f"/goals/goal-{number}", json=GOAL).raise_for_status()
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = caller.client.get("/definition-changes", params={"after": after}).json()
        found += [each["id"] for each in page["changes"]]
        after = page["next"]
    assert found == [f"goal-{number}" for number in reversed(range(105))]
