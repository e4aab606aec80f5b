"""A browser, web sites over https, and a tracker on their pages."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from website import Website, make_certificate, recording, running_website

HOW_TO_GET_IT = "needs Chromium and openssl: apt-get install chromium openssl"

ARGUMENTS = ("--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors")

VISITOR = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)


@pytest.fixture(scope="module")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    """Sites below `.test`."""
    if shutil.which("openssl") is None:
        pytest.skip(HOW_TO_GET_IT)
    yield from running_website(make_certificate(tmp_path_factory.mktemp("certificate")))


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        # A developer's machine may have none; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip(HOW_TO_GET_IT)
    return path


# Of a module: while it is open, an event loop runs in this thread, which other tests want for themselves.
@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Headless Chromium, as visitors have it: with its back/forward cache, and not called a robot."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium_path,
            args=[*ARGUMENTS, "--disable-blink-features=AutomationControlled"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield running
        running.close()


@pytest.fixture
def chromium(chromium_path: str, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """`chromium(address)`: open a page in a browser that nobody drives."""
    processes = []

    def open_page(address: str) -> None:
        options = ["--headless", "--user-data-dir=" + str(tmp_path), *ARGUMENTS]
        processes.append(
            subprocess.Popen(
                [chromium_path, *options, address], stderr=subprocess.DEVNULL, start_new_session=True
            )
        )

    yield open_page
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


@pytest.fixture
def new_visitor(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """`new_visitor(…)`: another browser without cookies, with Playwright's options."""
    contexts: list[BrowserContext] = []

    def new(**options: Any) -> BrowserContext:
        contexts.append(browser.new_context(ignore_https_errors=True, **{"user_agent": VISITOR, **options}))
        contexts[-1].set_default_timeout(10_000)
        return contexts[-1]

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def shop(website: Website) -> Callable[..., Website]:
    """`shop(**config)`: the web site with a script of this config, and nothing else on it."""

    def configured(**config: Any) -> Website:
        website.pages.clear()
        website.requests.clear()
        website.behind = recording(config)
        return website

    return configured


@pytest.fixture
def tab(new_visitor: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A tab of a new visitor; nothing on its pages may throw."""
    page = new_visitor().new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert not errors
