"""What the visitor decides, in the page or by the browser's settings."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from website import TAG, Website, wait_until

Shop = Callable[..., Website]
GPC = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"


def kept(tab: Page) -> set[str]:
    """Names of what the browser keeps of us."""
    names = {cookie.get("name", "") for cookie in tab.context.cookies()}
    return names | set(tab.evaluate("Object.keys(localStorage)"))


def wait_for_refusal_alone(tab: Page) -> None:
    """Until nothing else is kept: an answer on its way may set a cookie, which the script takes away."""
    wait_until(lambda: kept(tab) == {"fh_consent"})


def test_nothing_happens_before_the_decision(shop: Shop, tab: Page) -> None:
    site = shop(consent="required", link_domains="all")
    address = site.put(
        "shop.test/", TAG + '<a id="go" href="https://offer.test/" onclick="event.preventDefault()">go</a>'
    )
    tab.goto(address + "?gclid=G")
    tab.evaluate("oa('event', 'early'); early = _pgnt.variables()")
    tab.click("#go")
    assert tab.get_attribute("#go", "href") == "https://offer.test/"
    tab.evaluate("dispatchEvent(new Event('pagehide'))")
    tab.wait_for_timeout(200)
    assert (site.reports(), kept(tab)) == ([], set())

    tab.evaluate("flux.consent('granted')")
    view, event = wait_until(lambda: len(site.events()) == 2 and site.events())
    assert [view["type"], event["name"]] == ["pageview", "early"]
    assert view["t"] < site.reports()[0]["sent"] - 150, "they have their own times"
    early = tab.evaluate("early")
    assert (view["vid"], view["sid"], view["hit"]) == (
        early["user_id"],
        early["session_id"],
        early["visit_id"],
    )
    assert {"fh_vid", "fh_ses", "fh_consent", "fh_first"} <= kept(tab)
    assert {(batch["consent"], batch["ads"]) for batch in site.reports()} == {("granted", "granted")}
    # The next page needs no question.
    tab.goto(site.put("shop.test/next", TAG))
    assert wait_until(lambda: site.views()[1:])[0]["vid"] == view["vid"]


def test_who_came_back_is_known_once_he_agrees(shop: Shop, tab: Page) -> None:
    site = shop(consent="required")
    address = site.put("shop.test/", TAG)
    tab.context.add_cookies([{"name": "fh_vid", "value": "known", "url": address}])
    tab.goto(address)
    tab.wait_for_timeout(100)
    tab.evaluate("flux.consent('granted')")
    (view,) = wait_until(site.views)
    assert view["vid"] == "known"


@pytest.mark.parametrize("consent", ["required", "assumed"])
@pytest.mark.parametrize("denied", ["nothing", "anonymous"])
def test_a_refusal(shop: Shop, tab: Page, consent: str, denied: str) -> None:
    site = shop(consent=consent, denied=denied, outbound=True)
    tab.goto(site.put("shop.test/", TAG) + "?gclid=G&utm_source=x")
    if consent == "assumed":
        wait_until(site.views)
    else:
        tab.wait_for_timeout(100)
    before = len(site.events())
    assert before == (consent == "assumed")
    waited = ["pageview"] * (consent == "required")
    sent = [*waited, "event", "conversion"] if denied == "anonymous" else []
    tab.evaluate("flux.consent('denied')")
    tab.evaluate(
        "oa('event', 'x'); oa('identify', 'u');"
        "flux.track('conversion', {vid: 'V', hit: 'H', rev: 1, tx: 't'})"
    )
    wait_until(lambda: len(site.events()) >= before + len(sent))
    tab.wait_for_timeout(200)
    events = site.events()[before:]
    wait_for_refusal_alone(tab)
    assert tab.evaluate("_pgnt.variables()")["user_id"] is None
    assert [event["type"] for event in events] == sent
    if denied == "nothing":
        return
    for event in events:
        assert not {"vid", "sid", "hit", "first", "user"} & event.keys()
        assert event["url"] == site.address("shop.test/?&utm_source=x")
    assert site.reports()[-1]["consent"] == "denied"
    assert "cookie" not in site.posted("/t/shop")[-1].headers
    rows = wait_until(lambda: len(found := site.landed()) == before + len(events) and found)[before:]
    assert {(row["visitor_id"], row["session_id"], row["hit_id"], row["click_id"]) for row in rows} == {
        (None,) * 4
    }


def test_taking_it_back(shop: Shop, tab: Page) -> None:
    site = shop(consent="required")
    tab.goto(site.put("shop.test/", TAG))
    tab.evaluate("flux.consent('granted')")
    (view,) = wait_until(site.views)
    tab.evaluate("flux.consent('denied')")
    tab.evaluate("oa('event', 'x')")
    tab.wait_for_timeout(100)
    wait_for_refusal_alone(tab)
    tab.evaluate("flux.consent('granted')")
    tab.evaluate("oa('event', 'y')")
    event = wait_until(lambda: site.events()[1:])[0]
    assert event["name"] == "y"
    assert not {event["vid"], event["sid"], event["hit"]} & {view["vid"], view["sid"], view["hit"]}


def test_a_decision_in_another_tab_holds_here(shop: Shop, new_visitor: Callable[..., BrowserContext]) -> None:
    site = shop(link_domains="all")
    context = new_visitor()
    here, there = context.new_page(), context.new_page()
    for tab in (here, there):
        tab.goto(site.put("shop.test/", TAG))
    wait_until(lambda: len(site.views()) == 2)
    there.evaluate("flux.consent('denied')")
    here.evaluate("oa('event', 'x')")
    here.wait_for_timeout(100)
    assert len(site.events()) == 2
    assert here.evaluate("flux.decorate('https://offer.test/')") == "https://offer.test/"
    wait_for_refusal_alone(here)


@pytest.mark.parametrize(
    ("call", "ads", "is_sent"),
    [
        ("", None, True),
        ("flux.consent('granted')", "granted", True),
        ("flux.consent('granted', {ads: 'denied'})", "denied", False),
    ],
)
def test_ads_consent(shop: Shop, tab: Page, call: str, ads: str | None, is_sent: bool) -> None:
    site = shop(link_domains=["offer.test"])
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    tab.evaluate(call or "0")
    tab.goto(site.address("shop.test/") + "?gclid=G&fbclid=F&utm_source=x")
    wait_until(lambda: site.views()[1:])
    view = site.views()[-1]
    assert site.reports()[-1].get("ads") == ads
    assert ("gclid=G" in view["url"]) is is_sent
    assert ("utm_source=x" in view["url"]) is True
    assert ("gclid=G" in tab.evaluate("flux.decorate('https://offer.test/')")) is is_sent
    # A landed event says so: forwarding goes by it.
    # The first view may have come twice: nobody waited for its answer.
    landed = wait_until(lambda: len(found := {row["event_id"]: row for row in site.landed()}) == 2 and found)
    row = landed[view["id"]]
    assert (row["click_id"] == "G") is is_sent
    assert ('"consent":"denied"' in (row["properties"] or "")) is (ads == "denied")


@pytest.mark.parametrize(
    ("config", "call", "ads", "is_sent"),
    [
        ({}, "", "denied", True),
        ({"gpc": "ads"}, "flux.consent('granted')", "denied", True),
        ({"gpc": "ads"}, "flux.consent('granted', {ads: 'granted'})", "granted", True),
        ({"gpc": "ignore"}, "", None, True),
        ({"gpc": "all"}, "", None, False),
    ],
)
def test_global_privacy_control(
    shop: Shop, tab: Page, config: dict[str, Any], call: str, ads: str | None, is_sent: bool
) -> None:
    site = shop(link_domains="all", **config)
    tab.add_init_script(GPC)
    tab.goto(site.put("shop.test/", TAG + f"<script>addEventListener('load', () => {{ {call} }})</script>"))
    tab.evaluate("oa('event', 'x')")
    tab.goto(site.address("shop.test/") + "?gclid=G")
    tab.wait_for_timeout(300)
    if not is_sent:
        assert (site.reports(), kept(tab)) == ([], set())
        return
    view = wait_until(lambda: site.views()[1:])[-1]
    assert site.reports()[-1].get("ads") == ads
    has_click = ads != "denied"
    assert ("G" in str(view["first"]) or "gclid=G" in view["url"]) is has_click
    assert ("gclid" in tab.evaluate("flux.decorate('https://offer.test/')")) is has_click


@pytest.mark.parametrize(("dnt", "is_sent"), [("all", False), ("ignore", True)])
def test_do_not_track(shop: Shop, tab: Page, dnt: str, is_sent: bool) -> None:
    site = shop(dnt=dnt)
    tab.add_init_script("Object.defineProperty(Navigator.prototype, 'doNotTrack', {get: () => '1'})")
    tab.goto(site.put("shop.test/", TAG))
    tab.wait_for_timeout(200)
    assert bool(site.reports()) is is_sent


def test_without_cookies(shop: Shop, tab: Page) -> None:
    site = shop(storage="none", link_domains="all")
    address = site.put("shop.test/", TAG)
    tab.goto(address)
    (view,) = wait_until(site.views)
    tab.evaluate("oa('event', 'x')")
    event = wait_until(lambda: site.events()[1:])[0]
    assert (event["vid"], event["sid"], event["hit"]) == (view["vid"], view["sid"], view["hit"])
    assert f"vid={view['vid']}" in tab.evaluate("flux.decorate('https://offer.test/')")
    assert kept(tab) == set()
    tab.goto(address)
    assert wait_until(lambda: site.views()[1:])[0]["vid"] != view["vid"]
    assert kept(tab) == set()


def test_opting_out(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    # Answered, too: an answer that comes once its page is gone may bring the cookie back.
    wait_until(lambda: tab.evaluate("localStorage.fh_q || ''").endswith("~[0]"))
    tab.evaluate("flux.optOut(); oa('event', 'x')")
    tab.goto(site.address("shop.test/"))
    tab.evaluate("oa('event', 'x')")
    tab.wait_for_timeout(200)
    assert len(site.events()) == 1
    assert kept(tab) == {"fh_out"}
    tab.evaluate("flux.optOut(false); oa('event', 'y')")
    assert wait_until(lambda: site.events()[1:])[0]["name"] == "y"
