"""`funnelhouse rejected`: what is kept is listed once wherever it is, shown, and replayed without harm."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from dialects import SENT
from servers import Server

from command_line.cli import main
from funnelhouse.settings import Settings
from ingest_api import dialect_routes
from ingest_api.arrival import Arrival, Rejection
from ingest_api.rejected import rejected_rows
from ingest_api.replay import READERS
from ingest_api.tracker import wire
from record.contract import Event, Rejected, columns, row_values
from record.landing import Location, open_store
from record.rejected import KEPT_BYTES
from record.retention import prune
from record.sealing import seal

DAY_US = 86_400_000_000
NOW_US = time.time_ns() // 1000
YESTERDAY_US = NOW_US - DAY_US


def run(server: Server | Settings, *arguments: str, expect: int = 0) -> list[str]:
    """Run `funnelhouse rejected …` on the server's store; returns the lines of stdout."""
    settings = server if isinstance(server, Settings) else server.settings
    done = CliRunner().invoke(
        main,
        ["rejected", *arguments],
        env={"FUNNELHOUSE_HOME": str(settings.home_dir), "FUNNELHOUSE_LANDING": settings.landing},
    )
    assert done.exit_code == expect, done.output
    return done.stdout.splitlines()


def listed(server: Server | Settings, project: str, *arguments: str) -> list[list[str]]:
    """Id, time, project, route, size and reason of each line."""
    return [line.split("  ") for line in run(server, "list", "--project", project, *arguments)]


def reject(
    server: Server | Settings,
    project: str,
    path: str,
    *bodies: bytes,
    received_us: int = YESTERDAY_US,
    **options: Any,
) -> None:
    """Put bodies into the record as a server that did not understand them would have."""
    arrival = Arrival(
        **{"sender": "server", "user_agent": None, **options}, project_id=project, received_us=received_us
    )
    rows = rejected_rows(arrival, path, [Rejection("not understood", body) for body in bodies])
    settings = server if isinstance(server, Settings) else server.settings
    with closing(open_store(settings.landing_store)) as store:
        store.append([("rejected", [row_values(Rejected)(row) for row in rows])])


def events(server: Server, project: str) -> list[dict[str, Any]]:
    names = [column.name for column in columns(Event)]
    with closing(server.store()) as store:
        rows = store.query(
            f"SELECT {', '.join(names)} FROM events WHERE project_id = ? ORDER BY {store.row_order}", project
        )
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {ingest_server.key('again', 'ingest')}"}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client


def test_a_refused_report_is_listed_shown_and_still_refused(
    ingest_server: Server, client: httpx.Client
) -> None:
    body = b'{"event_type": "conversion",\n "revenue": "\x1b[31m"}'
    reason = client.post("/v1/projects/again/events", content=body).json()["detail"]
    ((rejected_id, received, project, path, size, said),) = listed(ingest_server, "again")
    assert (project, path, size, said) == (
        "again",
        "/v1/projects/{project_id}/events",
        f"{len(body)} B",
        reason,
    )
    assert received.startswith("20")
    # What a sender wrote does not colour an operator's terminal.
    assert run(ingest_server, "show", rejected_id) == [
        reason, "", '{"event_type": "conversion",', ' "revenue": "\\x1b[31m"}'
    ]  # fmt: skip
    for _ in range(2):
        assert run(ingest_server, "replay", rejected_id, expect=1) == [
            f"{rejected_id}  still refused: {reason}"
        ]
    assert len(listed(ingest_server, "again")) == 1
    assert events(ingest_server, "again") == []


def test_it_is_one_line_before_and_after_it_was_sealed_and_pruned(
    new_location: Callable[[], Location], tmp_path: Path
) -> None:
    # A store of its own: what is pruned here would be missed by other tests.
    location = new_location()
    server = Settings(home=tmp_path / "home", landing=location if isinstance(location, str) else "")
    # A request with the same bad item twice; one of yesterday; one of another project.
    reject(server, "moved", "/v1/batch", b"{}", b"{}", received_us=NOW_US - 9 * DAY_US)
    reject(server, "moved", "/v1/batch", b"{}")
    reject(server, "unmoved", "/v1/batch", b"{}")
    landed = listed(server, "moved")
    assert len({line[0] for line in landed}) == len(landed) == 3
    assert [line[1] for line in landed] == sorted((line[1] for line in landed), reverse=True)
    assert listed(server, "moved", "--limit", "1") == landed[:1]
    assert listed(server, "moved", "--since", landed[0][1]) == landed[:1]
    seal(server.landing_store, server.raw_dir)
    assert listed(server, "moved") == landed
    assert prune(server.landing_store, server.raw_dir, 7, NOW_US)["rejected"] == 2
    assert listed(server, "moved") == landed
    assert run(server, "show", landed[2][0]) == ["not understood", "", "{}"]
    prune(server.landing_store, server.raw_dir, 7, NOW_US + 25 * DAY_US)
    assert listed(server, "moved") == landed[:1]


REPORT = b'{"event_type":"conversion","event_name":"buy","visit_id":"h","revenue":1.50}'
TRACK = b'{"type":"track","userId":"u","event":"Order Completed","properties":{"revenue":1}}'
V1 = b'{"session_id":"s","user_id":"u","conversion_id":"g","revenue":150}'
V2 = b'{"session_data":{"session_id":"s","user_id":"u","conversion_id":"g"},"revenue":150}'
BODIES = {path: sent.body for sent in SENT for path in (sent.template, *sent.route.aliases)}
BODIES |= {
    "/v1/projects/{project_id}/events": REPORT,
    "/v1/projects/{project_id}/conversions": b"[" + REPORT + b', {"event_name": "buy"}]',
    "/v1/conversions": b'{"events":[' + V1 + b"," + V1 + b"]}",
    "/v2/conversions": V2,
    "/v2/conversions/bulk": b'{"events":[' + V2 + b"]}",
    "/v1/analytics/report-conversion": b'{"gclid":"c","event":"buy","conversion":{"value":1}}',
    "/v1/batch": b'{"batch":[' + TRACK + b'],"context":{"campaign":{"source":"google"}}}',
    "/v1/track": TRACK,
    "/v1/page": b'{"anonymousId":"a","properties":{"url":"https://shop.example/"}}',
    "/v1/screen": b'{"anonymousId":"a","name":"home"}',
    "/v1/identify": b'{"anonymousId":"a","userId":"u"}',
    "/v1/group": b'{"userId":"u","groupId":"g"}',
    "/v1/alias": b'{"userId":"u","previousId":"p"}',
    wire.PATH: b'{"ads":"denied","events":[{"api":"flux","type":"conversion","vid":"v","rev":"1.50"}]}',
    "/pb": b"tx=o&rev=1.5\nhit=h",
    "/pb/{project_id}": b"hit=h&tx=o&rev=1.5",
    "/pb/{project_id}/{secret}": b'\n{"hit": "h"}',
}
"""Good bodies, some of them with money and orders; of a postback its query, a line break and its body."""


def test_every_route_that_takes_events_can_be_replayed() -> None:
    taking = {route.path for route in dialect_routes.router.routes}  # type: ignore[attr-defined]
    assert taking | {wire.PATH} == READERS.keys() == BODIES.keys()


def test_a_replayed_report_is_what_it_would_have_been_and_was_learnt_now(
    ingest_server: Server, client: httpx.Client
) -> None:
    ingest_server.set_access("again", postbacks="open", origins=["https://shop.example"])
    browser = {"Origin": "https://shop.example", "User-Agent": "a browser"}
    for path, body in BODIES.items():
        project = "replayed"
        reject(ingest_server, project, path, body, sender="browser", user_agent="a browser")
        url = path.replace("{project_id}", "again").replace("{secret}", "any").replace("/pb", "/pb/again", 1)
        if path.startswith("/pb"):
            query, _, posted = body.partition(b"\n")
            method = "POST" if b"\n" in body else "GET"
            url = f"/pb/again?{query.decode()}"
            answer = client.request(method, url, content=posted, headers=browser)
        else:
            answer = client.post(url, content=body, headers=browser)
        assert answer.is_success, answer.text
    lines = run(ingest_server, "replay", "--all", "--project", "replayed")
    assert len(lines) == len(BODIES)
    assert all("  accepted " in line for line in lines)
    expected = {without_given(event, "again"): event for event in events(ingest_server, "again")}
    found = {without_given(event, "replayed"): event for event in events(ingest_server, "replayed")}
    assert found.keys() == expected.keys()
    for event in found.values():
        assert event["received_us"] >= NOW_US
        # No sender gave a time: it happened when it first arrived.
        assert event["occurred_us"] == YESTERDAY_US


def without_given(event: dict[str, Any], project: str) -> str:
    assert event["project_id"] == project
    own = {"event_id", "project_id", "received_us", "occurred_us"}
    return json.dumps({name: value for name, value in event.items() if name not in own})


def test_replayed_again_it_has_the_same_event_ids_even_when_more_is_understood_by_then(
    ingest_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/projects/{project_id}/events"
    same = b'{"event_type":"pageview"}'
    named = b'{"event_type":"pageview","event_id":"mine"}'
    odd = b'{"event_type":"look"}'
    reject(ingest_server, "twice", path, b"[" + b",".join([odd, same, same, named]) + b"]", same, same)
    first = run(ingest_server, "replay", "--all", "--project", "twice", expect=1)
    ids = [event["event_id"] for event in events(ingest_server, "twice")]
    assert len(ids) == len(set(ids)) == 5
    assert "mine" in ids
    assert run(ingest_server, "replay", "--all", "--project", "twice", expect=1) == first
    assert [event["event_id"] for event in events(ingest_server, "twice")] == ids * 2

    from ingest_api import replay as replaying
    from record.rejected import kept

    def understanding(body: bytes, arrival: Arrival) -> Any:
        return READ(body.replace(b'"look"', b'"pageview"'), arrival)

    READ = READERS[path]  # noqa: N806
    monkeypatch.setitem(replaying.READERS, path, understanding)
    with closing(ingest_server.store()) as store:
        for each in list(kept(store, ingest_server.settings.raw_dir, "twice")):
            replaying.replay(store, each, NOW_US)
    after = [event["event_id"] for event in events(ingest_server, "twice")][10:]
    assert set(ids) <= set(after)
    assert len(set(after)) == 6


def test_only_what_was_asked_for_is_replayed(ingest_server: Server) -> None:
    path = "/v2/conversions"
    reject(ingest_server, "some", path, V2)
    reject(ingest_server, "some", path, V2.replace(b"150", b"1.5"), V2 + b" " * KEPT_BYTES)
    reject(ingest_server, "some", "/v1/projects/some/goals/g", b'{"match": {"type": "any_conversion"}}')
    lines = {line[3:6:2][0]: line for line in listed(ingest_server, "some")}
    assert set(lines) == {path, "/v1/projects/some/goals/g"}
    assert (
        run(ingest_server, "replay", "--all", "--project", "some", "--reason-contains", "something else")
        == []
    )
    said = run(ingest_server, "replay", "--all", "--project", "some", expect=1)
    assert sorted(line.partition("  ")[2].partition(":")[0] for line in said) == [
        "accepted 1", "still refused", "still refused", "still refused"
    ]  # fmt: skip
    assert any("only its first 64 KB were kept" in line for line in said)
    assert any("definitions and costs are not replayed" in line for line in said)
    assert any("whole cents" in line for line in said)
    assert len(events(ingest_server, "some")) == 1
    assert run(ingest_server, "replay", "0123", expect=1)[0].startswith("0123  No such rejected report")
    assert run(ingest_server, "show", "0123", expect=1) == []
    run(ingest_server, "replay", expect=2)
    run(ingest_server, "replay", "--all", expect=2)
    run(ingest_server, "replay", "0123", "--all", "--project", "some", expect=2)


def test_an_item_of_a_batch_is_replayed_alone(ingest_server: Server, client: httpx.Client) -> None:
    reject(ingest_server, "item", "/v1/batch", TRACK)
    reject(ingest_server, "item", "/v1/projects/{project_id}/events", REPORT)
    run(ingest_server, "replay", "--all", "--project", "item")
    assert sorted(event["payload"] for event in events(ingest_server, "item")) == [
        REPORT.decode(), TRACK.decode()
    ]  # fmt: skip


def test_what_lay_here_is_corrected_by_the_clock_that_sent_it(ingest_server: Server) -> None:
    sent_us = 1_777_629_605_000_000
    call = b'{"type":"track","userId":"u","event":"e","timestamp":"2026-05-01T10:00:00Z"%b}'
    arrival = Arrival("clock", YESTERDAY_US, "server", None)
    rows = rejected_rows(
        arrival,
        "/v1/batch",
        [Rejection("x", call % b"", sent_us), Rejection("x", b'{"batch":[%b]}' % (call % b""))],
    )
    whole = rejected_rows(arrival, "/v1/track", [Rejection("x", call % b',"sentAt":"2026-05-01T10:00:05Z"')])
    with closing(open_store(ingest_server.settings.landing_store)) as store:
        store.append([("rejected", [row_values(Rejected)(row) for row in rows + whole])])
    run(ingest_server, "replay", "--all", "--project", "clock")
    landed = events(ingest_server, "clock")
    corrected = [
        event["sent_us"] and event["received_us"] - event["sent_us"] + event["occurred_us"]
        for event in landed
    ]
    assert sorted(corrected, key=str) == [YESTERDAY_US - 5_000_000] * 2 + [None]


def test_an_item_is_kept_with_the_time_that_its_batch_was_sent(
    ingest_server: Server, client: httpx.Client
) -> None:
    batch = {"sentAt": "2026-05-01T10:00:05Z", "batch": [{"type": "track", "userId": "sent"}]}
    assert client.post("/v1/batch", json=batch).status_code == 200
    with closing(ingest_server.store()) as store:
        found = store.query(
            "SELECT sent_us FROM rejected WHERE project_id = ? AND sent_us IS NOT NULL", "again"
        )
    assert found == [(1_777_629_605_000_000,)]
