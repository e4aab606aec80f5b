"""Somebody who visits the demo's shop with Chromium: clicks the ad, buys a lamp, wants the money back."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Response, expect, sync_playwright

# A browser that tests drive calls itself headless, and its sessions would count as a bot's.
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)


@contextmanager
def visitor() -> Iterator[Page]:
    """A page of a browser that looks like a person's; what goes wrong in it is an error at the end."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        # A developer's machine may have none; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip("there is no Chromium here: apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-blink-features=AutomationControlled"]
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_context(user_agent=USER_AGENT).new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
        browser.close()
    assert not faults


def buy(page: Page, shop_url: str) -> str:
    """From the ad over the lander and a lamp to an order; returns its number, on its page."""
    page.goto(shop_url)
    page.get_by_role("link", name="Lamps to read by").click()
    page.wait_for_url(re.compile(r"/lamps\?.*utm_campaign=reading-lamps"))
    page.get_by_role("link", name="Desk lamp").click()
    page.wait_for_url("**/lamps/desk*")
    page.get_by_role("link", name="Buy the desk lamp").click()
    with page.expect_response(lambda answer: "/t/demo-shop" in answer.url and "order_id" in said(answer)):
        page.get_by_role("button", name="Place the order").click()
    number = page.url.rpartition("/")[2]
    expect(page.get_by_role("heading", name="Thank you for your order")).to_be_visible()
    return number


def said(answer: Response) -> str:
    """What the browser posted."""
    return answer.request.post_data or ""


def refund(page: Page, shop_url: str, number: str) -> None:
    """Get the money back; ends on the order's page."""
    page.goto(f"{shop_url}/account")
    page.get_by_role("listitem").filter(has_text=number).get_by_role("button", name="Refund my order").click()
    expect(page.get_by_role("heading", name="Your order is refunded")).to_be_visible()


def journey(
    page: Page, shop_url: str, key: str, build: Callable[[], None] = lambda: None, within_s: float = 3600
) -> None:
    """Buy, find the journey explained, be refunded, and find that, too.

    Whoever has no scheduler builds with `build`; then the open page says so after `within_s` at the latest.
    """
    number = buy(page, shop_url)
    # Loaded again it is the same conversion.
    page.reload()
    build()
    expect(page.locator("#figures")).to_have_text(
        "It is in the dashboard: 3 reports, net revenue 49.00 USD.", timeout=within_s * 1000
    )
    page.get_by_role("link", name="See how this order is explained").click()
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    explanation = page.locator("main")
    expect(explanation).to_contain_text(f"order:purchase:{number}")
    net_revenue = page.locator("dl.figures > div", has_text="Net revenue")
    expect(net_revenue).to_contain_text("$49.00")
    reports = page.locator("section", has_text="1 · What was reported")
    expect(reports).to_contain_text("purchase by a server")
    expect(reports).to_contain_text("purchase by a browser")
    expect(page.locator("section", has_text="2 · Matched visit")).to_contain_text(
        "quiet-rooms / display / reading-lamps"
    )
    expect(page.locator("section", has_text="5 · Touchpoints")).to_contain_text("yes")
    page.get_by_role("link", name="Links", exact=True).click()
    for link in ("Ad in Quiet Rooms", "Desk lamp, from the lander"):
        figures = page.get_by_role("row", name=link).get_by_role("cell")
        expect(figures.nth(0)).to_have_text("1")
        expect(figures.nth(1)).to_have_text("1")
    refund(page, shop_url, number)
    build()
    expect(page.locator("#figures")).to_have_text(
        "It is in the dashboard: 3 reports, net revenue 0.00 USD.", timeout=within_s * 1000
    )
    page.get_by_role("link", name="See how this order is explained").click()
    expect(net_revenue).to_contain_text("$0.00after refunds of $49.00")
