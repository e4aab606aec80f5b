"""The sender's window over real sockets: recent events, one event, and the stream, on both landing stores."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from postgres import Cluster
from servers import SERVE_INGEST, Server, start_ingest

from funnelhouse.keys import revoke_key
from ingest_api.window.landed import MOST_REJECTED_BYTES


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project of the test's own, named after it."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:60]


class Sender:
    """Sends and looks with one key."""

    def __init__(self, server: Server, project: str, key: str) -> None:
        self.url = f"{server.url}/v1/projects/{project}"
        self.headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(headers=self.headers, timeout=20)

    def send(self, body: str) -> None:
        answer = self.client.post(f"{self.url}/events", content=body)
        assert answer.status_code == 202, answer.text

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"{self.url}/events/{path}")

    @contextmanager
    def stream(self, last_event_id: str | None = None) -> Iterator[Iterator[dict[str, Any]]]:
        resume = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        with self.client.stream("GET", f"{self.url}/events/stream", headers=resume) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield blocks(answer)


def blocks(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Blocks of a stream, by field; `comment` for comments, `data` parsed."""
    block: dict[str, Any] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            block[name or "comment"] = json.loads(value) if name == "data" else value
        else:
            yield block
            block = {}


@pytest.fixture
def sender(ingest_server: Server, project: str) -> Sender:
    return Sender(ingest_server, project, ingest_server.key(project))


def test_an_event_is_seen_at_once_as_received_and_as_understood(sender: Sender, project: str) -> None:
    body = (
        '{ "event_type":"conversion", "event_name":"purchase","event_id":"o/1?#2/","revenue":49.990,"x":"ü" }'
    )
    sender.send(body)
    answer = sender.get("o%2F1%3F%232/")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["event_id"] == "o/1?#2/"
    (report,) = shown["reports"]
    assert report["payload"] == body.strip()
    assert report["wins"] is True
    assert report["dialect"] == "openanalytics"
    understood = report["understood"]
    assert understood == {
        "event_id": "o/1?#2/",
        "project_id": project,
        "dialect": "openanalytics",
        "dialect_version": "1",
        "sender": "server",
        "kind": "conversion",
        "name": "purchase",
        "amount_text": "49.990",
        "amount_unit": "major",
        "received_us": understood["received_us"],
        "occurred_us": understood["received_us"],
    }
    assert report["received_at"].endswith("Z")
    assert abs(understood["received_us"] / 1e6 - time.time()) < 60

    recent = sender.get("recent").json()
    assert recent == {"events": [{k: v for k, v in report.items() if k != "wins"}], "next": None}


def test_reports_with_one_event_id_are_all_shown_and_the_first_wins(sender: Sender) -> None:
    for name in ("first", "second"):
        sender.send(json.dumps({"event_type": "event", "event_name": name, "event_id": "twice"}))
    reports = sender.get("twice").json()["reports"]
    assert [(r["wins"], r["understood"]["name"]) for r in reports] == [(True, "first"), (False, "second")]


def test_a_servers_report_wins_over_a_pages(sender: Sender) -> None:
    report = {"event_type": "conversion", "event_name": "sale", "event_id": "taken"}
    page = {**sender.headers, "Origin": "https://shop.example"}
    httpx.post(f"{sender.url}/events", json=report, headers=page).raise_for_status()
    for _ in range(2):
        sender.send(json.dumps(report))
    reports = sender.get("taken").json()["reports"]
    assert [(r["wins"], r["understood"]["sender"]) for r in reports] == [
        (False, "browser"),
        (True, "server"),
        (False, "server"),
    ]


def test_recent_events_in_pages(sender: Sender) -> None:
    sender.send(
        json.dumps([{"event_type": "event", "event_name": "e", "event_id": f"e{n}"} for n in range(25)])
    )
    newest = [f"e{n}" for n in reversed(range(25))]
    page = sender.get("recent").json()
    assert [event["event_id"] for event in page["events"]] == newest[:20]
    rest = sender.get(f"recent?limit=100&before={page['next']}").json()
    assert [event["event_id"] for event in rest["events"]] == newest[20:]
    assert rest["next"] is None
    exact = sender.get("recent?limit=25").json()
    assert len(exact["events"]) == 25 and exact["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "before=x", "before=0-9"])
def test_bad_parameters(sender: Sender, query: str) -> None:
    answer = sender.get(f"recent?{query}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert query.split("=")[0] in answer.json()["detail"]


def test_what_is_not_there_names_the_read_api(sender: Sender) -> None:
    answer = sender.get("nothing")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "read API" in answer.json()["detail"]


def test_what_was_not_accepted_is_shown_with_its_reason(
    ingest_server: Server, project: str, sender: Sender
) -> None:
    bad = (
        '{"event_type": "conversion", "event_name": "p", "revenue": "1", "note": "\u00e9' + "x" * 3000 + '"}'
    )
    sent = json.dumps([{"event_type": "nonsense"}]), bad
    for body in sent:
        assert sender.client.post(f"{sender.url}/events", content=body).status_code == 400
    address = f"{sender.url}/rejected/recent"
    newest, before = sender.client.get(address).json()["rejected"]
    assert newest["reason"].startswith("revenue: ")
    assert newest["path"] == "/v1/projects/{project_id}/events"
    assert newest["sender"] == "server"
    assert newest["is_cut"]
    assert bad.startswith(newest["body"])
    assert len(newest["body"].encode()) == MOST_REJECTED_BYTES
    assert before["body"] == '{"event_type": "nonsense"}'
    assert not before["is_cut"]
    assert before["received_at"] < newest["received_at"]
    assert sender.client.get(f"{address}?limit=1").json()["rejected"] == [newest]
    assert sender.client.get(f"{address}?limit=0").status_code == 400
    other = Sender(ingest_server, f"{project}-2", ingest_server.key(f"{project}-2"))
    assert other.client.get(f"{other.url}/rejected/recent").json() == {"rejected": []}
    assert sender.client.get(f"{other.url}/rejected/recent").status_code == 404


@pytest.mark.parametrize("path", ["recent", "stream", "some-id"])
def test_only_for_the_projects_own_keys(ingest_server: Server, project: str, path: str) -> None:
    theirs = ingest_server.key("somebody-else")
    assert Sender(ingest_server, project, theirs).get(path).status_code == 404
    for scope in ("page", "ingest"):
        weak = Sender(ingest_server, project, ingest_server.key(project, scope))
        assert weak.get(path).status_code == 403
    assert Sender(ingest_server, project, "fh_live_x").get(path).status_code == 401


def test_reading_keys_see_and_projects_are_apart(ingest_server: Server, project: str, sender: Sender) -> None:
    sender.send('{"event_type":"event","event_name":"e","event_id":"apart"}')
    reader = Sender(ingest_server, project, ingest_server.key(project, "read"))
    assert reader.get("apart").status_code == 200
    other = Sender(ingest_server, f"{project}2", ingest_server.key(f"{project}2"))
    assert other.get("apart").status_code == 404
    assert other.get("recent").json()["events"] == []


def test_test_data_is_seen_under_the_test_key(ingest_server: Server, project: str, sender: Sender) -> None:
    trying = Sender(ingest_server, project, ingest_server.key(project, is_test=True))
    trying.send('{"event_type":"event","event_name":"e","event_id":"trial"}')
    assert trying.get("trial").json()["reports"][0]["understood"]["project_id"] == f"{project}.test"
    assert sender.get("trial").status_code == 404


def test_a_dry_run_leaves_nothing_to_see(sender: Sender) -> None:
    httpx.post(
        f"{sender.url}/events",
        headers={**sender.headers, "Funnelhouse-Dry-Run": "1"},
        content='{"event_type":"event","event_name":"e","event_id":"dry"}',
    ).raise_for_status()
    assert sender.get("dry").status_code == 404


def test_the_stream_goes_on_where_it_was(sender: Sender) -> None:
    sender.send('{"event_type":"event","event_name":"e","event_id":"before"}')
    # On PostgreSQL the event may be above the horizon of the stream's beginning for a moment.
    time.sleep(0.1)
    with sender.stream() as stream:
        opening = next(stream)
        assert opening["comment"] and opening["id"]
        sender.send('[{"event_type":"event","event_name":"e","event_id":"s1"},{"event_type":"nonsense"}]')
        first = next(stream)
        assert first["data"] == {
            k: v for k, v in sender.get("s1").json()["reports"][0].items() if k != "wins"
        }
    sender.send('{"event_type":"event","event_name":"e","event_id":"s2"}')
    with sender.stream(first["id"]) as stream:
        opening = next(stream)
        assert next(stream)["data"]["event_id"] == "s2"
    # The place that a stream opens with is where it was resumed.
    with sender.stream(opening["id"]) as stream:
        next(stream)
        assert next(stream)["data"]["event_id"] == "s2"
    with sender.stream("0-0") as stream:
        next(stream)
        assert [next(stream)["data"]["event_id"] for _ in range(3)] == ["before", "s1", "s2"]
    bad = httpx.get(f"{sender.url}/events/stream", headers={**sender.headers, "Last-Event-ID": "x"})
    assert bad.status_code == 400


def test_places_tell_nothing_of_other_projects(ingest_server: Server, sender: Sender, project: str) -> None:
    other = Sender(ingest_server, f"{project}2", ingest_server.key(f"{project}2"))
    sender.send('[{"event_type":"pageview"},{"event_type":"pageview"}]')
    other.send('[{"event_type":"pageview"},{"event_type":"pageview"}]')
    places = [sender.get("recent?limit=1").json()["next"] for _ in range(2)]
    # Two of the same place differ: equal ones would tell that nobody sent anything in between.
    assert places[0] != places[1] and {len(place) for place in places} == {64}
    for place in places:
        assert len(sender.get(f"recent?before={place}").json()["events"]) == 1
        assert other.get(f"recent?before={place}").status_code == 400
    # Nor does whoever makes up a place learn where it lies.
    other_end = places[0][:-1] + ("A" if places[0].endswith("-") else "-")
    for made_up in ("0-9", "1-0", "A" * 64, other_end, places[0][:32]):
        assert sender.get(f"recent?before={made_up}").status_code == 400, made_up


def test_places_hold_after_a_restart(tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home")
    key = server.key()
    try:
        sender = Sender(server, "shop", key)
        sender.send('[{"event_type":"pageview","event_id":"a"},{"event_type":"pageview","event_id":"b"}]')
        place = sender.get("recent?limit=1").json()["next"]
    finally:
        server.stop()
    server = start_ingest(tmp_path / "home")
    try:
        page = Sender(server, "shop", key).get(f"recent?before={place}").json()
        assert [event["event_id"] for event in page["events"]] == ["a"]
    finally:
        server.stop()


def test_a_stream_takes_long_histories_page_by_page(sender: Sender) -> None:
    for start in range(0, 300, 100):
        sender.send(
            json.dumps(
                [
                    {
                        "event_type": "event",
                        "event_name": "e",
                        "event_id": f"{n}",
                        "properties": {"x": "y" * 3000},
                    }
                    for n in range(start, start + 100)
                ]
            )
        )
    with sender.stream("0-0") as stream:
        next(stream)
        assert [next(stream)["data"]["event_id"] for _ in range(300)] == [str(n) for n in range(300)]


def test_a_revoked_key_ends_its_stream(ingest_server: Server, project: str) -> None:
    key = ingest_server.key(project, "read")
    with Sender(ingest_server, project, key).stream() as stream:
        next(stream)
        with closing(ingest_server.store()) as store:
            revoke_key(store, key.split("_")[2])
        assert [block["comment"] for block in stream] == ["the key has ended"]


def test_streams_are_bounded_and_end_with_the_server(tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home")
    try:
        key = server.key()
        address = urlsplit(server.url)
        request = (
            f"GET /v1/projects/shop/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        ).encode()
        sockets = []
        for _ in range(100):
            client = socket.create_connection((str(address.hostname), address.port or 0))
            client.sendall(request)
            sockets.append(client)
        for client in sockets:
            client.settimeout(10)
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        refused = Sender(server, "shop", key).get("stream")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        sockets.pop().close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with Sender(server, "shop", key).stream() as stream:
                    next(stream)
                break
            except AssertionError:
                time.sleep(0.2)
        else:
            raise AssertionError("a place was not free again")
        assert server.stop(signal.SIGTERM) == 0
        for client in sockets:
            client.close()
    finally:
        server.stop(signal.SIGKILL)


def test_a_client_that_takes_nothing_does_not_keep_the_server(tmp_path: Path) -> None:
    code = f"from funnelhouse import serving; serving.STOP_SECONDS = 2; {SERVE_INGEST}"
    server = start_ingest(tmp_path / "home", code=code)
    try:
        key = server.key()
        sender = Sender(server, "shop", key)
        payload = json.dumps({"event_type": "event", "event_name": "e", "properties": {"x": "y" * 900_000}})
        for _ in range(20):
            sender.send(payload)
        address = urlsplit(server.url)
        with socket.create_connection((str(address.hostname), address.port or 0)) as client:
            client.sendall(
                b"GET /v1/projects/shop/events/stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0-0\r\n"
                + f"Authorization: Bearer {key}\r\n\r\n".encode()
            )
            time.sleep(1)
            # It blocks neither the others nor the end.
            assert sender.get("recent?limit=1").status_code == 200
            assert server.stop(signal.SIGTERM) == 0
    finally:
        server.stop(signal.SIGKILL)


def test_nothing_is_missed_of_what_several_processes_take(postgres: Cluster, tmp_path: Path) -> None:
    """Rows become visible out of order there; a stream of one process shows all, each once."""
    location = postgres.new_database()
    servers = [start_ingest(tmp_path / f"home{n}", location) for n in range(2)]
    try:
        senders = [Sender(server, "shop", servers[0].key()) for server in servers]

        def send(number: int) -> None:
            senders[number % 2].send(
                json.dumps({"event_type": "event", "event_name": "e", "event_id": f"n{number}"})
            )

        with senders[0].stream() as stream, ThreadPoolExecutor(8) as pool:
            next(stream)
            sent = pool.map(send, range(100))
            blocks = [next(stream) for _ in range(100)]
            list(sent)
        seen = [block["data"]["event_id"] for block in blocks]
        # A place of one process is one of the other's too.
        with senders[1].stream(blocks[49]["id"]) as stream:
            next(stream)
            assert [next(stream)["data"]["event_id"] for _ in range(50)] == seen[50:]
        assert sorted(seen) == sorted(f"n{number}" for number in range(100))
    finally:
        for server in servers:
            server.stop()


def test_a_transaction_that_commits_late_is_not_missed(postgres: Cluster, tmp_path: Path) -> None:
    location = postgres.new_database()
    server = start_ingest(tmp_path / "home", location)
    try:
        sender = Sender(server, "shop", server.key())
        with closing(server.store()) as slow, sender.stream() as stream:
            next(stream)
            with slow.transaction():
                slow.execute(
                    "INSERT INTO events (event_id, project_id, dialect, dialect_version, sender, kind,"
                    " received_us, occurred_us, payload)"
                    " VALUES ('late', 'shop', 'd', '1', 'server', 'event', 1, 1, '{}')"
                )
                sender.send('{"event_type":"event","event_name":"e","event_id":"early"}')
                assert sender.get("early").status_code == 200
                time.sleep(1.2)
            assert [next(stream)["data"]["event_id"] for _ in range(2)] == ["late", "early"]
    finally:
        server.stop()
