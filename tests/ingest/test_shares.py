"""What ingest holds is shared: no stranger and no project takes what others need."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from servers import SERVE_INGEST, Server, start_ingest

from funnelhouse.shares import Shares

PAGE_VIEW = b'{"event_type":"pageview"}'
CALL = b'{"userId":"u","event":"e","writeKey":"%s"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # As small as a test can fill: strangers have 200 kB together, 61 kB per address.
    code = (
        "from ingest_api import body, holding; body.STRANGERS_SECONDS = 6;"
        f"holding.MAX_HELD_BYTES = 2_000_000; {SERVE_INGEST}"
    )
    server = start_ingest(tmp_path_factory.mktemp("home"), code=code)
    yield server
    assert server.stop() == 0


def begin(server: Server, path: str, size: int, source: str, *headers: str) -> socket.socket:
    """Send a body but for its last byte, from an address of this machine."""
    address = ("127.0.0.1", server.settings.ingest_port)
    client = socket.create_connection(address, timeout=20, source_address=(source, 0))
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", *headers, "", ""])
    client.sendall(head.encode() + b" " * (size - 1))
    return client


def is_refused(client: socket.socket, seconds: float = 1) -> bool:
    client.settimeout(seconds)
    try:
        return client.recv(1000).startswith(b"HTTP/1.1 503")
    except TimeoutError:
        return False


def test_no_owner_gets_all_and_each_leaves_some() -> None:
    shares = Shares(1000)
    held = 0
    while shares.take("first", 1, 4):
        held += 1
    assert held == 800
    assert not shares.take("second", 200, 4)
    assert shares.take("second", 160, 4)
    assert shares.take("third", 32, 4)
    shares.give_back("first", 800)
    assert shares.take("third", 500, 4)


@pytest.mark.long
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track", "/pb/open"])
def test_unfinished_bodies_of_strangers_refuse_nobody_else(server: Server, path: str) -> None:
    key = server.key("victim", "ingest")
    if path.startswith("/pb/"):
        server.key("open")
        server.set_postbacks("open", "open")
    held = []
    for number in range(1, 5):
        held.append(begin(server, path, 50_000, f"127.0.1.{number}"))
        assert not is_refused(held[-1], 0.2)
    assert is_refused(begin(server, path, 50_000, "127.0.1.1")), "an address has a share"
    assert is_refused(begin(server, path, 50_000, "127.0.1.5")), "all strangers together have a share"
    for body in (PAGE_VIEW, PAGE_VIEW.ljust(900_000)):
        answer = httpx.post(
            f"{server.url}/v1/projects/victim/events", headers={"x-api-key": key}, content=body
        )
        assert answer.status_code == 202
    # They have less time, too; then there is room again for those whose key is in the body.
    held[0].settimeout(20)
    assert held[0].recv(1000).startswith(b"HTTP/1.1 408")
    for client in held:
        client.close()
    sent = httpx.post(f"{server.url}/v1/track", content=CALL % key.encode())
    assert sent.json() == {"success": True}


def test_a_key_in_a_header_is_checked_before_the_body(server: Server) -> None:
    with begin(server, "/v1/batch", 900_000, "127.0.0.1", "x-api-key: fh_live_wrong") as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 401")


def test_without_a_key_in_it_a_body_is_not_read(server: Server) -> None:
    for body in (b"{", b'{"batch":[]}', CALL % b"fh_live_wrong", b'{"a":"writeKey"}'):
        assert httpx.post(f"{server.url}/v1/batch", content=body).status_code == 401
    # A key anywhere else than in the envelope is none.
    key = server.key("inner", "ingest").encode()
    inner = b'{"batch":[{"type":"track","userId":"u","event":"e","writeKey":"%s"}]}' % key
    assert httpx.post(f"{server.url}/v1/batch", content=inner).status_code == 401


@pytest.mark.long
def test_one_project_leaves_room_for_others(server: Server) -> None:
    evil, victim = server.key("evil", "ingest"), server.key("victim", "ingest")
    path = "/v1/projects/evil/events"
    held = [begin(server, path, 300_000, "127.0.0.2", f"x-api-key: {evil}") for _ in range(7)]
    assert any(map(is_refused, held))
    answer = httpx.post(
        f"{server.url}/v1/projects/victim/events",
        headers={"x-api-key": victim},
        content=PAGE_VIEW.ljust(300_000),
    )
    assert answer.status_code == 202
    for client in held:
        client.close()


@pytest.mark.long
def test_one_projects_visitors_leave_room_for_those_of_others(server: Server) -> None:
    for project in ("flooded", "visited"):
        server.key(project)
        server.set_access(project, origins=["https://shop.example"])
    held = [begin(server, "/t/flooded", 50_000, f"127.0.2.{number}") for number in range(1, 10)]
    assert any(map(is_refused, held)), "a project's visitors have a share together"
    batch = b'{"events":[{"api":"oa","type":"pageview","vid":"v"}]}'
    for path in ("/t/visited", "/v1/track"):
        body = batch if path == "/t/visited" else CALL % server.key("visited", "ingest").encode()
        assert httpx.post(server.url + path, content=body).status_code == 200
    for client in held:
        client.close()


def test_one_projects_streams_leave_places_for_others(tmp_path: Path) -> None:
    code = f"from ingest_api.window import stream; stream.MAX_STREAMS = 40; {SERVE_INGEST}"
    server = start_ingest(tmp_path / "home", code=code)
    try:
        streams = []
        for project in ("evil", "evil2"):
            key = server.key(project)
            request = (
                f"GET /v1/projects/{project}/events/stream HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\n\r\n"
            )
            for _ in range(40):
                client = socket.create_connection(("127.0.0.1", server.settings.ingest_port), timeout=20)
                client.sendall(request.encode())
                streams.append((client, client.recv(100).startswith(b"HTTP/1.1 200")))
        assert 5 < sum(is_open for _, is_open in streams) < 30
        victim = server.key("victim")
        url = f"{server.url}/v1/projects/victim/events/stream"
        with httpx.stream("GET", url, headers={"x-api-key": victim}, timeout=20) as answer:
            assert answer.status_code == 200
        for client, _ in streams:
            client.close()
    finally:
        assert server.stop() == 0


def test_lists_read_the_newest_versions_only_page_by_page(server: Server) -> None:
    key = server.key("long", "read,admin")
    url = f"{server.url}/v1/projects/long/goals"
    with closing(server.store()) as store:
        columns = "project_id, kind, key, received_us, body"
        rule = dict.fromkeys(("match_operator", "match_value", "property_key", "property_value", "stage"))
        rule |= {"match_type": "any_conversion", "counts_as_conversion": False, "is_micro": False}
        for goal in range(7):
            for version in range(20):
                body = json.dumps({**rule, "minimum_amount": None, "name": f"{version}" + "x" * 900_000})
                store.execute(
                    f"INSERT INTO definitions ({columns}) VALUES (?, 'goal', ?, ?, ?)",
                    *("long", f"g{goal}", version, body),
                )
    found: list[tuple[str, int, str]] = []
    after = ""
    pages = 0
    with httpx.Client(headers={"x-api-key": key}, timeout=60) as client:
        while after is not None:
            answer = client.get(url, params={"after": after})
            assert len(answer.content) < 6_000_000
            found += [(goal["goal_id"], goal["version"], goal["name"][:2]) for goal in answer.json()["goals"]]
            after = answer.json()["next"]
            pages += 1
        assert found == [(f"g{goal}", 20, "19") for goal in range(7)]
        assert pages == 2
        assert client.get(f"{url}/g3").json()["version"] == 20


def test_pages_of_events_end_after_so_many_bytes(server: Server) -> None:
    headers = {"x-api-key": server.key("wide")}
    url = f"{server.url}/v1/projects/wide/events"
    for _ in range(10):
        event = {"event_type": "event", "event_name": "e", "event_id": "same", "note": "x" * 900_000}
        assert httpx.post(url, headers=headers, json=event, timeout=60).status_code == 202
    assert len(httpx.get(f"{url}/same", headers=headers, timeout=60).json()["reports"]) == 5
    seen, before = 0, ""
    while before is not None:
        page = httpx.get(f"{url}/recent?limit=100&before={before}", headers=headers, timeout=60).json()
        assert len(page["events"]) == 5
        seen, before = seen + len(page["events"]), page["next"]
    assert seen == 10
