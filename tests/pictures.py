"""The documents' pictures, taken of a running demo: `make demo`, then `make pictures KEY=…` with its key.

python tests/pictures.py http://127.0.0.1:8002 KEY
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = {"width": 1200, "height": 800}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def take(address: str, key: str) -> None:
    """Overview, and performance with an open receipt, of the demo's shop; light."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(f"{address}/app")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/overview")
        keep(page, "overview")
        page.goto(f"{address}/app/projects/shop/performance?by=source&compare=previous")
        # Few rows, so that their sum is to be seen.
        page.locator("tbody tr", has_text="homestyle-club").locator("a.figure").nth(1).click()
        page.get_by_text("equals the report").wait_for()
        keep(page, "receipt")
        browser.close()


def keep(page: Page, name: str) -> None:
    """The window as it stands; charts are drawn by then."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    take(sys.argv[1].rstrip("/"), sys.argv[2])
