"""Keys that stand in web pages: what they send counts as a browser's, and takes nothing of a server."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import Server, start_ingest

from ingest_api.rejected import DAILY_QUOTA, PAGE_DAILY_QUOTA
from ingest_api.replay import replay
from record.landing.store import LandingStore
from record.rejected import kept

EVENTS = "/v1/projects/paged/events"
SALE = {"event_type": "conversion", "event_name": "sale", "transaction_id": "o-1", "revenue": 5}
REFUND = {"event_type": "refund", "transaction_id": "o-1"}
ALIASES = [{"event_type": kind, "user_id": "u", "previous_id": "v"} for kind in ("alias", "unalias")]
ONLY_SERVERS = [REFUND, *ALIASES, {**SALE, "status": "rejected"}, {"event_type": "pageview", "status": "x"}]


@pytest.fixture(scope="module")
def page(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("paged", "page")}
    with httpx.Client(base_url=ingest_server.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def server(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("paged", "ingest")}
    with httpx.Client(base_url=ingest_server.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def landing(ingest_server: Server) -> Iterator[LandingStore]:
    with closing(ingest_server.store()) as store:
        yield store


def rows(landing: LandingStore, names: str, table: str = "events") -> list[tuple[Any, ...]]:
    """All rows of the project, in order."""
    return landing.query(
        f"SELECT {names} FROM {table} WHERE project_id = 'paged' ORDER BY {landing.row_order}"
    )


V2 = {"session_data": {"session_id": "s", "user_id": "u", "conversion_id": "g"}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (EVENTS, {"event_type": "pageview"}),
        (EVENTS, {"event_type": "event", "event_name": "e"}),
        (EVENTS, {"event_type": "identify", "user_id": "u"}),
        (EVENTS, SALE),
        ("/v1/projects/paged/conversions", {"event_name": "sale"}),
        ("/v1/conversions", {"events": [V2["session_data"]]}),
        ("/v2/conversions", V2),
        ("/v2/conversions/bulk", {"events": [V2]}),
        ("/v1/analytics/report-conversion", {"gclid": "c", "event": "e"}),
        ("/v1/track", {"userId": "u", "event": "Order Completed", "properties": {"order_id": "o"}}),
        # As a browser's it changes no order: the models take that from servers only.
        ("/v1/track", {"userId": "u", "event": "Order Cancelled", "properties": {"order_id": "o"}}),
        ("/v1/page", {"anonymousId": "a"}),
        ("/v1/identify", {"userId": "u"}),
    ],
)
def test_a_page_reports_as_a_browser_whatever_its_headers(
    page: httpx.Client, landing: LandingStore, path: str, body: Any
) -> None:
    before = len(rows(landing, "sender"))
    agent = {"User-Agent": "a browser"}
    assert page.post(path, json=body, headers=agent).status_code in (200, 202)
    assert rows(landing, "sender, user_agent")[before:] == [("browser", "a browser")]


@pytest.mark.parametrize("body", ONLY_SERVERS)
def test_what_only_servers_may_say_is_403(page: httpx.Client, landing: LandingStore, body: Any) -> None:
    before = len(rows(landing, "kind")), len(rows(landing, "reason", "rejected"))
    answer = page.post(EVENTS, json=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert "scope ingest" in answer.json()["detail"]
    assert (len(rows(landing, "kind")), len(rows(landing, "reason", "rejected"))) == before


def test_what_only_servers_may_say_is_403_among_conversions(page: httpx.Client) -> None:
    assert page.post("/v1/projects/paged/conversions", json=REFUND).status_code == 403


def test_a_server_may_say_all_of_it(server: httpx.Client) -> None:
    answer = server.post(EVENTS, json=ONLY_SERVERS)
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(ONLY_SERVERS))


def test_the_other_items_of_an_array_are_taken(page: httpx.Client, landing: LandingStore) -> None:
    before = len(rows(landing, "kind")), len(rows(landing, "reason", "rejected"))
    items = [REFUND, {"event_type": "pageview"}, {"event_type": "no"}, ALIASES[0]]
    answer = page.post(EVENTS, json=items)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [result["status"] for result in answer.json()["results"]] == [403, 202, 400, 403]
    assert rows(landing, "kind")[before[0] :] == [("visit",)]
    # What was 403 is not kept.
    assert len(rows(landing, "reason", "rejected")) == before[1] + 1


def test_an_array_of_nothing_else_is_403(page: httpx.Client) -> None:
    answer = page.post(EVENTS, json=ONLY_SERVERS)
    assert (answer.status_code, answer.json()["accepted"]) == (403, 0)
    assert page.post(EVENTS, json=[REFUND, {"event_type": "no"}]).status_code == 400


def test_segment_is_told_nothing_and_a_replay_allows_no_more(
    ingest_server: Server, page: httpx.Client, landing: LandingStore
) -> None:
    before = len(rows(landing, "kind")), len(rows(landing, "reason", "rejected"))
    refunded = {"type": "track", "userId": "u", "event": "Order Refunded", "properties": {"order_id": "o"}}
    alias = {"type": "alias", "userId": "u", "previousId": "p"}
    answer = page.post("/v1/batch", json={"batch": [refunded, alias, {"type": "page", "userId": "u"}]})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert page.post("/v1/alias", json=alias).json() == {"success": True}
    key = page.headers["x-api-key"]
    in_body = httpx.post(f"{ingest_server.url}/v1/alias", json={**alias, "writeKey": key})
    assert in_body.json() == {"success": True}
    assert rows(landing, "kind")[before[0] :] == [("visit",)]
    refused = rows(landing, "reason, has_page_key", "rejected")[before[1] :]
    assert [reason.partition(":")[0] for reason, _ in refused] == ["refund", "alias", "alias", "alias"]
    assert all(has_page_key for _, has_page_key in refused)
    found = [each for each in kept(landing, Path("none"), "paged") if each.row.path.startswith("/v1/")]
    for each in found[:4]:
        assert replay(landing, each, each.row.received_us).accepted == 0


def test_a_page_takes_no_idempotency_key_and_makes_no_event_id_of_a_server(
    page: httpx.Client, server: httpx.Client
) -> None:
    headers = {"Idempotency-Key": "order-1"}
    taken = page.post(EVENTS, json={"event_type": "pageview"}, headers=headers)
    assert taken.status_code == 202
    of_page = page.post(EVENTS, json=SALE, headers={"Idempotency-Key": "order-2"})
    of_server = [
        server.post(EVENTS, json=SALE, headers={"Idempotency-Key": k}) for k in ("order-1", "order-2")
    ]
    assert [answer.status_code for answer in of_server] == [202, 202]
    ids = {answer.headers["Funnelhouse-Event-Id"] for answer in (taken, of_page, *of_server)}
    assert len(ids) == 4
    # Among pages, and among servers, a repeat is a repeat.
    for client, body, first in ((page, {"event_type": "pageview"}, taken), (server, SALE, of_server[0])):
        again = client.post(EVENTS, json=body, headers=headers)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Funnelhouse-Event-Id"] == first.headers["Funnelhouse-Event-Id"]
    assert page.post(EVENTS, json=SALE, headers=headers).status_code == 422


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes little of pages, and has counted nothing yet."""
    house = start_ingest(tmp_path_factory.mktemp("pages") / "home", FUNNELHOUSE_PAGE_RATE_LIMIT="3/hour")
    yield house
    house.stop()


def test_what_pages_send_wrongly_leaves_the_servers_quota_alone(limited: Server) -> None:
    bad = [{"event_type": "no"}] * 1000
    for scope in ("page", "page", "ingest"):
        headers = {"x-api-key": limited.key("wrong", scope)}
        answer = httpx.post(f"{limited.url}/v1/projects/wrong/events", json=bad, headers=headers)
        assert answer.status_code == 400
    with closing(limited.store()) as store:
        found = store.query("SELECT has_page_key, count(*) FROM rejected GROUP BY 1 ORDER BY 1")
    assert found == [(0, DAILY_QUOTA), (1, PAGE_DAILY_QUOTA)]


def test_pages_have_a_rate_limit_of_their_own(limited: Server) -> None:
    keys = {scope: {"x-api-key": limited.key("shop", scope)} for scope in ("page", "ingest")}
    url = f"{limited.url}/v1/projects/shop/events"

    def statuses(headers: dict[str, str], count: int, url: str = url) -> list[int]:
        sent = [httpx.post(url, content=b'{"event_type":"pageview"}', headers=headers) for _ in range(count)]
        return [answer.status_code for answer in sent]

    assert statuses(keys["page"], 4) == [202, 202, 202, 429]
    # Neither its servers nor other projects' pages are kept waiting.
    assert statuses(keys["ingest"], 5) == [202] * 5
    other = {"x-api-key": limited.key("other", "page")}
    assert statuses(other, 1, url.replace("shop", "other")) == [202]
    limited.set_access("shop", rate_limit="6/hour")
    assert statuses(keys["ingest"], 7) == [202] * 6 + [429]
    refused = httpx.post(url, content=b"{}", headers=keys["page"])
    assert refused.headers["RateLimit-Policy"] == '"page";q=3;w=3600'
    assert "page keys" in refused.json()["detail"]


def test_a_projects_limit_holds_for_its_test_keys(ingest_server: Server) -> None:
    live = {"x-api-key": ingest_server.key("tested", "ingest")}
    trial = {"x-api-key": ingest_server.key("tested", "ingest", is_test=True)}
    ingest_server.set_access("tested", rate_limit="2/hour")
    url = f"{ingest_server.url}/v1/projects/tested/events"
    for headers in (trial, live):
        sent = [httpx.post(url, content=b'{"event_type":"pageview"}', headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in sent] == [202, 202, 429]


def test_a_page_speaks_of_itself_with_an_ingest_key_too(server: httpx.Client, landing: LandingStore) -> None:
    before = len(rows(landing, "sender"))
    origin = {"Origin": "https://shop.example"}
    library = {"userId": "u", "event": "e", "context": {"library": {"name": "analytics.js"}}}
    assert server.post(EVENTS, json={"event_type": "pageview"}, headers=origin).status_code == 202
    assert server.post("/v1/track", json=library).status_code == 200
    assert server.post("/v1/track", json={**library, "context": {}}).status_code == 200
    assert rows(landing, "sender")[before:] == [("browser",), ("browser",), ("server",)]


def test_a_postback_that_a_page_posts_is_a_browsers(ingest_server: Server, landing: LandingStore) -> None:
    before = len(rows(landing, "sender"))
    path = ingest_server.set_postbacks("paged", "secret")
    try:
        for headers in ({"Origin": "https://shop.example"}, {}):
            sent = httpx.post(f"{ingest_server.url}{path}?hit=h", headers=headers)
            assert sent.status_code == 200
    finally:
        ingest_server.set_postbacks("paged", "off")
    assert rows(landing, "sender")[before:] == [("browser",), ("server",)]


def test_the_key_in_basic_is_a_pages_too(ingest_server: Server, page: httpx.Client) -> None:
    basic = base64.b64encode(f"{page.headers['x-api-key']}:".encode()).decode()
    answer = httpx.post(
        f"{ingest_server.url}{EVENTS}",
        content=json.dumps(REFUND),
        headers={"Authorization": f"Basic {basic}"},
    )
    assert answer.status_code == 403
