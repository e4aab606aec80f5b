"""What docs/tracker.md says of consent managers and of CSP does in a browser what it says there."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from website import Website, wait_until

from funnelhouse.settings import CHECKOUT
from funnelhouse.snippet import built_stub, tag

TEXT = (CHECKOUT / "docs/tracker.md").read_text(encoding="utf-8")

TCF = """<script>
  let told
  window.__tcfapi = (command, version, callback) => {
    told = callback
    callback({eventStatus: "cmpuishown", purpose: {consents: {}}}, true)
  }
  const decide = (consents) => told({eventStatus: "useractioncomplete", purpose: {consents}}, true)
</script>"""
CALLBACK = """<script>
  const decide = (consents) => {
    window.Cookiebot = {consent: {statistics: !!consents[8], marketing: !!consents[4]}}
    window.dispatchEvent(new Event("CookiebotOnConsentReady"))
  }
</script>"""


def documented(name: str) -> str:
    found = re.search(rf'<script id="{name}">.*?</script>', TEXT, re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("name", "manager"), [("tcf", TCF), ("callback", CALLBACK)])
@pytest.mark.parametrize("ads", ["granted", "denied"])
def test_a_consent_manager_says_what_the_visitor_decides(
    shop: Callable[..., Website], tab: Page, name: str, manager: str, ads: str
) -> None:
    website = shop(consent="required")
    script = website.address("shop.test/t/shop.js")
    head = f"{tag(script, built_stub())}{manager}{documented(name)}"
    tab.goto(website.put("shop.test/here", f"<head>{head}</head>") + "?gclid=g")
    tab.wait_for_load_state("networkidle")
    assert website.reports() == []
    assert tab.context.cookies() == []
    tab.evaluate(f"decide({{8: true, 4: {str(ads == 'granted').lower()}}})")
    wait_until(lambda: website.events())
    [batch] = website.reports()
    assert (batch["consent"], batch["ads"]) == ("granted", ads)
    [view] = batch["events"]
    assert ("gclid" in view["first"]) == (ads == "granted")
    tab.evaluate("decide({})")
    wait_until(lambda: not [each for each in tab.context.cookies() if each["name"] == "fh_vid"])
    tab.evaluate("flux.track('later')")
    tab.wait_for_load_state("networkidle")
    assert len(website.reports()) == 1


def test_the_documented_policy_lets_the_tracker_work(shop: Callable[..., Website], tab: Page) -> None:
    website = shop()
    policy = re.search(r"Content-Security-Policy: (.+)", TEXT)
    assert policy is not None
    origin = website.address("shop.test/").rstrip("/")
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    html = f"<head>{tag(f'{origin}/t/shop.js', built_stub())}</head>"
    headers = {"Content-Security-Policy": policy[1].replace("https://shop.example", origin)}
    tab.goto(website.put("shop.test/strict", html, **headers))
    wait_until(lambda: website.events())
    tab.evaluate("oa('event', 'still')")
    wait_until(lambda: len(website.events()) == 2)
    assert said == []
