"""What every ingest route keeps to: keys, limits, encodings, paths, methods."""

import asyncio
import base64
import gzip
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from dialects import BY_KEY, OF_A_PROJECT, OF_PAGES, SENT, Sent, names
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import SERVE_INGEST, Server, start_ingest

from funnelhouse.problems import Refusal
from ingest_api import body

EVENTS = "/v1/projects/http/events"
PAGE_VIEW = b'{"event_type":"pageview"}'

PATHS = [sent.path("http") for sent in BY_KEY]
POSTBACK = "/pb/http"
FIELDS = sorted(
    {name for sent in SENT for name in names(sent.route.schema)} | {"context", "integrations", "writeKey"}
)


@pytest.fixture(scope="module")
def key(ingest_server: Server) -> Iterator[str]:
    key = ingest_server.key("http", "ingest")
    ingest_server.set_access("http", postbacks="open", origins=["https://shop.example"])
    yield key
    ingest_server.set_access("http", postbacks="off", origins=["off"])


@pytest.fixture(scope="module")
def client(ingest_server: Server, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ingest_server.url, headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


def test_a_key_may_come_as_bearer_header_or_basic(ingest_server: Server, key: str) -> None:
    basic = base64.b64encode(f"{key}:".encode()).decode()
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer {key}"},
        {"x-api-key": key},
        {"Authorization": f"Basic {basic}"},
    ):
        answer = httpx.post(ingest_server.url + EVENTS, headers=headers, content=PAGE_VIEW)
        assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic !"}, {"Authorization": "Digest x"}, {"x-api-key": "fh_live_a_b"}]
)
def test_without_a_good_key_401(ingest_server: Server, headers: dict[str, str]) -> None:
    assert httpx.post(ingest_server.url + EVENTS, headers=headers, content=PAGE_VIEW).status_code == 401


def test_without_the_scope_403(ingest_server: Server) -> None:
    headers = {"x-api-key": ingest_server.key("http", "read,admin")}
    answer = httpx.post(ingest_server.url + EVENTS, headers=headers, content=PAGE_VIEW)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "The API key needs the scope page or ingest.",
    )


def test_what_test_keys_send_is_kept_apart(ingest_server: Server) -> None:
    headers = {"x-api-key": ingest_server.key("apart", "ingest", is_test=True)}
    answer = httpx.post(ingest_server.url + "/v1/projects/apart/events", headers=headers, content=PAGE_VIEW)
    landing = ingest_server.store()
    event_id = answer.headers["Funnelhouse-Event-Id"]
    found = landing.query("SELECT project_id FROM events WHERE event_id = ?", event_id)
    assert found == [("apart.test",)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(gzip.compress(PAGE_VIEW), 202, id="one member"),
        pytest.param(gzip.compress(PAGE_VIEW[:9]) + gzip.compress(PAGE_VIEW[9:]), 202, id="two members"),
        pytest.param(gzip.compress(PAGE_VIEW)[:-9], 400, id="cut off"),
        pytest.param(b"no gzip", 400, id="no gzip"),
        pytest.param(gzip.compress(b" " * 1_048_577), 413, id="too large when unpacked"),
        pytest.param(gzip.compress(gzip.compress(b"x") * 10) + b"rest", 400, id="rest after the member"),
    ],
)
def test_gzip(client: httpx.Client, sent: bytes, status: int) -> None:
    assert client.post(EVENTS, headers={"Content-Encoding": "gzip"}, content=sent).status_code == status


def test_the_limit_counts_what_arrives(client: httpx.Client) -> None:
    padded = PAGE_VIEW.ljust(1_048_576)
    assert client.post(EVENTS, content=padded).status_code == 202
    assert client.post(EVENTS, content=padded + b" ").status_code == 413
    chunks = (b" " * 65_536 for _ in range(100))
    # It may be answered, and closed, while the sender is still writing.
    with suppress(httpx.TransportError):
        assert client.post(EVENTS, content=chunks).status_code == 413


def test_a_large_body_is_one_transaction(client: httpx.Client) -> None:
    body = json.dumps([{"event_type": "event", "event_name": "x" * 200}] * 1000)
    assert len(body) > 65_536
    answer = client.post(EVENTS, content=body).json()
    assert answer["accepted"] == 1000
    assert [result["index"] for result in answer["results"]] == list(range(1000))


def test_head_and_get_are_refused_and_nothing_redirects(client: httpx.Client) -> None:
    for path in PATHS:
        for written in (path, path + "/"):
            assert client.head(written).status_code == 405
            assert client.get(written).status_code == 405
            assert client.put(written).headers["allow"] == "POST"
            assert client.post(written, content=b"x").status_code == 400


def test_the_routes_tested_here_are_all_that_take_reports(client: httpx.Client) -> None:
    described = client.get("/ingest/openapi.json").json()["paths"]
    defining = re.compile(
        r"/(goals|funnels|pages|traffic-sources|experiments|destinations|deliveries|settings|tracker|costs|exchange-rates|keys|notes)(/|$)"
    )
    receiving = {p for p, methods in described.items() if "post" in methods}
    taking = {p for p in receiving if not p.startswith("/ingest/") and not defining.search(p)}
    assert taking == {sent.template for sent in SENT}
    for path in taking:
        named = {p["name"] for p in described[path]["post"].get("parameters", ()) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        of_bodies = set() if path in {sent.template for sent in OF_PAGES} else {"413", "415"}
        assert set(described[path]["post"]["responses"]) >= {"400", "503", *of_bodies}


@pytest.mark.parametrize("sent", OF_A_PROJECT, ids=lambda sent: sent.template)
def test_every_error_of_a_route_has_its_dialects_shape(client: httpx.Client, sent: Sent) -> None:
    path = sent.path("http")
    answers = [
        client.post(path, content=b"{"),
        client.post(path, content=b"x", headers={"Content-Encoding": "br"}),
        client.post(path, content=b"x" * 1_048_577),
        client.post(path, content=b"{}", headers={"Funnelhouse-Dry-Run": "2"}),
        client.put(path),
    ]
    if sent.route.sender == "key":
        answers.append(client.post(path, headers={"Authorization": "Bearer wrong"}, content=b"{}"))
    assert [answer.status_code for answer in answers] == [400, 415, 413, 400, 405, 401][: len(answers)]
    for answer in answers:
        assert set(answer.json()) == sent.members


def test_unknown_paths_are_problems(client: httpx.Client) -> None:
    for path in ("/", "/v1", "/docs", "/v1/projects/http", "//v1/conversions", "/v1/projects/%ff/events"):
        answer = client.post(path, content=b"")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_health_and_description(client: httpx.Client) -> None:
    assert client.get("/ingest/live/").json() == {"status": "live"}
    assert client.get("/ingest/ready").json() == {"status": "ready"}
    description = client.get("/ingest/openapi.json").json()
    body = description["paths"]["/v1/conversions"]["post"]["requestBody"]["content"]["application/json"]
    schemas = description["components"]["schemas"]
    assert body["schema"] == {"$ref": "#/components/schemas/PagentConversionsV1"}
    events = schemas["PagentConversionsV1"]["properties"]["events"]
    assert events["items"] == {"$ref": "#/components/schemas/PagentConversionV1"}
    assert set(schemas["PagentConversionV1"]["required"]) == {"session_id", "user_id", "conversion_id"}
    goal = description["paths"]["/v1/projects/{project_id}/goals/{goal_id}"]["put"]
    assert "#/$defs/" not in json.dumps(description)
    assert {"200", "400", "401", "403", "404"} <= set(goal["responses"])
    assert "422" not in goal["responses"]


# Of many paths, so that the fast tests draw few bodies for each.
@pytest.mark.parametrize("examples", [8, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.parametrize("path", [*PATHS, POSTBACK, f"{POSTBACK}?hit=h", "/t/http"])
def test_no_body_ever_causes_a_server_error(client: httpx.Client, path: str, examples: int) -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
    fields = st.sampled_from(FIELDS)
    events = st.fixed_dictionaries(
        {}, optional={"event_type": st.sampled_from(["pageview", "event", "alias", "refund"])}
    ) | st.dictionaries(fields, values)
    bodies = st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.one_of(
            events,
            st.lists(events, max_size=3),
            st.lists(events).map(lambda e: {"events": e, "batch": e}),
            values,
        ).map(lambda value: json.dumps(value).encode()),
    )

    @settings(max_examples=examples, deadline=None)
    @given(bodies)
    def is_answered(body: bytes) -> None:
        assert client.post(path, content=body).status_code < 500

    is_answered()


NASTY = [
    b'{"event_type":"pageview","a":NaN}',
    b'{"event_type":"pageview","a":-Infinity}',
    b'{"event_type":"pageview","a":1e400}',
    b'{"event_type":"pageview","a":1e99999999999999999999}',
    b'{"event_type":"pageview","a":18446744073709551616}',
    b'{"event_type":"pageview","a":' + b"9" * 5000 + b"}",
    b'{"event_type":"pageview","a":"\\ud800"}',
    b'{"event_type":"pageview","\\udfff":1}',
    b'{"event_type":"pageview","a":"x\\u0000"}',
    b'{"event_type":"pageview","a":"x\x00"}',
    b'{"event_type":"pageview","a":"\xff"}',
    b'{"event_type":"pageview","a":1,"a":2}',
    b'{"event_type":"pageview","event_type":"pageview"}',
    b'{"event_type":"pageview","a":' + b"[" * 32 + b"]" * 32 + b"}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\xef\xbb\xbf" + PAGE_VIEW,
    PAGE_VIEW + b"x",
    b"",
    b"null",
    b"7",
    b'"text"',
]


@pytest.mark.parametrize("body", NASTY, ids=range(len(NASTY)))
def test_what_strict_json_refuses(client: httpx.Client, body: bytes) -> None:
    assert client.post(EVENTS, content=body).status_code == 400
    wrapped = client.post("/v1/conversions", content=b'{"events":[' + body + b"]}")
    assert wrapped.status_code == 400
    assert set(wrapped.json()) == {"error"}


def test_what_is_just_within_the_limits(client: httpx.Client) -> None:
    for value in (
        b"[" * 31 + b"]" * 31,
        b"9223372036854775807",
        b"1e308",
        b'"\\ud83d\\ude00"',
        b'"\\\\u0000"',
    ):
        answer = client.post(EVENTS, content=b'{"event_type":"pageview","a":' + value + b"}")
        assert answer.status_code == 202, value


def test_the_answer_never_repeats_what_was_sent(client: httpx.Client) -> None:
    body = {"event_type": "needle", "revenue": "needle", "timestamp": "needle", "user_id": {"a": "needle"}}
    answer = client.post(EVENTS, json=body)
    assert answer.status_code == 400
    assert "needle" not in answer.text


def test_a_connection_that_ends_within_its_body_lands_nothing(ingest_server: Server, key: str) -> None:
    landing = ingest_server.store()
    before = landing.query("SELECT count(*) FROM events")
    with socket.create_connection(("127.0.0.1", ingest_server.settings.ingest_port)) as sender:
        head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: 1000\r\n\r\n"
        sender.sendall(head.encode() + PAGE_VIEW)
    assert httpx.get(ingest_server.url + "/ingest/ready").status_code == 200
    assert landing.query("SELECT count(*) FROM events") == before


def test_a_second_server_on_the_same_home_says_so_and_exits(tmp_path: Path) -> None:
    first = start_ingest(tmp_path)
    try:
        second = subprocess.run(
            [sys.executable, "-c", SERVE_INGEST],
            env={"FUNNELHOUSE_HOME": str(tmp_path), "FUNNELHOUSE_INGEST_PORT": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert second.returncode != 0
        assert "Another ingest server is running" in second.stderr
    finally:
        assert first.stop(signal.SIGTERM) == 0
    start_ingest(tmp_path).stop()


def test_a_worker_ends_with_its_killed_main_process(tmp_path: Path) -> None:
    server = start_ingest(tmp_path)
    server.process.kill()
    server.process.wait(5)
    # A supervisor starts the next at once, while the worker still holds the lock.
    start_ingest(tmp_path).stop()


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "DEADLINE_SECONDS", 0.05)
    first = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> dict[str, object]:
        if not first:
            await asyncio.sleep(10)
        return first.pop()

    request = Request({"type": "http", "headers": []}, receive)  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        asyncio.run(body.read_body(request))
    assert refused.value.status == 408
