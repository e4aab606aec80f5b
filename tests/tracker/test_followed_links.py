"""Links of ours between three hosts: a visitor in Chromium, a real server, and what a build makes of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import httpx
import pytest
from playwright.sync_api import BrowserContext, Page
from servers import Server, start_ingest
from website import Website, proxied, wait_until

from orchestration.build import run_build

LANDER, OFFER = "shop.test", "offers.test"
SOURCE = "utm_source=adnet&utm_medium=cpc&gclid=g-1"

WITHOUT_COOKIES = """
Object.defineProperty(Document.prototype, "cookie", { get() { return ""; }, set() {} });
for (const name of ["localStorage", "sessionStorage"])
    Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
"""

NewVisitor = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_ingest(tmp_path_factory.mktemp("followed") / "home")
    yield server
    assert server.stop() == 0


@pytest.fixture
def house(website: Website, ingest: Server) -> Website:
    """The web site, where what is no page goes to ingest, as behind a proxy of one's own host."""
    website.pages.clear()
    website.requests.clear()
    website.behind = proxied(ingest.url)
    return website


def shop(site: Website, ingest: Server, project: str, **tracker: Any) -> str:
    """A project with a lander and links to and from it; returns the address of its ad."""
    headers = {"x-api-key": ingest.key(project, "admin")}
    with httpx.Client(base_url=f"{ingest.url}/v1/projects/{project}", headers=headers) as client:
        for page, kind in (("lander", "lander"), ("offer", "offer")):
            assert client.put(f"/pages/{page}", json={"name": page, "kind": kind}).status_code == 200
        assert client.put("/tracker", json=tracker).status_code == 200
        fires = {"type": "conversion", "name": "Chosen", "value": {"amount": 0.5, "currency": "USD"}}
        out = {"url": f"{site.address(OFFER)}?s={{hit}}", "page_id": "offer"}
        for link, body in {
            "ad": {"to": [{"url": site.address(f"{LANDER}/{project}")}]},
            "out": {"page_id": "lander", "to": [out], "fires": fires},
        }.items():
            answer = client.put(f"/links/{link}", json={"name": link, **body})
            assert answer.status_code == 200, answer.text
    ingest.set_access(project, origins=[site.address(LANDER).rstrip("/")], postbacks="open")
    tag = f'<script defer src="/t/{project}.js" data-page="lander" data-kind="lander"></script>'
    site.put(f"{LANDER}/{project}", f'{tag}<a id="go" href="/c/{project}/out">To the offer</a>')
    # No script of ours is on it: it reads its address.
    site.put(f"{OFFER}/", "<h1>Offer</h1>")
    return site.address(f"{LANDER}/c/{project}/ad?{SOURCE}")


def events(ingest: Server, project: str) -> list[dict[str, Any]]:
    names = (
        "dialect",
        "kind",
        "name",
        "hit_id",
        "session_id",
        "visitor_id",
        "page_id",
        "utm_source",
        "referrer",
    )
    with closing(ingest.store()) as store:
        rows = store.query(
            f"SELECT {', '.join(names)} FROM events WHERE project_id = ? ORDER BY id",
            project,
        )
    return [dict(zip(names, row, strict=True)) for row in rows]


def clicks(ingest: Server, project: str) -> list[dict[str, Any]]:
    """Clicks that left the lander."""
    return [each for each in events(ingest, project) if each["name"] == "click" and each["page_id"]]


def views_of_lander(ingest: Server, project: str, number: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [each for each in events(ingest, project) if each["dialect"] == "openanalytics"]

    wait_until(lambda: len(found()) >= number)
    return found()


def offered_hit(tab: Page) -> str:
    """The page view that the offer was told of."""
    tab.wait_for_url(lambda url: urlsplit(url).hostname == OFFER)
    (hit,) = parse_qs(urlsplit(tab.url).query)["s"]
    return hit


def choose(tab: Page) -> str:
    """Follow the lander's link; returns the hit with which the offer was reached."""
    tab.click("#go")
    return offered_hit(tab)


def sell(ingest: Server, project: str, hit: str, order: str) -> None:
    answer = httpx.get(f"{ingest.url}/pb/{project}/", params={"hit": hit, "tx": order, "rev": "25"})
    assert answer.status_code == 200


def go_back(tab: Page) -> None:
    # Playwright waits for a load, which a page from the back/forward cache has not. The page goes after it
    # has answered.
    tab.evaluate("setTimeout(() => history.back())")
    tab.wait_for_selector("#go")


@pytest.mark.long
def test_a_visitor_goes_from_an_ad_over_a_lander_to_a_sale(
    house: Website, ingest: Server, new_visitor: NewVisitor
) -> None:
    """Three hosts, one build: with cookies, without, with the back button and a second tab."""
    told: dict[str, int] = {}
    """Clicks that left the lander, each of another view of it, by project."""

    # With cookies.
    tab = new_visitor().new_page()
    tab.goto(shop(house, ingest, "cookies"))
    (view,) = views_of_lander(ingest, "cookies", 1)
    sell(ingest, "cookies", choose(tab), "t-1")
    (click,) = clicks(ingest, "cookies")
    assert {name: click[name] for name in ("hit_id", "session_id", "visitor_id")} == {
        name: view[name] for name in ("hit_id", "session_id", "visitor_id")
    }
    # The ad's click already gave the visitor its id.
    assert {each["visitor_id"] for each in events(ingest, "cookies") if each["visitor_id"]} == {
        view["visitor_id"]
    }
    told["cookies"] = 1

    # Nothing of ours is kept, not even what an answer sets.
    visitor = new_visitor()
    visitor.add_init_script(WITHOUT_COOKIES)
    tab = visitor.new_page()
    tab.goto(shop(house, ingest, "cookieless", storage="none"))
    (view,) = views_of_lander(ingest, "cookieless", 1)
    visitor.clear_cookies()
    sell(ingest, "cookieless", choose(tab), "t-1")
    assert visitor.cookies() == []
    (click,) = clicks(ingest, "cookieless")
    assert (click["hit_id"], click["visitor_id"]) == (view["hit_id"], view["visitor_id"])
    told["cookieless"] = 1

    # Back, and once more: another view of the lander, and another click.
    tab = new_visitor().new_page()
    tab.goto(shop(house, ingest, "back"))
    views_of_lander(ingest, "back", 1)
    first = choose(tab)
    go_back(tab)
    views = views_of_lander(ingest, "back", 2)
    second = choose(tab)
    assert first != second
    assert [each["hit_id"] for each in clicks(ingest, "back")] == [each["hit_id"] for each in views]
    assert len({each["session_id"] for each in events(ingest, "back") if each["session_id"]}) == 1
    sell(ingest, "back", second, "t-1")
    told["back"] = 2

    # Two tabs beside each other: each click leaves its own.
    visitor = new_visitor()
    one, two = visitor.new_page(), visitor.new_page()
    address = shop(house, ingest, "tabs")
    one.goto(address)
    views_of_lander(ingest, "tabs", 1)
    two.goto(house.address(f"{LANDER}/tabs"))
    left, right = views_of_lander(ingest, "tabs", 2)
    one.bring_to_front()
    sell(ingest, "tabs", choose(one), "t-1")
    two.bring_to_front()
    choose(two)
    assert [each["hit_id"] for each in clicks(ingest, "tabs")] == [left["hit_id"], right["hit_id"]]
    told["tabs"] = 2

    assert run_build(ingest.settings).failures == ()
    marts = (ingest.settings.published_dir / "current").resolve() / "marts.duckdb"
    with duckdb.connect(str(marts), read_only=True) as published:

        def rows(sql: str, project: str) -> list[tuple[Any, ...]]:
            return published.execute(sql, [project]).fetchall()

        conversions = "select page_id, matched_by, net_amount_minor from fct_conversions"
        followed = "select count(*), count(conversion_id) from fct_link_clicks"
        credited = "select distinct source, medium from fct_attribution"
        for project, count in told.items():
            sold = rows(f"{conversions} where project_id = ? and dialect = 'funnelflux'", project)
            assert sold == [("offer", "hit", 2500)], project
            fired = rows(f"{conversions} where project_id = ? and dialect = 'links'", project)
            assert fired == [("lander", "hit", 50)] * count, project
            # The ad's address is a link, too.
            made = rows(f"{followed} where project_id = ? and not is_bot", project)
            assert made == [(count + 1, count)], project
            credit = rows(f"{credited} where project_id = ? and model = 'last_touch'", project)
            assert credit == [("adnet", "cpc")], project
            assert len(rows("select session_id from fct_sessions where project_id = ?", project)) == 1


def test_what_a_browser_loads_ahead_of_a_click_counts_for_nothing(
    house: Website, ingest: Server, new_visitor: NewVisitor
) -> None:
    shop(house, ingest, "ahead")
    wanted = '{"prefetch": [{"urls": ["/c/ahead/out"], "eagerness": "immediate"}]}'
    rules = f'<script type="speculationrules">{wanted}</script>'
    house.put(f"{LANDER}/rules", f'{rules}<a id="go" href="/c/ahead/out">To the offer</a>')
    tab = new_visitor().new_page()
    tab.goto(house.address(f"{LANDER}/rules"))

    def followed() -> list[str]:
        asked = [each for each in house.requests if each.path.startswith("/c/ahead/out")]
        return [each.headers.get("sec-purpose", "") for each in asked]

    wait_until(lambda: followed() == ["prefetch"])
    time.sleep(0.2)
    assert clicks(ingest, "ahead") == []
    choose(tab)
    assert followed() == ["prefetch", ""]
    assert len(clicks(ingest, "ahead")) == 1
