"""The shop's servers, and what tests do with its pages in a browser."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import BrowserContext, Page
from servers import Server

SHOP = "lamps"
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
        # Without the foot, which tells one build from the next: equal pages are equal pictures.
        foot = page.locator(".foot").bounding_box()
        assert foot is not None
        above = {"x": 0.0, "y": 0.0, "width": foot["x"] + foot["width"], "height": foot["y"]}
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True, clip=above)
