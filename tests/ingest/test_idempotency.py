"""Idempotency-Key over HTTP: done once, and answered the same whatever happens before the repeat."""

import asyncio
import gzip
import json
import signal
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from dialects import OF_A_PROJECT, OF_PAGES
from postgres import Cluster
from servers import SERVE_INGEST, Server, start_ingest

from record.landing import Location

EVENTS = "/v1/projects/idem/events"
CONVERSIONS = "/v1/projects/idem/conversions"
POSTBACK = "/pb/idem"
COSTS = "/v1/projects/idem/costs"
RATES = "/v1/projects/idem/exchange-rates"
KEY = "Idempotency-Key"

PAGE_VIEW = b'{"event_type":"pageview"}'
OTHER = b'{"event_type":"pageview","url":"https://shop.example/"}'

_V2 = {"session_data": {"session_id": "s", "user_id": "u", "conversion_id": "g"}}
_CALL = {"userId": "u", "event": "e", "groupId": "g", "previousId": "p"}

# A good body of each route that takes POST, and the member of its errors that says what is wrong.
ROUTES: dict[str, tuple[Any, str]] = {
    **{sent.path("idem"): (json.loads(sent.body), sent.reason) for sent in OF_A_PROJECT},
    COSTS: ([{"day": "2026-01-31", "source": "google", "amount": 1, "currency": "USD"}], "detail"),
    RATES: ({"rates": [{"from": "EUR", "to": "USD", "date": "2026-05-02", "rate": "1.1"}]}, "detail"),
}
TABLES = {COSTS: "costs", RATES: "definitions"}


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("idem", "ingest,admin")}
    ingest_server.set_postbacks("idem", "open")
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client
    ingest_server.set_postbacks("idem", "off")


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def count(server: Server, table: str = "events", project: str = "idem") -> int:
    with closing(server.store()) as store:
        ((found,),) = store.query(f"SELECT count(*) FROM {table} WHERE project_id = ?", project)
        return int(found)


def shown(answer: httpx.Response) -> tuple[Any, ...]:
    """What a repeat must have in common with the first."""
    headers = ("content-type", "funnelhouse-event-id", "cache-control")
    return answer.status_code, answer.content, *(answer.headers.get(name) for name in headers)


def test_every_post_says_that_it_takes_the_key(client: httpx.Client) -> None:
    described = client.get("/ingest/openapi.json").json()["paths"]
    posts = {path: methods["post"] for path, methods in described.items() if "post" in methods}
    tested = {path.replace("/idem", "/{project_id}").replace("/secret", "/{secret}") for path in ROUTES}
    # Those of keys, notes and destinations land no report: test_key_routes.py, test_note_routes.py and
    # test_destination_routes.py repeat them. Pages repeat by their events' ids.
    below = "/v1/projects/{project_id}"
    actions = ("pause", "resume", "release", "test")
    wished = (f"destinations/{{destination_id}}/{action}" for action in actions)
    others = {
        *("/pb", f"{below}/keys", f"{below}/notes", f"{below}/deliveries/replay"),
        *(f"{below}/{path}" for path in wished),
        *(sent.template for sent in OF_PAGES),
    }
    assert posts.keys() == tested | others
    for described_post in posts.values():
        assert KEY in {parameter["name"] for parameter in described_post["parameters"]}
    reading = [methods["get"].get("parameters", []) for methods in described.values() if "get" in methods]
    assert KEY not in json.dumps(reading)


@pytest.mark.parametrize("path", ROUTES)
def test_a_repeat_lands_nothing_and_is_answered_as_the_first_was(
    client: httpx.Client, ingest_server: Server, path: str, key: str
) -> None:
    body, _ = ROUTES[path]
    table = TABLES.get(path, "events")
    before = count(ingest_server, table)
    first = client.post(path, json=body, headers={KEY: key})
    assert first.status_code in (200, 202), first.text
    assert "idempotent-replayed" not in first.headers
    landed = count(ingest_server, table)
    assert landed > before
    for written in (path, f"{path}/"):
        again = client.post(written, json=body, headers={KEY: key})
        assert shown(again) == shown(first)
        assert again.headers["idempotent-replayed"] == "true"
    assert count(ingest_server, table) == landed
    assert client.post(path, json=body, headers={KEY: f"{key}-2"}).status_code == first.status_code
    assert count(ingest_server, table) == landed + landed - before


@pytest.mark.parametrize("path", ROUTES)
def test_another_body_under_the_same_key_is_refused_in_the_routes_own_shape(
    client: httpx.Client, ingest_server: Server, path: str, key: str
) -> None:
    body, member = ROUTES[path]
    client.post(path, json=body, headers={KEY: key})
    tables = ("events", *TABLES.values())
    before = [count(ingest_server, table) for table in tables]
    # Another text of the same value is another body.
    answer = client.post(path, content=json.dumps(body, indent=1), headers={KEY: key})
    assert answer.status_code == 422
    assert answer.json()[member].startswith(f"{KEY}: ")
    assert [count(ingest_server, table) for table in tables] == before


@pytest.mark.parametrize("path", [EVENTS, "/v1/conversions", "/v1/batch", POSTBACK, COSTS])
@pytest.mark.parametrize("bad", ["", "k" * 256])
def test_a_key_has_1_to_255_characters(client: httpx.Client, path: str, bad: str) -> None:
    body, member = ROUTES[path]
    answer = client.post(path, json=body, headers={KEY: bad})
    assert answer.status_code == 400
    assert answer.json()[member].startswith(f"{KEY}: ")


def test_any_characters_make_a_key_and_two_keys_are_none(client: httpx.Client) -> None:
    for sent in ("k" * 255, '"quoted"', "tab\tand blank", "ü".encode(), b"\x80\x85\xff"):
        header = [(KEY.encode(), sent if isinstance(sent, bytes) else sent.encode())]
        answers = [client.post(EVENTS, content=PAGE_VIEW, headers=header) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert shown(answers[0]) == shown(answers[1])
    assert client.post(EVENTS, content=PAGE_VIEW, headers=[(KEY, "a"), (KEY, "b")]).status_code == 400


def test_a_key_belongs_to_a_project_and_a_route(
    client: httpx.Client, ingest_server: Server, key: str
) -> None:
    other = {"x-api-key": ingest_server.key("idem2", "ingest")}
    trial = {"x-api-key": ingest_server.key("idem", "ingest", is_test=True)}
    conversion = b'{"event_type":"conversion","event_name":"purchase"}'
    answers = [
        client.post(EVENTS, content=conversion, headers={KEY: key}),
        client.post(CONVERSIONS, content=conversion, headers={KEY: key}),
        client.post("/v1/projects/idem2/events", content=conversion, headers={KEY: key, **other}),
        client.post(EVENTS, content=conversion, headers={KEY: key, **trial}),
        client.post(EVENTS, content=conversion, headers={KEY: key.upper() + "X"}),
    ]
    assert [answer.status_code for answer in answers] == [202] * 5
    assert len({answer.headers["funnelhouse-event-id"] for answer in answers}) == 5
    assert not any("idempotent-replayed" in answer.headers for answer in answers)


def test_get_takes_no_key(client: httpx.Client, ingest_server: Server, key: str) -> None:
    before = count(ingest_server)
    for _ in range(2):
        assert client.get(f"{POSTBACK}?hit=h", headers={KEY: key}).status_code == 200
    assert client.get(f"{POSTBACK}?hit=other", headers={KEY: ""}).status_code == 200
    assert count(ingest_server) == before + 3


def test_what_a_postback_says_in_its_query_counts_as_its_body(client: httpx.Client, key: str) -> None:
    paths = (f"{POSTBACK}?hit=h&tx=1", f"{POSTBACK}?hit=h&tx=1", f"{POSTBACK}?hit=h&tx=2")
    answers = [client.post(path, headers={KEY: key}) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200, 422]


def test_a_body_is_the_same_however_it_is_encoded(client: httpx.Client, key: str) -> None:
    first = client.post(EVENTS, content=PAGE_VIEW, headers={KEY: key})
    zipped = {KEY: key, "Content-Encoding": "gzip"}
    assert shown(client.post(EVENTS, content=gzip.compress(PAGE_VIEW), headers=zipped)) == shown(first)


def test_what_was_refused_may_be_mended_under_the_same_key(client: httpx.Client, key: str) -> None:
    for refused in (b"{", b"[]", b'[{"event_type":"no"}]', b'{"event_type":"event"}'):
        assert client.post(EVENTS, content=refused, headers={KEY: key}).status_code == 400
    first = client.post(EVENTS, content=PAGE_VIEW, headers={KEY: key})
    assert first.status_code == 202
    assert shown(client.post(EVENTS, content=PAGE_VIEW, headers={KEY: key})) == shown(first)
    assert client.post(EVENTS, content=b"{", headers={KEY: key}).status_code == 400


def test_a_dry_run_takes_no_key_and_shows_what_would_be_answered(
    client: httpx.Client, ingest_server: Server, key: str
) -> None:
    before = count(ingest_server)
    trial = {KEY: key, "Funnelhouse-Dry-Run": "1"}
    tried = client.post(EVENTS, content=OTHER, headers=trial)
    assert (tried.status_code, tried.headers["funnelhouse-dry-run"]) == (202, "1")
    assert client.post(EVENTS, content=PAGE_VIEW, headers=trial).status_code == 202
    first = client.post(EVENTS, content=PAGE_VIEW, headers={KEY: key})
    assert "idempotent-replayed" not in first.headers
    again = client.post(EVENTS, content=PAGE_VIEW, headers=trial)
    assert shown(again) == shown(first)
    assert (again.headers["funnelhouse-dry-run"], again.headers["idempotent-replayed"]) == ("1", "true")
    assert client.post(EVENTS, content=OTHER, headers=trial).status_code == 422
    assert count(ingest_server) == before + 1
    assert "funnelhouse-dry-run" not in client.post(EVENTS, content=PAGE_VIEW, headers={KEY: key}).headers


def test_an_array_of_which_items_were_refused_is_answered_the_same(
    client: httpx.Client, ingest_server: Server, key: str
) -> None:
    items = [{"event_type": "pageview"}, {"event_type": "no"}, {"event_type": "pageview", "event_id": "mine"}]
    before = count(ingest_server), count(ingest_server, "rejected")
    first = client.post(EVENTS, json=items, headers={KEY: key})
    again = client.post(EVENTS, json=items, headers={KEY: key})
    assert shown(again) == shown(first)
    assert [result["status"] for result in first.json()["results"]] == [202, 400, 202]
    assert (count(ingest_server), count(ingest_server, "rejected")) == (before[0] + 2, before[1] + 1)


def prune(server: Server, key: str) -> None:
    with closing(server.store()) as store:
        store.execute("DELETE FROM answers WHERE idempotency_key = ?", key)


def test_event_ids_follow_from_the_request(client: httpx.Client, ingest_server: Server, key: str) -> None:
    """So that the models know a repeat even when the key is not kept any more."""
    items = [{"event_type": "pageview"}, {"event_type": "no"}, {"event_type": "pageview"}]

    def ids(body: Any, key: str, path: str = EVENTS) -> list[str]:
        results = client.post(path, json=body, headers={KEY: key}).json()["results"]
        return [result.get("event_id") for result in results]

    first = ids(items, key)
    assert {uuid.UUID(first[at]).version for at in (0, 2)} == {5}
    assert first[0] != first[2]
    prune(ingest_server, key)
    assert ids(items, key) == first
    # The id is the place's in the request, not the count of those that needed one.
    prune(ingest_server, key)
    other = ids([{"event_type": "pageview", "event_id": "mine"}, *items[1:]], key)
    assert other[0] == "mine"
    assert other[2] not in first
    assert not set(ids(items, f"{key}-2")) & set(first[::2])
    no_type = [{"event_name": "x"}, {"event_name": "x"}]
    assert len(set(ids(no_type, key, CONVERSIONS))) == 2


def test_bulk_reports_have_ids_of_their_own(client: httpx.Client, ingest_server: Server, key: str) -> None:
    calls = {"batch": [{"type": "track", **_CALL}, {"type": "no"}, {"type": "page", **_CALL}]}
    for path, body in (("/v2/conversions/bulk", {"events": [_V2, _V2]}), ("/v1/batch", calls)):
        sent = []
        for _ in range(2):
            before = count(ingest_server)
            assert client.post(path, json=body, headers={KEY: key}).status_code == 200
            assert count(ingest_server) == before + 2
            with closing(ingest_server.store()) as store:
                rows = store.query("SELECT event_id FROM events WHERE project_id = 'idem' ORDER BY id")
            sent.append([event_id for (event_id,) in rows[-2:]])
            prune(ingest_server, key)
        assert sent[0] == sent[1]
        assert len(set(sent[0])) == 2


def post_at_once(urls: list[str], api_key: str, sent: list[tuple[str, bytes]]) -> list[httpx.Response]:
    """Answers to all of `sent` (key, body), each at every one of `urls`, all at the same time."""

    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(headers={"x-api-key": api_key}, limits=limits, timeout=30) as client:
            return await asyncio.gather(
                *(client.post(url, content=body, headers={KEY: key}) for key, body in sent for url in urls)
            )

    return asyncio.run(run())


def test_repeats_at_the_same_time_wait_for_the_first(
    client: httpx.Client, ingest_server: Server, key: str
) -> None:
    before = count(ingest_server)
    url, api_key = ingest_server.url + EVENTS, client.headers["x-api-key"]
    answers = post_at_once([url], api_key, [(key, PAGE_VIEW)] * 60)
    assert len({shown(answer) for answer in answers}) == 1
    assert answers[0].status_code == 202
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert count(ingest_server) == before + 1
    mixed = post_at_once([url], api_key, [(f"{key}-2", PAGE_VIEW), (f"{key}-2", OTHER)] * 20)
    assert sorted({answer.status_code for answer in mixed}) == [202, 422]
    assert sum(answer.status_code == 202 for answer in mixed) == 20
    assert count(ingest_server) == before + 2


def test_two_processes_do_a_request_once(postgres: Cluster, tmp_path: Path) -> None:
    url = postgres.new_database()
    servers = [start_ingest(tmp_path / "home", url) for _ in range(2)]
    try:
        api_key = servers[0].key("idem", "ingest")
        urls = [server.url + EVENTS for server in servers]
        # In both orders: neither may wait for the other while that waits for it.
        keys = [f"{number}" for number in range(40)]
        sent = [(key, PAGE_VIEW) for key in [*keys, *reversed(keys)]]
        answers = post_at_once(urls, api_key, sent)
        by_key: dict[str, set[Any]] = {}
        for answer in answers:
            by_key.setdefault(answer.request.headers[KEY], set()).add(shown(answer))
        assert {answer.status_code for answer in answers} == {202}
        assert {len(found) for found in by_key.values()} == {1}
        assert count(servers[0]) == len(keys)
    finally:
        assert [server.stop() for server in servers] == [0, 0]


DIES_BEFORE_IT_ANSWERS = f"""
import os, signal
from ingest_api.group_commit import GroupCommit
GroupCommit._settle = lambda *_: os.killpg(0, signal.SIGKILL)
{SERVE_INGEST}
"""


def test_a_server_that_died_before_it_answered_answers_the_repeat(location: Location, tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home", location, DIES_BEFORE_IT_ANSWERS)
    headers = {"x-api-key": server.key("idem", "ingest"), KEY: "k"}
    with pytest.raises(httpx.TransportError):
        httpx.post(server.url + EVENTS, headers=headers, content=PAGE_VIEW)
    assert server.process.wait(10) == -signal.SIGKILL
    assert count(server) == 1
    server = start_ingest(tmp_path / "home", location)
    try:
        again = httpx.post(server.url + EVENTS, headers=headers, content=PAGE_VIEW)
        assert (again.status_code, again.json()) == (202, {"queued": True, "accepted": 1})
        assert again.headers["idempotent-replayed"] == "true"
        with closing(server.store()) as store:
            found = store.query("SELECT event_id FROM events")
        assert found == [(again.headers["funnelhouse-event-id"],)]
    finally:
        server.stop()
