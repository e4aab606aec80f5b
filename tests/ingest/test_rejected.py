"""What could not be accepted is kept, with the reason, without keys, and within a quota."""

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import Server

from ingest_api.arrival import Arrival, Rejection
from ingest_api.rejected import Quota, rejected_rows
from record.rejected import KEPT_BYTES

ARRIVAL = Arrival(project_id="shop", received_us=1, sender="server", user_agent=None)


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {ingest_server.key('refusing', 'ingest,admin')}"}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client


def kept(server: Server) -> list[tuple[str, str, bytes]]:
    """Route, reason and body of everything kept of the project, in order."""
    with closing(server.store()) as landing:
        rows = landing.query(
            "SELECT path, reason, body FROM rejected WHERE project_id = 'refusing'"
            f" ORDER BY {landing.row_order}"
        )
    return [(path, reason, base64.b64decode(body)) for path, reason, body in rows]


def test_a_refused_body_is_kept_word_for_word(ingest_server: Server, client: httpx.Client) -> None:
    before = len(kept(ingest_server))
    refused = b'{"event_type": "conversion",\n "revenue": NaN}'
    answer = client.post(
        "/v1/projects/refusing/events", content=gzip.compress(refused), headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 400
    assert kept(ingest_server)[before:] == [
        ("/v1/projects/{project_id}/events", answer.json()["detail"], refused)
    ]


def test_the_bad_items_of_an_array_are_kept_alone(ingest_server: Server, client: httpx.Client) -> None:
    before = len(kept(ingest_server))
    body = b'[{"event_type":"pageview"}, {"event_type":  "no"}, {"event_type":"event"}]'
    answer = client.post("/v1/projects/refusing/events", content=body)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [(reason, bytes_) for _, reason, bytes_ in kept(ingest_server)[before:]] == [
        (answer.json()["results"][1]["error"], b'{"event_type":  "no"}'),
        (answer.json()["results"][2]["error"], b'{"event_type":"event"}'),
    ]


def test_what_segment_is_not_told_is_kept(ingest_server: Server, client: httpx.Client) -> None:
    before = len(kept(ingest_server))
    good = {"type": "track", "userId": "u", "event": "x"}
    bad = {"type": "track", "event": "nobody's"}
    answer = client.post("/v1/batch", json={"batch": [good, bad]})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    ((path, reason, body),) = kept(ingest_server)[before:]
    assert (path, json.loads(body)) == ("/v1/batch", bad)
    assert reason


def test_a_postbacks_secret_is_not_kept(ingest_server: Server, client: httpx.Client) -> None:
    path = ingest_server.set_postbacks("refusing", "secret")
    before = len(kept(ingest_server))
    assert httpx.get(f"{ingest_server.url}{path}?hit=REPLACE&rev=1").status_code == 400
    ((route, _, body),) = kept(ingest_server)[before:]
    assert (route, body) == ("/pb/{project_id}/{secret}", b"hit=REPLACE&rev=1")
    ingest_server.set_postbacks("refusing", "off")


def test_a_postback_is_kept_with_its_query_and_its_body(ingest_server: Server, client: httpx.Client) -> None:
    ingest_server.set_postbacks("refusing", "open")
    before = len(kept(ingest_server))
    answer = httpx.post(f"{ingest_server.url}/pb/refusing?tx=o-1", content=b'{"rev":"no"}')
    assert answer.status_code == 400
    ((_, _, body),) = kept(ingest_server)[before:]
    assert body == b'tx=o-1\n{"rev":"no"}'
    ingest_server.set_postbacks("refusing", "off")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "goals/signup", b'{"match": {"type": "unheard of"}}'),
        ("PUT", "funnels/f", b"[]"),
        ("PUT", "settings", b'{"time_zone": 1, "time_zone": 2}'),
        ("POST", "costs", b'[{"day": "2026-01-31", "source": "google"}]'),
        ("POST", "costs", b"not JSON"),
    ],
)
def test_definitions_and_costs_are_kept_like_events(
    ingest_server: Server, client: httpx.Client, method: str, path: str, body: bytes
) -> None:
    url = f"/v1/projects/refusing/{path}"
    before = len(kept(ingest_server))
    trial = client.request(method, url, content=body, headers={"Funnelhouse-Dry-Run": "1"})
    answer = client.request(method, url, content=body)
    assert (trial.status_code, answer.status_code) == (400, 400)
    assert kept(ingest_server)[before:] == [(url, answer.json()["detail"], body)]


def test_what_an_ingest_key_may_not_define_is_not_kept(ingest_server: Server) -> None:
    key = ingest_server.key("refusing", "ingest")
    before = len(kept(ingest_server))
    for path in ("goals/signup", "settings", "costs"):
        method = "POST" if path == "costs" else "PUT"
        url = f"{ingest_server.url}/v1/projects/refusing/{path}"
        headers = {"x-api-key": key}
        assert httpx.request(method, url, content=b"no", headers=headers).status_code == 403
    assert len(kept(ingest_server)) == before


def test_a_browser_is_kept_as_one(ingest_server: Server, client: httpx.Client) -> None:
    headers = {"Origin": "https://shop.example", "User-Agent": "a browser"}
    client.post("/v1/projects/refusing/events", content=b"{}", headers=headers)
    with closing(ingest_server.store()) as landing:
        rows = landing.query(
            "SELECT sender, user_agent FROM rejected WHERE project_id = 'refusing'"
            f" ORDER BY {landing.row_order}"
        )
    assert rows[-1] == ("browser", "a browser")


def test_nothing_is_kept_of_strangers_dry_runs_and_bodies_over_the_limit(
    ingest_server: Server, client: httpx.Client
) -> None:
    before = kept(ingest_server)
    events = "/v1/projects/refusing/events"
    assert httpx.post(f"{ingest_server.url}{events}", content=b"{").status_code == 401
    assert client.post("/v1/projects/other/events", content=b"{").status_code == 404
    assert client.post(events, content=b"{", headers={"Funnelhouse-Dry-Run": "1"}).status_code == 400
    assert client.post(events, content=b" " * (1024 * 1024 + 1)).status_code == 413
    assert kept(ingest_server) == before


@pytest.mark.parametrize("cut", [b"", b'"', b'"}'])
def test_keys_are_blanked_even_where_the_body_breaks_off(cut: bytes) -> None:
    body = b'{"writeKey" : "fh_live_a\\"b_secret' + cut
    (row,) = rejected_rows(ARRIVAL, "/v1/batch", [Rejection("why", body)])
    assert b"secret" not in base64.b64decode(row.body)


def test_only_the_first_64_kilobytes_are_kept() -> None:
    (row,) = rejected_rows(ARRIVAL, "/v1/batch", [Rejection("why", b"x" * 200_000)])
    assert base64.b64decode(row.body) == b"x" * KEPT_BYTES


@given(st.lists(st.tuples(st.sampled_from(["shop", "other"]), st.integers(1, 9)), max_size=30))
def test_a_project_may_fill_its_quota_of_a_day_and_no_more(wanted: list[tuple[str, int]]) -> None:
    quota = Quota(daily=20)
    taken = {"shop": 0, "other": 0}
    for project, count in wanted:
        taken[project] += quota.take(project, count, received_us=5)
    for project, total in taken.items():
        assert total == min(20, sum(count for each, count in wanted if each == project))
    assert quota.take("shop", 3, received_us=5 + 86_400_000_000) == 3
