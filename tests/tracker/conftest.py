"""A browser, web sites over https, and a tracker on their pages."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from servers import Server, start_ingest
from website import NO_LIMITS, Website, make_certificate, proxied, running_website

from funnelhouse.access import CACHE_SECONDS, set_access
from funnelhouse.keys import create_key
from record.contract import Event, columns

HOW_TO_GET_IT = "needs Chromium and openssl: apt-get install chromium openssl"

ARGUMENTS = ("--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors")

PROJECTS = [f"shop-{number}" for number in range(150)]
"""One for each test: what the server knows of a project may be a second old."""

NEXT_PROJECT = list(PROJECTS)

VISITOR = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)


@pytest.fixture(scope="session")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    """Sites below `.test`."""
    if shutil.which("openssl") is None:
        pytest.skip(HOW_TO_GET_IT)
    yield from running_website(make_certificate(tmp_path_factory.mktemp("certificate")))


@pytest.fixture(scope="session")
def ingest(website: Website, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real ingest server behind the sites, which all `PROJECTS` have as their origins."""
    server = start_ingest(tmp_path_factory.mktemp("ingest") / "home", **NO_LIMITS)
    hosts = ("shop.test", "sister.test", "localhost")
    with closing(server.store()) as store:
        for project in PROJECTS:
            create_key(store, project, ["ingest"])
            set_access(store, project, origins=[f"https://{host}:{website.port}" for host in hosts])
    time.sleep(CACHE_SECONDS)
    yield server
    server.stop()


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
def shop(website: Website, ingest: Server) -> Callable[..., Website]:
    """`shop(**config)`: the web site with a script of this config, and nothing else on it.

    `goals` are given by id with their names, `landers` by id with their paths.
    """

    def configured(
        goals: dict[str, str] | None = None, landers: dict[str, str] | None = None, **tracker: Any
    ) -> Website:
        project = NEXT_PROJECT.pop()
        headers = {"x-api-key": ingest.key(project)}
        with httpx.Client(base_url=f"{ingest.url}/v1/projects/{project}", headers=headers) as client:
            bodies: dict[str, dict[str, Any]] = {"tracker": tracker} if tracker else {}
            for key, name in (goals or {}).items():
                bodies[f"goals/{key}"] = {"name": name, "match": {"type": "any_conversion"}}
            for key, path in (landers or {}).items():
                bodies[f"pages/{key}"] = {"name": key, "kind": "lander", "path": path}
            for path, body in bodies.items():
                client.put(f"/{path}", json=body).raise_for_status()
        website.pages.clear()
        website.requests.clear()
        website.behind = proxied(ingest.url, project)
        website.landed = lambda: landed(ingest, project)
        return website

    return configured


def landed(ingest: Server, project: str) -> list[dict[str, Any]]:
    """The events of a project as they have landed."""
    names = [column.name for column in columns(Event)]
    with closing(ingest.store()) as store:
        rows = store.query(
            f"SELECT {', '.join(names)} FROM events WHERE project_id = ? ORDER BY {store.row_order}", project
        )
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def tab(new_visitor: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A tab of a new visitor; nothing on its pages may throw."""
    page = new_visitor().new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert not errors
