"""Pages that allow little, and browsers that keep nothing."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from website import BUILT, TAG, Website, wait_until

Shop = Callable[..., Website]


def test_a_strict_content_security_policy(shop: Shop, tab: Page) -> None:
    site = shop(outbound=True, link_domains="all", hash_routes=True)
    messages: list[str] = []
    tab.on("console", lambda message: messages.append(message.text))
    policy = "default-src 'none'; script-src https://shop.test:*; connect-src https://shop.test:*"
    policy += "; require-trusted-types-for 'script'; trusted-types 'none'; form-action 'self'"
    offer, _ = site.put("offer.test/", ""), site.put("shop.test/next", "")
    html = TAG + f'<a id="go" href="{offer}" data-fh-event="x" target="_blank">go</a>'
    html += '<form data-fh-fill action="/next"><button id="send">send</button></form>'
    tab.goto(site.put("shop.test/", html, **{"Content-Security-Policy": policy}))
    wait_until(site.views)
    tab.click("#go")
    tab.click("#send")
    wait_until(lambda: len(site.events()) == 3)
    assert messages == []


THROWING = {
    "localStorage": "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})",
    "setItem": "Storage.prototype.setItem = () => { throw new Error('full') }",
    "cookies": (
        "Object.defineProperty(Document.prototype, 'cookie',"
        " {get() { throw new Error('no') }, set() { throw new Error('no') }})"
    ),
    "no cookies": "Object.defineProperty(Document.prototype, 'cookie', {get: () => '', set() {}})",
    "no beacons": "delete Navigator.prototype.sendBeacon",
    "refused beacons": "Navigator.prototype.sendBeacon = () => false",
    "no subtle": "Object.defineProperty(Crypto.prototype, 'subtle', {get: () => undefined})",
    "everything": (
        "for (const [of, name] of [[window, 'localStorage'], [Document.prototype, 'cookie']])"
        " Object.defineProperty(of, name, {get() { throw new Error('no') }, set() { throw new Error('no') }})"
    ),
}


@pytest.mark.parametrize("missing", THROWING)
def test_browsers_that_refuse(shop: Shop, tab: Page, missing: str) -> None:
    site = shop(link_domains="all")
    tab.add_init_script(THROWING[missing])
    tab.goto(site.put("shop.test/", TAG))
    (view,) = wait_until(site.views)
    tab.evaluate("oa('event', 'x'); flux.experiment({id: 'e', variation: 'v'})")
    event = wait_until(lambda: site.events()[1:])[0]
    assert (event["vid"], event["sid"], event["hit"]) == (view["vid"], view["sid"], view["hit"])
    assert event["first"] == view["first"]
    assert "vid=" in tab.evaluate("flux.decorate('https://offer.test/')")
    tab.evaluate("oa('event', 'last'); dispatchEvent(new Event('pagehide'))")
    wait_until(lambda: len(site.events()) == 3)
    assert tab.evaluate("_pgnt.variables().experiment_id") == "e"


def test_a_sandboxed_frame(shop: Shop, tab: Page) -> None:
    site = shop()
    site.put("shop.test/inner", TAG.replace('"/t/', f'"https://shop.test:{site.port}/t/'))
    tab.goto(site.put("shop.test/", '<iframe sandbox="allow-scripts" src="/inner"></iframe>'))
    tab.wait_for_timeout(500)


@pytest.mark.parametrize(
    "before",
    [
        "window.flux = 7; window.oa = null; window._pgnt = 'x'",
        "window._pgnt = {mine: 1}",
        "document.body.innerHTML = '<b id=flux></b><b id=oa></b><b id=_pgnt></b>'",
        "window.flux = {q: 7}; window.oa = {q: {}}",
        "flux = {q: [[], null, 7, ['track']]}",
    ],
)
def test_names_that_are_taken(shop: Shop, tab: Page, before: str) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", f"<body><script>{before}</script>{TAG}"))
    wait_until(site.views)
    tab.evaluate("oa('event', 'x'); flux.track('y')")
    wait_until(lambda: len(site.events()) == 3)
    assert tab.evaluate("_pgnt.variables().user_id") == site.views()[0]["vid"]


def test_a_driven_browser_is_said(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.add_init_script("Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => true})")
    tab.goto(site.put("shop.test/", TAG))
    wait_until(site.reports)
    assert site.reports()[0]["auto"] is True
    (row,) = wait_until(site.landed)
    assert '"automated":true' in row["properties"]


def test_nothing_is_left_behind_but_the_names(shop: Shop, tab: Page) -> None:
    site = shop()
    tab.goto(site.put("shop.test/", "<script>before = Object.getOwnPropertyNames(window)</script>" + TAG))
    wait_until(site.views)
    left = tab.evaluate("Object.getOwnPropertyNames(window).filter(name => !before.includes(name))")
    assert set(left) <= {"before", "flux", "oa", "_pgnt"}


def test_the_stub_is_what_the_policy_hash_says(shop: Shop, tab: Page) -> None:
    """Its text is constant, so that a policy can allow it by its hash."""
    import base64
    import hashlib

    text = (BUILT / "stub.js").read_text()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    site = shop()
    policy = f"script-src https://shop.test:* 'sha256-{digest}'"
    tab.goto(site.put("shop.test/", f"<script>{text}</script>{TAG}", **{"Content-Security-Policy": policy}))
    wait_until(site.views)
    assert tab.evaluate("Array.isArray(flux.q)")
