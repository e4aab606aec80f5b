"""Page views: at load, of routers, out of the back/forward cache, and none where nobody looks."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from website import TAG, Website, wait_until

Shop = Callable[..., Website]
WHY_LOADED = "JSON.stringify(performance.getEntriesByType('navigation')[0].notRestoredReasons)"


def paths(site: Website, count: int) -> list[str]:
    """Path and query of the page views, once there are that many."""
    wait_until(lambda: len(site.views()) >= count)
    return [view["url"].partition(".test")[2].partition("/")[2] for view in site.views()]


def settled(tab: Page, site: Website) -> list[dict[str, Any]]:
    """The page views, after the page had time for one more than it should emit."""
    tab.wait_for_timeout(150)
    return site.views()


def test_a_page_view_says_where_and_who(shop: Shop, tab: Page) -> None:
    site = shop()
    site.put(
        "shop.test/offer", '<script defer src="/t/shop.js" data-page="offer-1" data-kind="offer"></script>'
    )
    search = site.put("search.test/", '<a id="go" href="/nowhere">go</a>')
    tab.goto(search)
    tab.evaluate(
        "address => { go.href = address }", site.address("shop.test/offer?utm_source=news&token=x#part")
    )
    tab.click("#go")
    (view,) = wait_until(site.views)
    cookies = {each["name"]: each for each in tab.context.cookies()}
    address = site.address("shop.test/offer?utm_source=news&token=removed")
    assert view["url"] == address
    assert view["ref"] == site.address("search.test/")
    assert (view["page"], view["pk"]) == ("offer-1", "offer")
    assert view["vid"] == cookies["fh_vid"]["value"]
    assert view["sid"] == cookies["fh_ses"]["value"].partition(".")[0]
    assert view["hit"] == tab.evaluate("_pgnt.variables().visit_id")
    assert view["first"] == {
        "url": address,
        "ref": view["ref"],
        "t": view["first"]["t"],
        "utm_source": "news",
    }
    (batch,) = site.reports()
    assert batch["v"] == 1
    assert batch["sent"] - 10_000 < view["t"] <= batch["sent"]
    assert not {"ads", "consent", "auto", "lost"} & batch.keys()
    for cookie in cookies.values():
        assert (cookie["sameSite"], cookie["path"], cookie["secure"]) == ("Lax", "/", True)
    days = (cookies["fh_vid"]["expires"] - batch["sent"] / 1000) / 86_400
    assert 399 < days < 401


def test_later_pages_of_a_session_say_where_it_began(shop: Shop, tab: Page) -> None:
    site = shop()
    first = site.put("shop.test/", TAG)
    second = site.put("shop.test/next", TAG)
    tab.goto(first + "?utm_source=news&gclid=G1")
    wait_until(site.views)
    tab.goto(second)
    one, other = wait_until(lambda: len(site.views()) == 2 and site.views())
    assert (other["vid"], other["sid"], other["first"]) == (one["vid"], one["sid"], one["first"])
    assert other["hit"] != one["hit"]
    assert one["first"]["gclid"] == "G1"


@pytest.mark.parametrize(
    ("did", "seen"),
    [
        ("history.pushState({}, '', '/a?x=1')", ["", "a?x=1"]),
        ("history.pushState({}, '', '/#part')", [""]),
        ("history.pushState({}, '', '/a'); history.replaceState({}, '', '/b')", ["", "b"]),
        ("history.replaceState({}, '', '/a'); history.pushState({}, '', '/?x=1')", ["", "?x=1"]),
        ("history.replaceState({}, '', '/?x=1')", [""]),
        ("history.replaceState({}, '', '/a?x=1')", ["", "a?x=1"]),
        ("location.hash = '#/route'", [""]),
    ],
)
def test_routers(shop: Shop, tab: Page, did: str, seen: list[str]) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    tab.evaluate(did)
    assert paths(site, len(seen)) == seen
    assert len(settled(tab, site)) == len(seen)


def test_going_back_within_a_router(shop: Shop, tab: Page) -> None:
    site = shop()
    address = site.put("shop.test/", TAG)
    tab.goto(address)
    wait_until(site.views)
    tab.evaluate("history.pushState({}, '', '/a')")
    assert paths(site, 2) == ["", "a"]
    tab.evaluate("history.back()")
    assert paths(site, 3) == ["", "a", ""]
    one, two, three = site.views()
    assert "ref" not in one
    assert (two["ref"], three["ref"]) == (one["url"], two["url"])
    assert len({one["hit"], two["hit"], three["hit"]}) == 3


def test_hash_routes(shop: Shop, tab: Page) -> None:
    site = shop(hash_routes=True)
    tab.goto(site.put("shop.test/", TAG) + "#access_token=secret")
    wait_until(site.views)
    tab.evaluate("location.hash = '#/cart?x=1'")
    assert paths(site, 2) == ["", "#/cart?x=1"]
    tab.evaluate("location.hash = '#part'")
    assert paths(site, 3) == ["", "#/cart?x=1", ""]


def test_the_node_of_a_tag_is_that_of_its_own_address(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", '<script defer id="tag" src="/t/shop.js" data-page="home"></script>'))
    wait_until(site.views)
    tab.evaluate("history.pushState({}, '', '/a')")
    wait_until(lambda: len(site.views()) == 2)
    tab.evaluate("tag.dataset.page = 'b'; history.pushState({}, '', '/b')")
    wait_until(lambda: len(site.views()) == 3)
    tab.evaluate("history.back()")
    assert [view.get("page") for view in wait_until(lambda: len(site.views()) == 4 and site.views())] == [
        "home",
        None,
        "b",
        "b",
    ]


def test_out_of_the_back_forward_cache(shop: Shop, tab: Page) -> None:
    site = shop()
    first = site.put("shop.test/", TAG + "<script>window.kept = 0</script>")
    second = site.put("shop.test/next", "")
    tab.goto(first)
    wait_until(site.views)
    # A busy browser may not keep a page, and loads it again: so it is asked more than once.
    for _ in range(5):
        seen = len(site.views())
        tab.evaluate("window.kept = 1")
        tab.goto(second)
        tab.evaluate("history.back()")
        wait_until(lambda: len(site.views()) > seen)  # noqa: B023
        # A page that is loaded again reports before the browser is done with it, and only then can be asked.
        tab.wait_for_load_state()
        if tab.evaluate("window.kept") == 1:
            break
    else:
        pytest.fail(f"never kept: {tab.evaluate(WHY_LOADED)}")
    views = settled(tab, site)
    assert len(views) == seen + 1
    one, two = views[-2:]
    assert one["hit"] != two["hit"] and one["url"] == two["url"] and "ref" not in two


def test_a_prerendered_page_is_counted_when_it_is_looked_at(
    shop: Shop, chromium: Callable[..., None]
) -> None:
    """In a browser that nobody drives: a tool that does switches prerendering off."""
    site = shop()
    site.put(
        "shop.test/next",
        TAG
        + "<script>"
        + "const tell = (what) => setTimeout(() => fetch(`/told?${what()}`,"
        + " {method: 'POST', body: JSON.stringify(_pgnt.variables())}), 500);"
        + "addEventListener('load', () => tell(() => document.prerendering + document.cookie));"
        + "document.onprerenderingchange = () => tell(() => 'seen');"
        + "</script>",
    )
    rules = (
        '<script type="speculationrules">{"prerender":[{"urls":["/next"],"eagerness":"immediate"}]}</script>'
    )
    go = "<script>setTimeout(() => { location.href = '/next' }, 2500)</script>"
    chromium(site.put("shop.test/", rules + go))
    before, _ = wait_until(lambda: len(told := site.posted("/told")) == 2 and told)
    assert before.path == "/told?true", "it was not prerendered, or has a cookie"
    (view,) = wait_until(site.views)
    assert site.requests.index(before) < site.requests.index(site.posted("/t/shop")[0])
    assert view["hit"] == before.batch()["visit_id"], "ids given out before hold"
    assert (view["vid"], view["sid"]) == (before.batch()["user_id"], before.batch()["session_id"])


def test_a_tab_opened_hidden_waits(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.add_init_script(
        "let hidden = true;"
        "Object.defineProperty(Document.prototype, 'hidden', {get: () => hidden});"
        "window.show = () => { hidden = false; document.dispatchEvent(new Event('visibilitychange')) };"
    )
    tab.goto(
        site.put("shop.test/", TAG + "<script>addEventListener('load', () => oa('event', 'early'))</script>")
    )
    assert settled(tab, site) == []
    tab.evaluate("show()")
    wait_until(lambda: len(site.events()) == 2)
    assert [event["type"] for event in site.events()] == ["pageview", "event"]


def test_two_tabs_share_visitor_and_session(shop: Shop, new_visitor: Callable[..., BrowserContext]) -> None:
    site = shop()
    context = new_visitor()
    address = site.put("shop.test/", TAG)
    one, other = context.new_page(), context.new_page()
    one.goto(address)
    other.goto(address)
    wait_until(lambda: len(site.views()) == 2)
    one.evaluate("oa('event', 'one')")
    other.evaluate("oa('event', 'other')")
    events = wait_until(lambda: len(site.events()) == 4 and site.events())
    assert len({(event["vid"], event["sid"]) for event in events}) == 1
    assert len({event["hit"] for event in events}) == 2


@pytest.mark.parametrize(("minutes", "is_new"), [(29, False), (31, True)])
def test_a_session_ends_when_nothing_happens(shop: Shop, tab: Page, minutes: int, is_new: bool) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    tab.evaluate(f"const now = Date.now; Date.now = () => now() + {minutes} * 60000; oa('event', 'later')")
    wait_until(lambda: len(site.events()) == 2)
    tab.evaluate("history.pushState({}, '', '/a')")
    one, later, view = wait_until(lambda: len(site.events()) == 3 and site.events())
    assert (one["sid"] != later["sid"]) is is_new
    assert view["sid"] == later["sid"] and view["vid"] == one["vid"]
    assert view["first"]["url"] == (view["url"] if is_new else one["url"])


def test_a_session_ends_after_a_day(shop: Shop, tab: Page) -> None:
    site = shop()
    address = site.put("shop.test/", TAG)
    tab.goto(address)
    (view,) = wait_until(site.views)
    now = view["t"]
    cookie = f"{view['sid']}.{now - 24 * 3_600_000 - 60_000}.{now}"
    tab.context.add_cookies([{"name": "fh_ses", "value": cookie, "url": address}])
    tab.evaluate("oa('event', 'later')")
    event = wait_until(lambda: site.events()[1:])[0]
    assert event["sid"] != view["sid"]


@pytest.mark.parametrize("is_split", [True, False])
def test_another_campaign(shop: Shop, tab: Page, is_split: bool) -> None:
    site = shop(split_on_campaign=is_split)
    address = site.put("shop.test/", TAG)
    for query in ("?utm_source=a", "?utm_source=a", "", "?utm_source=b"):
        count = len(site.views())
        tab.goto(address + query)
        wait_until(lambda: len(site.views()) == count + 1)  # noqa: B023
    sessions = [view["sid"] for view in site.views()]
    assert len(set(sessions[:3])) == 1
    assert (sessions[3] != sessions[2]) is is_split
    assert site.views()[3]["first"]["utm_source"] == ("b" if is_split else "a")
