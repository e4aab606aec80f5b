"""A house with a small shop in it, and a browser to look at its pages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from example_shop import send_shop
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from servers import Server, start_ingest, start_read

HOW_TO_GET_IT = "there is no Chromium here: apt-get install chromium"

SHOP = "lamps"
VISITORS = 150

SCREENSHOTS = os.environ.get("FUNNELHOUSE_SCREENSHOTS")
"""A folder: pages are kept there as pictures, for somebody to look at."""


@dataclass
class House:
    """An ingest and a read server over one home, and keys of the shop."""

    ingest: Server
    read: Server
    admin_key: str
    read_key: str

    def page(self, path: str) -> str:
        """The address of one of the shop's pages."""
        return f"{self.read.url}/app/projects/{SHOP}/{path}"

    def build(self) -> None:
        """Seal, build, check and publish, as the command does."""
        subprocess.run(
            [sys.executable, "-m", "command_line", "build"],
            env={**os.environ, "FUNNELHOUSE_HOME": str(self.ingest.settings.home)},
            check=True,
            stdout=subprocess.DEVNULL,
        )


@dataclass
class Watched:
    """A page, and what went wrong on it: console errors, failed or foreign requests."""

    page: Page
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The shop's events have arrived, and nothing is published."""
    home = tmp_path_factory.mktemp("dashboard") / "home"
    ingest = start_ingest(home)
    read = start_read(home, FUNNELHOUSE_INGEST_URL=ingest.url)
    admin_key = ingest.key(SHOP)
    send_shop(ingest.url, SHOP, admin_key, VISITORS)
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


def sign_in(page: Page, house: House, key: str) -> None:
    """Sign in by the form, and land on the overview."""
    page.goto(f"{house.read.url}/app")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/overview")


def watched(context: BrowserContext, house: House) -> Watched:
    """A new page whose faults are noted."""
    seen = Watched(context.new_page())
    seen.page.on("console", lambda m: seen.faults.append(m.text) if m.type in ("error", "warning") else None)
    seen.page.on("pageerror", lambda error: seen.faults.append(str(error)))
    # What a page still loaded when it was left is aborted, and no fault.
    seen.page.on(
        "requestfailed",
        lambda request: (
            None if request.failure == "net::ERR_ABORTED" else seen.faults.append(f"failed: {request.url}")
        ),
    )
    seen.page.on(
        "request",
        lambda request: (
            None if request.url.startswith(house.read.url) else seen.faults.append(f"foreign: {request.url}")
        ),
    )
    return seen


def keep_picture(page: Page, name: str) -> None:
    """Keep the page as a picture where somebody wants to look at it."""
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)
