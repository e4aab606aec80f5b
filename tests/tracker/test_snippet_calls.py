"""What is copied out of the snippet does on a page what it says."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page
from website import Website, wait_until

from funnelhouse.snippet import CALLS, built_stub, conversion_call, snippet, tag

Shop = Callable[..., Website]


def opened(website: Website, tab: Page, head: str, body: str = "") -> list[dict[str, Any]]:
    """The events of a page with this head and body, as soon as its view is among them."""
    tab.goto(website.put("shop.test/here", f"<head>{head}</head><body>{body}</body>"))
    wait_until(lambda: [each for each in website.events() if each["type"] == "pageview"])
    tab.wait_for_load_state("networkidle")
    return website.events()


def test_pasted_as_a_whole_it_sends_a_page_view_and_nothing_else(shop: Shop, tab: Page) -> None:
    website = shop()
    events = opened(website, tab, snippet(website.address("shop.test/t/shop.js"), built_stub()))
    assert [each["type"] for each in events] == ["pageview"]


def test_each_call_sends_what_it_is_for(shop: Shop, tab: Page) -> None:
    website = shop(goals={"goal-1": "purchase"})
    calls = [call.code for call in CALLS if "<button" not in call.code]
    script = website.address("shop.test/t/shop.js")
    # Made before the script is there: the stub keeps them.
    events = opened(website, tab, tag(script, built_stub()), "\n".join(calls))
    wait_until(lambda: len(website.events()) == 6)
    found = [
        (each["api"], each["type"], each.get("name"), each.get("rev"), each.get("tx"), each.get("user"))
        for each in website.events()
        if each["type"] != "pageview"
    ]
    assert sorted(found, key=str) == sorted(
        [
            ("flux", "conversion", None, None, None, None),
            ("flux", "event", "signup", None, None, None),
            ("oa", "conversion", "purchase", "49.99", "ORDER-NUMBER", None),
            ("oa", "event", "signup", None, None, None),
            ("oa", "identify", None, None, None, "USER-ID"),
        ],
        key=str,
    ), events
    assert all(batch["ads"] == "granted" for batch in website.reports()[-1:])
    # What a page hands to its server.
    sent = tab.evaluate("() => { window.fetch = (url, init) => init.body; return checkOut({items: 1}) }")
    assert '"conversion_id":"goal-1"' in sent
    assert '"session_id":null' not in sent


def test_an_address_that_a_script_opens_carries_the_ids(shop: Shop, tab: Page) -> None:
    website = shop()
    [button] = [call.code for call in CALLS if "<button" in call.code]
    there = website.put("offer.test/", "offer")
    script = website.address("shop.test/t/shop.js")
    here = tag(script, built_stub(), "lander-1", "lander")
    opened(website, tab, here, button.replace("https://offer.example/", there))
    tab.get_by_role("button", name="Continue").click()
    tab.wait_for_url(f"{there}*")
    for name in ("sessionId=", "sessionHash=", "visitHash="):
        assert name in tab.url
    [view] = [each for each in website.events() if each["type"] == "pageview"]
    assert (view["page"], view["pk"]) == ("lander-1", "lander")


def test_the_call_of_a_page_converts_it(shop: Shop, tab: Page) -> None:
    website = shop()
    script = website.address("shop.test/t/shop.js")
    opened(website, tab, tag(script, built_stub()), conversion_call("offer:1~b"))
    [conversion] = wait_until(lambda: [each for each in website.events() if each["type"] == "conversion"])
    assert (conversion["api"], conversion["page"]) == ("flux", "offer:1~b")
    assert "rev" not in conversion, "VALUE is no amount"
