"""A house with a small shop in it, and a browser to look at its pages."""

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from example_marts import TWO_YEARS, new_key, publish_rows
from example_shop import click_link, send_long_names, send_shop
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from servers import Server, start_ingest, start_read
from shop_pages import LONG_NAMES, SHOP, House

from funnelhouse.settings import Settings
from read_api.dashboard.access import COOKIE

HOW_TO_GET_IT = "there is no Chromium here: apt-get install chromium"

VISITORS = 150


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The shop's events have arrived, and nothing is published."""
    home = tmp_path_factory.mktemp("dashboard") / "home"
    ingest = start_ingest(home)
    read = start_read(home, FUNNELHOUSE_INGEST_URL=ingest.url)
    admin_key = ingest.key(SHOP)
    send_shop(ingest.url, SHOP, admin_key, VISITORS)
    click_link(ingest.url, SHOP, admin_key)
    send_long_names(ingest.url, LONG_NAMES, ingest.key(LONG_NAMES))
    yield House(ingest, read, admin_key, ingest.key(SHOP, "read"))
    read.stop()
    ingest.stop()


# Of a module: while it is open, an event loop runs in this thread, which other tests want for themselves.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        # A developer's machine may have none; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip(HOW_TO_GET_IT)
    with sync_playwright() as playwright:
        # A container's root may not use Chromium's sandbox; it opens nothing but our own pages.
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """`new_context(…)`: another browser window, with Playwright's options."""
    contexts: list[BrowserContext] = []

    def new(**options: Any) -> BrowserContext:
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(10_000)
        return contexts[-1]

    yield new
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Reads two years of a shop with everything in them."""
    home = Settings(home=tmp_path_factory.mktemp("panel") / "home")
    publish_rows(home, {}, sql=TWO_YEARS)
    running = start_read(home.home_dir)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cookie(server: Server) -> str:
    """Of a session with a key that reads and edits."""
    key = new_key(server.settings)
    with httpx.Client(base_url=server.url) as client:
        form = client.get("/app/sign-in").text
        token = re.search(r'name="csrf" value="([^"]*)"', form)
        client.post("/app/sign-in", data={"key": key, **({"csrf": token[1]} if token else {})})
        return str(client.cookies[COOKIE])


@pytest.fixture
def seen(
    server: Server, cookie: str, browser: Browser, new_context: Callable[..., BrowserContext]
) -> Iterator[Page]:
    """A page of somebody signed in to `server`; it ends without a fault in its console."""
    assert browser
    context = new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": server.url}])
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert faults == []
