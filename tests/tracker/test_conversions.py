"""What pages say with the tag, and servers with the browser's ids, until a build makes conversions of it."""

from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlsplit

import duckdb
import httpx
import pytest
from playwright.sync_api import BrowserContext, Page
from servers import Server, start_ingest
from website import NO_LIMITS, TAG, Website, proxied, wait_until

from orchestration.build import run_build

SOURCE = "utm_source=news&utm_medium=email"


@pytest.fixture
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_ingest(tmp_path_factory.mktemp("conversions") / "home", **NO_LIMITS)
    yield server
    assert server.stop() == 0


@pytest.fixture
def site(website: Website, ingest: Server) -> Website:
    """A site with the tag and its default settings, whose project takes postbacks."""
    website.pages.clear()
    website.requests.clear()
    ingest.key("shop", "admin")
    origin = website.address("shop.test").rstrip("/")
    ingest.set_access("shop", origins=[origin], postbacks="open")
    website.behind = proxied(ingest.url)
    return website


def cookies(tab: Page) -> tuple[str, str]:
    """Visitor and session, as the browser's own cookies have them."""
    kept = {cookie["name"]: cookie["value"] for cookie in tab.context.cookies()}
    return kept["fh_vid"], kept["fh_ses"].partition(".")[0]


@pytest.mark.long
def test_pages_and_servers_tell_of_the_same_conversions(
    site: Website, ingest: Server, new_visitor: Callable[..., BrowserContext]
) -> None:
    client = httpx.Client(base_url=ingest.url, headers={"x-api-key": ingest.key("shop", "ingest,admin")})
    goal = {"name": "purchase", "match": {"type": "event_name", "value": "nothing"}}
    client.put("/v1/projects/shop/goals/goal-1", json=goal).raise_for_status()

    def visit(path: str, body: str = "") -> Page:
        tab = new_visitor().new_page()
        before = len(site.views())
        tab.goto(site.put(f"shop.test/{path}", TAG + body) + f"?{SOURCE}")
        wait_until(lambda: len(site.views()) > before)
        return tab

    def told(tab: Page, call: str, api: str) -> None:
        tab.evaluate(call)
        wait_until(lambda: ("conversion", api) in [(each["type"], each["api"]) for each in site.events()])

    # A page and the shop's backend report one order; the backend names nobody.
    tab = visit("thanks")
    told(tab, "oa('conversion', 'ordered', {revenue: 49.99, currency: 'USD', order_id: 'o-1'})", "oa")
    order = {"event_name": "ordered", "revenue": 52.5, "currency": "USD", "transaction_id": "o-1"}
    client.post("/v1/projects/shop/conversions", json=order).raise_for_status()
    ordering = cookies(tab)

    # A page and a network report one sale.
    tab = visit("sold")
    told(tab, "flux.track('conversion', {rev: 20, tx: 't-1'})", "flux")
    postback = {"vid": cookies(tab)[0], "tx": "t-1", "rev": "25"}
    client.get("/pb/shop/", params=postback).raise_for_status()

    # A lander's link to a host that nobody listed hands ids on, and that host reports by each of them.
    lander = TAG.replace("<script ", '<script data-kind="lander" ')
    site.put("network.test/", "<h1>elsewhere</h1>")
    tab = new_visitor().new_page()
    before = len(site.views())
    link = f'<a id="go" href="{site.address("network.test/")}">go</a>'
    tab.goto(site.put("shop.test/lander", lander + link) + f"?{SOURCE}")
    wait_until(lambda: len(site.views()) > before)
    leaving = cookies(tab)
    tab.click("#go")
    tab.wait_for_url("https://network.test:*/*")
    handed = dict(parse_qsl(urlsplit(tab.url).query))
    assert (handed["vid"], handed["sessionId"]) == leaving
    for name in ("sessionId", "sessionHash", "visitHash"):
        report = {name: handed[name], "event": f"by {name}", "conversion": {"value": 5}}
        client.post("/v1/analytics/report-conversion", json=report).raise_for_status()

    # A page asks for its ids and the goal's, and its server reports with them.
    tab = visit("buy")
    ids = tab.evaluate("_pgnt.variables('purchase')")
    assert (ids["user_id"], ids["session_id"], ids["conversion_id"]) == (*cookies(tab), "goal-1")
    bought = {"session_data": ids, "label": "bought", "revenue": 1500}
    client.post("/v2/conversions", json=bought).raise_for_status()

    assert run_build(ingest.settings).failures == ()
    with duckdb.connect() as connection:
        sealed = ingest.settings.raw_dir / "events" / "*" / "*.parquet"
        views = connection.execute(
            "select visitor_id, session_id, sender, dialect, dialect_version from read_parquet(?)"
            " where kind = 'visit' order by seq",
            [str(sealed)],
        ).fetchall()
    assert views[0] == (*ordering, "browser", "openanalytics", "browser-1")
    assert views[2][:2] == leaving
    assert len(views) == 4

    marts = (ingest.settings.published_dir / "current").resolve() / "marts.duckdb"
    with duckdb.connect(str(marts), read_only=True) as published:
        found = published.execute(
            "select dialect, coalesce(name, ''), net_amount_minor, matched_by, reports from fct_conversions"
        ).fetchall()
        credit = published.execute(
            "select distinct source, medium from fct_attribution where model = 'last_touch'"
        ).fetchall()
    assert sorted(found) == [
        ("funnelflux", "", 2500, "visitor", 2),
        ("openanalytics", "ordered", 5250, "hit", 2),
        ("pagent", "bought", 1500, "hit", 1),
        ("superfunnel", "by sessionHash", 500, "hash", 1),
        ("superfunnel", "by sessionId", 500, "session", 1),
        ("superfunnel", "by visitHash", 500, "hash", 1),
    ]
    assert credit == [("news", "email")]
