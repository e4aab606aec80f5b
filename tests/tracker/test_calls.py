"""The names that pages call, in the vendors' own words, before and after the script has loaded."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page
from website import BUILT, TAG, Website, wait_until

Shop = Callable[..., Website]
STUB = f"<script>{(BUILT / 'stub.js').read_text()}</script>"
BLOCKING = '<script src="/t/shop.js"></script>'
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-([78])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

NINE = {
    "session_id",
    "user_id",
    "visit_id",
    "conversion_id",
    "experiment_id",
    "experiment_numeric_id",
    "variation_id",
    "is_control",
    "endpoint_path",
}

CALLS: list[tuple[str, dict[str, Any]]] = [
    # The vendors' own.
    ('flux.track("conversion",{rev:"VALUE"})', {"api": "flux", "type": "conversion"}),
    (
        "window.oa('conversion', 'purchase', {revenue: 49.99, currency: 'USD', plan: 'pro'});",
        {
            "api": "oa",
            "type": "conversion",
            "name": "purchase",
            "rev": "49.99",
            "cur": "USD",
            "props": {"revenue": 49.99, "currency": "USD", "plan": "pro"},
        },
    ),
    (
        'flux.track("conversion", {rev: "12.50", tx: "T1"})',
        {"type": "conversion", "rev": "12.50", "tx": "T1"},
    ),
    (
        'flux.track("conversion", {rev: 12.5, tx: 7, p: "offer-1"})',
        {"rev": "12.5", "tx": "7", "page": "offer-1"},
    ),
    ('flux.track("conversion", {rev: 0.1 + 0.2})', {"rev": "0.30000000000000004"}),
    ('flux.track("conversion", {tx: 9007199254740991})', {"tx": "9007199254740991"}),
    ('flux.track("conversion")', {"type": "conversion"}),
    ('flux.track("conversion", {rev: "", tx: "{transaction}", p: "REPLACE"})', {"type": "conversion"}),
    ('flux.track("conversion", {rev: "{{payout}}", tx: "%7Btx%7D"})', {"type": "conversion"}),
    ('flux.track("conversion", {tx: "T", colour: "red"})', {"tx": "T", "props": {"colour": "red"}}),
    (
        'flux.track("add_to_cart", {sku: "S"})',
        {"api": "flux", "type": "event", "name": "add_to_cart", "props": {"sku": "S"}},
    ),
    (
        "oa('event', 'video', {seconds: 3})",
        {"api": "oa", "type": "event", "name": "video", "props": {"seconds": 3}},
    ),
    ("oa('event', 'plain')", {"type": "event", "name": "plain"}),
    (
        "oa('identify', 'u1', {plan: 'pro'})",
        {"api": "oa", "type": "identify", "user": "u1", "props": {"plan": "pro"}},
    ),
    ("oa('identify', 42)", {"type": "identify", "user": "42"}),
    ("oa('pageview', {section: 'a'})", {"api": "oa", "type": "pageview", "props": {"section": "a"}}),
    (
        "oa('conversion', 'purchase', {order_id: 'o1', revenue: '10'})",
        {"rev": "10", "tx": "o1", "props": {"order_id": "o1", "revenue": "10"}},
    ),
]
SAID = {"api", "type", "name", "rev", "cur", "tx", "user", "props", "page"}


def said(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name in SAID}


@pytest.mark.parametrize("way", ["stub, before load", "after load", "blocking tag"])
def test_calls(shop: Shop, tab: Page, way: str) -> None:
    site = shop()
    calls = "".join(f"<script>{call}</script>" for call, _ in CALLS)
    if way == "blocking tag":
        html = BLOCKING + calls
    elif way == "after load":
        html = TAG
    else:
        html = STUB + TAG + calls
    tab.goto(site.put("shop.test/thanks", html))
    if way == "after load":
        wait_until(site.views)
        for call, _ in CALLS:
            tab.evaluate(f"() => {{ {call} }}")
    # Conversions without an order id that say the same on one page are one.
    alike = sum(expected == {"type": "conversion"} for _, expected in CALLS)
    events = wait_until(lambda: len(site.events()) >= len(CALLS) + 1 - alike and site.events())
    assert len(events) == len(CALLS) + 1 - alike
    assert events[0]["type"] == "pageview"
    expected = [{"api": "flux", **each} if "api" not in each else each for _, each in CALLS]
    found = [said(event) for event in events[1:]]
    for each in expected:
        matching = [
            one
            for one in found
            if each.items() <= one.items() or {**each, "api": "oa"}.items() <= one.items()
        ]
        assert matching, each
    for event in events:
        assert ID.fullmatch(event["id"])


def test_ids_of_flux_conversions(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/thanks", TAG))
    (view,) = wait_until(site.views)
    warnings: list[str] = []
    tab.on("console", lambda message: warnings.append(message.text))
    for call, vid, hit, warned in (
        ("{tx: '1'}", view["vid"], None, 0),
        ("{tx: '2', vid: 'V'}", "V", None, 0),
        ("{tx: '3', hit: 'H'}", None, "H", 0),
        ("{tx: '4', vid: 'V', hit: 'H'}", "V", "H", 1),
    ):
        tab.evaluate(f"flux.track('conversion', {call})")
        event = wait_until(lambda: next((e for e in site.events() if e.get("tx") == call[6]), None))  # noqa: B023
        assert (event.get("vid"), event.get("hit"), event.get("sid")) == (vid, hit, None)
        assert len(warnings) == warned
        assert "name" not in event


def test_a_page_that_is_loaded_again_reports_the_same_conversion(shop: Shop, tab: Page) -> None:
    site = shop()
    address = site.put("shop.test/thanks", BLOCKING + "<script>flux.track('conversion', {rev: '5'})</script>")
    other = site.put("shop.test/other", BLOCKING + "<script>flux.track('conversion', {rev: '5'})</script>")

    for count, where in enumerate((address, address + "?again=1", other), 1):
        tab.goto(where)
        wait_until(lambda: len(site.views()) == count)  # noqa: B023
    first, second = wait_until(lambda: len(found := conversions(site)) == 2 and found)
    assert ID.fullmatch(first["id"])[1] == "8"  # type: ignore[index]
    assert second["url"] == other


def conversions(site: Website) -> list[dict[str, Any]]:
    return [event for event in site.events() if event["type"] == "conversion"]


def test_variables(shop: Shop, tab: Page) -> None:
    site = shop(goals={"g-1": "purchase", "g-2": "constructor"})
    tab.goto(site.put("shop.test/", STUB + "<script>early = _pgnt.variables('purchase')</script>" + TAG))
    (view,) = wait_until(site.views)
    nothing = dict.fromkeys(NINE)
    assert tab.evaluate("early") == nothing
    known = nothing | {"session_id": view["sid"], "user_id": view["vid"], "visit_id": view["hit"]}
    for label, goal in (
        ("purchase", "g-1"),
        ("g-1", "g-1"),
        ("constructor", "g-2"),
        ("toString", None),
        (7, None),
    ):
        assert tab.evaluate("label => _pgnt.variables(label)", label) == known | {"conversion_id": goal}
    assert tab.evaluate("_pgnt.variables()") == known
    tab.evaluate(
        "flux.experiment({id: 'e1', numeric_id: 7, variation: 'b', is_control: false, endpoint_path: '/x'})"
    )
    of_experiment = {
        "experiment_id": "e1",
        "experiment_numeric_id": 7,
        "variation_id": "b",
        "is_control": False,
        "endpoint_path": "/x",
    }
    assert tab.evaluate("_pgnt.variables()") == known | of_experiment
    # It holds for the session, and is said with what follows.
    tab.goto(site.put("shop.test/next", TAG))
    second = wait_until(lambda: site.views()[1:])[0]
    assert second["exp"] == {"e1": "b"}
    assert tab.evaluate("_pgnt.variables()") == known | of_experiment | {"visit_id": second["hit"]}
    tab.evaluate("flux.experiment({id: 'e2', variation: 'c'})")
    tab.evaluate("oa('event', 'x')")
    assert wait_until(lambda: site.events()[2:])[0]["exp"] == {"e1": "b", "e2": "c"}


def test_variables_right_after_a_blocking_tag(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", BLOCKING + "<script>early = _pgnt.variables()</script>"))
    (view,) = wait_until(site.views)
    early = tab.evaluate("early")
    assert (early["session_id"], early["user_id"], early["visit_id"]) == (
        view["sid"],
        view["vid"],
        view["hit"],
    )


def test_an_experiment_of_the_page_is_on_its_page_view(shop: Shop, tab: Page) -> None:
    site = shop(split_on_campaign=True)
    html = STUB + TAG + "<script>flux.track('shown'); flux.experiment({id: 'e', variation: 'b'})</script>"
    tab.goto(site.put("shop.test/", html) + "?utm_source=x")
    view, event = wait_until(lambda: len(site.events()) == 2 and site.events())
    assert view["exp"] == event["exp"] == {"e": "b"}
    assert view["first"]["utm_source"] == "x"


def test_log_out(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    (view,) = wait_until(site.views)
    tab.evaluate("oa('event', 'a'); flux.reset(); oa('event', 'b'); oa('event', 'c')")
    a, b, c = wait_until(lambda: len(site.events()) == 4 and site.events()[1:])
    assert (a["vid"], a["sid"], a["hit"]) == (view["vid"], view["sid"], view["hit"])
    assert b["vid"] != a["vid"] and b["sid"] != a["sid"] and "hit" not in b
    assert (c["vid"], c["sid"]) == (b["vid"], b["sid"])
    assert tab.evaluate("_pgnt.variables()")["visit_id"] is None


WRONG = [
    "oa('event')",
    "oa('event', '')",
    "oa('event', {})",
    "oa('conversion', null, {revenue: 1})",
    "oa('nothing', 'x')",
    "oa()",
    "flux.track()",
    "flux.track(7)",
    "oa('identify', {})",
    "flux.consent('perhaps')",
    "flux.consent('granted', 7)",
    "flux.consent('granted', null)",
    "flux.experiment(7)",
    "flux.decorate({})",
    "flux.decorate(Symbol())",
]
PART_WRONG = [
    ("oa('event', 'x', 'text')", {"name": "x"}),
    ("oa('event', 'x', [1])", {"name": "x"}),
    ("oa('event', 'x', (() => { const a = {}; a.a = a; return a })())", {"name": "x"}),
    ("oa('event', 'x', {n: 1n})", {"name": "x"}),
    ("oa('event', 'x', {text: 'y'.repeat(100000)})", {"name": "x"}),
    ("oa('conversion', 'x', {revenue: {}, currency: [], order_id: 'o'})", {"name": "x", "tx": "o"}),
    ("oa('conversion', 'x', {revenue: NaN})", {"name": "x"}),
    ("flux.track('conversion', {rev: [], tx: 'o'})", {"type": "conversion", "tx": "o"}),
    ("flux.track('conversion', 'text')", {"type": "conversion"}),
    ("flux.track('x', null)", {"name": "x"}),
]


def test_wrong_arguments_throw_nothing_into_the_page(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.views)
    for call in WRONG:
        tab.evaluate(f"() => {{ {call} }}")
    for count, (call, expected) in enumerate(PART_WRONG):
        tab.evaluate(f"() => {{ {call} }}")
        event = wait_until(lambda: len(site.events()) == 2 + count and site.events()[-1])  # noqa: B023
        assert expected.items() <= event.items()
        assert "rev" not in event
    assert len(site.events()) == 1 + len(PART_WRONG)


def test_a_second_copy_does_nothing(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(
        site.put(
            "shop.test/", TAG + TAG + "<script>addEventListener('load', () => oa('event', 'x'))</script>"
        )
    )
    wait_until(lambda: len(site.events()) == 2)
    tab.wait_for_timeout(100)
    assert len(site.events()) == 2


def test_a_stub_that_the_page_kept_works_on(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(
        site.put("shop.test/", STUB + "<script>mine = flux; call = oa; track = flux.track</script>" + TAG)
    )
    wait_until(site.views)
    tab.evaluate("mine.track('a'); call('event', 'b'); track('c')")
    assert [e["name"] for e in wait_until(lambda: len(site.events()) == 4 and site.events()[1:])] == [
        "a",
        "b",
        "c",
    ]


def test_a_vendors_own_stub(shop: Shop, tab: Page) -> None:
    site = shop()
    stub = "window.oa = window.oa || function () { (oa.q = oa.q || []).push(arguments) }"
    tab.goto(site.put("shop.test/", f"<script>{stub}; oa('event', 'x')</script>{TAG}"))
    assert wait_until(lambda: len(site.events()) == 2 and site.events()[1])["name"] == "x"


def test_the_script_without_config(shop: Shop, tab: Page) -> None:
    site = shop()
    tag = (
        '<script defer src="/t.js?v=2" data-project="shop" data-outbound data-session-minutes="1"'
        ' data-cross-domains="a.test, sister.test" data-removed="secret"></script>'
    )
    tab.goto(site.put("shop.test/", tag) + "?secret=x&token=y")
    (view,) = wait_until(site.views)
    assert view["url"] == site.address("shop.test/?secret=removed&token=y")
    assert "_fh=" in tab.evaluate("flux.decorate('https://sister.test/')")
    assert "?vid=" in tab.evaluate("flux.decorate('/c/x')")


def test_a_developers_own_machine(shop: Shop, tab: Page) -> None:
    site = shop()
    site.put("localhost/", TAG)
    site.put("localhost/debug", TAG.replace("defer", "defer data-debug"))
    messages: list[str] = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.goto(site.address("localhost/"))
    tab.evaluate("oa('event', 'x')")
    assert tab.evaluate("_pgnt.variables()") == dict.fromkeys(NINE)
    tab.wait_for_timeout(100)
    assert site.reports() == []
    with tab.expect_console_message():
        tab.goto(site.address("localhost/debug"))
    assert site.landed() == []
    assert site.posted("/t/shop")[0].headers["funnelhouse-dry-run"] == "1"
    assert messages[0].startswith('200 {"error":""')
