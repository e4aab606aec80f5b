"""How long texts may be, over HTTP: a column takes them to its last byte; what becomes of one byte more."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from servers import Server

from record.landing.store import LandingStore

EVENTS = "/v1/projects/long/events"
ID, NAME, WORD, ADDRESS, UTM, CLICK = 1024, 4096, 256, 8192, 1024, 4096
PREVIOUS = {"user_id": "u", "previous_id": "p"}
V1 = {"session_id": "s", "user_id": "u", "conversion_id": "g"}

Body = Callable[[Any], Any]


def of(**report: Any) -> Body:
    """An OpenAnalytics report; a name without value takes the text."""
    return lambda text: {
        "event_type": "event",
        "event_name": "e",
        **{name: text if value is None else value for name, value in report.items()},
    }


def postback(name: str) -> str:
    return "/pb/long?vid=v&" + name + "="


def v1(name: str) -> Body:
    return lambda text: {"events": [{**V1, name: text}]}


def v2(**report: Any) -> Body:
    return lambda text: {"session_data": {**V1, "visit_id": text}}


# Path, body (None: the text stands at the path's end), column, limit, and the field that the refusal names.
REFUSED: list[tuple[str, Body | None, str, int, str]] = [
    (EVENTS, of(user_id=None), "user_id", ID, "user_id"),
    (EVENTS, of(anonymous_id=None), "visitor_id", ID, "anonymous_id"),
    (EVENTS, of(session_id=None), "session_id", ID, "session_id"),
    (EVENTS, of(visit_id=None), "hit_id", ID, "visit_id"),
    (EVENTS, of(page_id=None), "page_id", ID, "page_id"),
    (EVENTS, of(event_type="alias", user_id="u", previous_id=None), "previous_id", ID, "previous_id"),
    (EVENTS, of(transaction_id=None), "transaction_id", ID, "transaction_id"),
    (
        EVENTS,
        lambda text: of(properties={"order_id": text})(text),
        "transaction_id",
        ID,
        "properties.order_id",
    ),
    (EVENTS, of(event_name=None), "name", NAME, "event_name"),
    (EVENTS, of(event_type="conversion", event_name=None), "name", NAME, "event_name"),
    (EVENTS, of(status=None), "status", WORD, "status"),
    ("/v1/conversions", v1("session_id"), "session_id", ID, "events[0].session_id"),
    ("/v1/conversions", v1("user_id"), "visitor_id", ID, "events[0].user_id"),
    ("/v1/conversions", v1("conversion_id"), "goal_id", ID, "events[0].conversion_id"),
    ("/v1/conversions", v1("label"), "name", NAME, "events[0].label"),
    (
        "/v1/conversions",
        lambda text: {"events": [{**V1, "properties": {"order_id": text}}]},
        "transaction_id",
        ID,
        "events[0]: properties.order_id",
    ),
    ("/v2/conversions", v2(), "hit_id", ID, "session_data.visit_id"),
    (
        "/v1/analytics/report-conversion",
        lambda t: {"event": "e", "sessionId": t},
        "session_id",
        ID,
        "sessionId",
    ),
    ("/v1/analytics/report-conversion", lambda t: {"event": "e", "hash": t}, "alias_value", ID, "hash"),
    ("/v1/analytics/report-conversion", lambda t: {"event": t, "hash": "h"}, "name", NAME, "event"),
    ("/pb/long?hit=", None, "hit_id", ID, "hit"),
    (postback("p"), None, "page_id", ID, "p"),
    (postback("tx"), None, "transaction_id", ID, "tx"),
    (postback("status"), None, "status", WORD, "status"),
    ("/pb/long?vid=", None, "visitor_id", ID, "vid"),
]

# Path, body, column, limit: cut there.
CUT: list[tuple[str, Body, str, int]] = [
    (EVENTS, of(url=None), "url", ADDRESS),
    (EVENTS, of(referrer=None), "referrer", ADDRESS),
    (EVENTS, of(user_agent=None), "user_agent", ADDRESS),
    *((EVENTS, of(**{f"utm_{name}": None}), f"utm_{name}", UTM) for name in ("source", "medium", "campaign")),
    *((EVENTS, of(**{f"utm_{name}": None}), f"utm_{name}", UTM) for name in ("term", "content")),
    (EVENTS, of(event_type="pageview", event_name=None), "name", NAME),
    ("/v1/page", lambda text: {"userId": "u", "name": text}, "name", NAME),
    ("/v1/track", lambda text: {"userId": "u", "event": text}, "name", NAME),
    ("/v1/page", lambda text: {"userId": "u", "properties": {"url": text}}, "url", ADDRESS),
    ("/v1/page", lambda text: {"userId": "u", "properties": {"referrer": text}}, "referrer", ADDRESS),
    *(
        ("/v1/track", lambda text, at=at: {"userId": "u", "event": "e", "context": at(text)}, column, most)
        for at, column, most in (
            (lambda text: {"userAgent": text}, "user_agent", ADDRESS),
            (lambda text: {"campaign": {"name": text}}, "utm_campaign", UTM),
            (lambda text: {"campaign": {"source": text}}, "utm_source", UTM),
        )
    ),
]


def order(text: str) -> dict[str, Any]:
    return {"userId": "u", "event": "Order Completed", "properties": {"order_id": text}}


# Path, body, column, limit: left out beyond it.
LEFT_OUT: list[tuple[str, Body, str, int]] = [
    ("/v1/track", lambda text: {"userId": text, "event": "e"}, "user_id", ID),
    ("/v1/track", lambda text: {"anonymousId": text, "event": "e"}, "visitor_id", ID),
    ("/v1/identify", lambda text: {"userId": text, "anonymousId": "a"}, "user_id", ID),
    ("/v1/track", order, "transaction_id", ID),
    ("/v1/group", lambda text: {"userId": "u", "groupId": text}, "properties", ID),
    ("/v1/analytics/report-conversion", lambda text: {"event": "e", "gclid": text}, "click_id", CLICK),
]


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("long", "ingest")}
    ingest_server.set_postbacks("long", "open")
    with httpx.Client(base_url=ingest_server.url, headers=headers, timeout=20) as client:
        yield client
    ingest_server.set_postbacks("long", "off")


@pytest.fixture(scope="module")
def landing(ingest_server: Server) -> Iterator[LandingStore]:
    with closing(ingest_server.store()) as store:
        yield store


def send(client: httpx.Client, path: str, body: Body | None, text: str) -> httpx.Response:
    if body is None:
        return client.post(path + quote(text, safe=""))
    return client.post(path, content=json.dumps(body(text), ensure_ascii=False).encode())


def last(landing: LandingStore, column: str) -> tuple[str | None, str]:
    """A column of the newest event, and its payload."""
    order = ", ".join(f"{name} DESC" for name in landing.row_order.split(", "))
    ((value, payload),) = landing.query(
        f"SELECT {column}, payload FROM events WHERE project_id = 'long' ORDER BY {order} LIMIT 1"
    )
    return value, payload


def texts(limit: int) -> list[str]:
    """Texts of exactly so many bytes: of ASCII, and of characters of two, three and four bytes."""
    return ["a" * limit, "ü" * (limit // 2), "€" * (limit // 3) + "a" * (limit % 3), "😀" * (limit // 4)]


@pytest.mark.parametrize(("path", "body", "column", "limit", "field"), REFUSED)
def test_a_longer_one_is_refused(
    client: httpx.Client,
    landing: LandingStore,
    path: str,
    body: Body | None,
    column: str,
    limit: int,
    field: str,
) -> None:
    for text in texts(limit):
        answer = send(client, path, body, text)
        assert answer.status_code in (200, 202), answer.text
        assert last(landing, column)[0] == text
        answer = send(client, path, body, text + "a")
        assert answer.status_code == 400
        said = answer.json()
        assert str(said.get("error") or said.get("detail")).startswith(f"{field}: must have at most {limit} ")


def test_an_event_id_is_an_id(client: httpx.Client) -> None:
    answers = [send(client, EVENTS, of(event_id=None), "e" * length) for length in (ID, ID + 1)]
    assert [answer.status_code for answer in answers] == [202, 400]
    assert answers[0].headers["Funnelhouse-Event-Id"] == "e" * ID
    assert "event_id" in answers[1].json()["detail"]


@pytest.mark.parametrize(("path", "body", "column", "limit"), CUT)
def test_a_longer_one_is_cut_at_a_character(
    client: httpx.Client, landing: LandingStore, path: str, body: Body, column: str, limit: int
) -> None:
    for text in texts(limit):
        for sent, kept in ((text, text), (text + "x" * 9000, text), ("a" + text, ("a" + text)[: len(text)])):
            answer = send(client, path, body, sent)
            assert answer.status_code in (200, 202), answer.text
            value, payload = last(landing, column)
            assert value == kept
            assert sent in payload


@pytest.mark.parametrize(("path", "body", "column", "limit"), LEFT_OUT)
def test_a_longer_one_is_left_out(
    client: httpx.Client, landing: LandingStore, path: str, body: Body, column: str, limit: int
) -> None:
    for text in texts(limit):
        assert send(client, path, body, text).status_code == 200
        assert text in str(last(landing, column)[0])
        assert send(client, path, body, text + "a").status_code == 200
        value, payload = last(landing, column)
        assert value in (None, "{}")
        assert text in payload


def test_what_is_left_out_and_cut_is_counted(client: httpx.Client, ingest_server: Server) -> None:
    def counted() -> dict[str, float]:
        lines = httpx.get(f"{ingest_server.url}/ingest/metrics").text.splitlines()
        found = (line.split(" ") for line in lines if line.startswith("funnelhouse_shortened_fields_total"))
        return {" ".join(name): float(value) for *name, value in found}

    before = counted()
    call = {"userId": "u" * 1025, "event": "e" * 4097, "messageId": "no id"}
    assert client.post("/v1/track", json=call).status_code == 200
    more = {name: value - before.get(name, 0) for name, value in counted().items()}
    assert more == {
        'funnelhouse_shortened_fields_total{how="cut"}': 1,
        'funnelhouse_shortened_fields_total{how="left out"}': 2,
    }


def test_another_click_id_takes_the_place_of_one_that_is_too_long(
    client: httpx.Client, landing: LandingStore
) -> None:
    report = {"event": "e", "gclid": "g" * (CLICK + 1), "fbclid": "f"}
    assert client.post("/v1/analytics/report-conversion", json=report).status_code == 200
    assert last(landing, "click_id")[0] == "f"
    assert last(landing, "properties")[0] == '{"fbclid":"f"}'


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/alias", {"userId": "u", "previousId": "p" * (ID + 1)}),
        ("/v1/alias", {"userId": "u" * (ID + 1), "previousId": "p"}),
        ("/v1/identify", {"userId": "u" * (ID + 1)}),
    ],
)
def test_a_call_about_ids_that_are_too_long_says_nothing(
    client: httpx.Client, landing: LandingStore, path: str, call: dict[str, str]
) -> None:
    before = landing.query("SELECT count(*) FROM events")
    assert client.post(path, json=call).status_code == 200
    assert landing.query("SELECT count(*) FROM events") == before


def test_a_header_is_cut_as_well(client: httpx.Client, landing: LandingStore) -> None:
    headers = {"Origin": "https://shop.example", "User-Agent": "a" * (ADDRESS + 1)}
    assert client.post(EVENTS, json={"event_type": "pageview"}, headers=headers).status_code == 202
    assert last(landing, "user_agent")[0] == "a" * ADDRESS


@pytest.mark.parametrize(
    ("experiments", "fault"),
    [
        ({f"e{number}": "a" for number in range(50)}, None),
        ({f"e{number}": "a" for number in range(51)}, "experiments: must have at most 50 keys"),
        ({"e" * WORD: "v" * WORD}, None),
        ({"ü" * 129: "v"}, "experiments: a name must have at most 256 bytes"),
        ({"e": "v" * 257}, "experiments: a variant must have at most 256 bytes"),
        ({"e": {"v": "w" * 250}}, "experiments: a variant must have at most 256 bytes"),
        ([], "experiments: must be a JSON object"),
    ],
)
def test_experiments_are_few_and_short(client: httpx.Client, experiments: Any, fault: str | None) -> None:
    answer = client.post(EVENTS, json={"event_type": "pageview", "experiments": experiments})
    assert answer.status_code == (202 if fault is None else 400)
    assert fault is None or answer.json()["detail"].startswith(fault)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("goals/g", {"name": "n" * 1025, "match": {"type": "any_conversion"}}, "name"),
        ("goals/g", {"match": {"type": "event_name", "value": "n" * 4097}}, "match.value"),
        (
            "goals/g",
            {"match": {"type": "any_conversion"}, "property": {"key": "k", "value": "v" * 4097}},
            "property.value",
        ),
        ("pages/p", {"name": "ü" * 513, "kind": "offer"}, "name"),
        ("pages/p", {"name": "n", "kind": "offer", "path": "/" + "p" * 65_536}, "definition"),
        ("traffic-sources/t", {"name": "n", "source": "s" * 1025}, "source"),
        ("goals/g", {"x" * 90_000: 1, "match": {"type": "any_conversion"}}, "xxx"),
    ],
)
def test_definitions_are_short(ingest_server: Server, path: str, body: dict[str, Any], field: str) -> None:
    headers = {"x-api-key": ingest_server.key("long", "admin")}
    answer = httpx.put(f"{ingest_server.url}/v1/projects/long/{path}", json=body, headers=headers)
    assert answer.status_code == 400
    assert field in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 1000


def test_a_definition_has_64_kilobytes(ingest_server: Server) -> None:
    step = {"name": "n" * 1000, "match": {"type": "event_name", "value": "v" * 2000}}
    headers = {"x-api-key": ingest_server.key("long", "admin")}
    url = f"{ingest_server.url}/v1/projects/long/funnels/f"
    assert httpx.put(url, json={"name": "f", "steps": [step] * 20}, headers=headers).status_code == 200
    long = {"name": "n" * 1000, "match": {"type": "event_name", "value": "v" * 4000}}
    refused = httpx.put(url, json={"name": "f", "steps": [long] * 20}, headers=headers)
    assert (refused.status_code, "65536 bytes" in refused.json()["detail"]) == (400, True)


def test_costs_have_short_texts(ingest_server: Server) -> None:
    headers = {"x-api-key": ingest_server.key("long", "admin")}
    cost = {"day": "2026-01-31", "source": "s", "amount": 1, "currency": "USD"}
    for name in ("source", "medium", "campaign"):
        statuses = []
        for text in ("c" * 1024, "c" * 1025):
            url = f"{ingest_server.url}/v1/projects/long/costs"
            statuses.append(httpx.post(url, json=[{**cost, name: text}], headers=headers).status_code)
        assert statuses == [200, 400]
