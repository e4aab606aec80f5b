"""The shop's servers, and what tests do with its pages in a browser."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from example_marts import TWO_YEARS, publish_rows
from playwright.sync_api import BrowserContext, Page
from servers import Server, start_ingest, start_read

SHOP = "lamps"
LONG_NAMES = "long-names"
"""A project in which every name is as long as may be."""

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


@contextmanager
def house_of_two_years(folder: Path) -> Iterator[tuple[Server, Server]]:
    """An ingest and a read server over a home in the folder that has published `TWO_YEARS`."""
    home = folder / "home"
    ingest = start_ingest(home)
    publish_rows(ingest.settings, {}, sql=TWO_YEARS)
    read = start_read(home, FUNNELHOUSE_INGEST_URL=ingest.url)
    yield ingest, read
    read.stop()
    ingest.stop()


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


OVERLAPPING = """() => {
  const parts = [];
  const found = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    const around = node.parentElement;
    const isFolded = around.closest("details:not([open])") && !around.closest("summary");
    const isUnseen = isFolded || around.closest("script, select, option, .hidden-label");
    if (!node.data.trim() || isUnseen) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (let { left, top, right, bottom } of range.getClientRects()) {
      for (let each = node.parentElement; each; each = each.parentElement) {
        const overflow = getComputedStyle(each).overflowX;
        if (each !== document.body && overflow !== "visible") {
          const clip = each.getBoundingClientRect();
          if (overflow === "hidden" && (right > clip.right + 1 || left < clip.left - 1)) {
            found.push(`cut: ${node.data.trim().slice(0, 40)}`);
          }
          [left, right] = [Math.max(left, clip.left), Math.min(right, clip.right)];
          [top, bottom] = [Math.max(top, clip.top), Math.min(bottom, clip.bottom)];
        }
      }
      const isSeen = right - left > 1 && bottom - top > 4;
      if (isSeen) parts.push([left, top, right, bottom, node.data.trim(), node]);
    }
  }
  for (const element of document.querySelectorAll("[data-chart]")) {
    const place = element.getBoundingClientRect();
    const chart = echarts.getInstanceByDom(element);
    for (const each of chart.getZr().storage.getDisplayList()) {
      const turn = each.transform;
      // Aslant, neighbours' boxes overlap and their letters do not.
      if (each.type !== "tspan" || each.invisible || each.ignore || (turn && turn[1])) continue;
      const box = each.getBoundingRect().clone();
      if (turn) box.applyTransform(turn);
      const [left, top] = [place.left + box.x, place.top + box.y];
      parts.push([left, top, left + box.width, top + box.height, each.style.text, each]);
    }
  }
  parts.forEach((one, index) => {
    for (const other of parts.slice(index + 1)) {
      const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
      const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
      if (one[5] !== other[5] && width > 2 && height > 4) {
        found.push(`${one[4].slice(0, 40)} on ${other[4].slice(0, 40)}`);
      }
    }
  });
  return found;
}"""
"""Texts that lie on each other, in pages and in their charts, and those that are cut at a side."""

OUT_OF_SIGHT = """() => [...document.querySelectorAll("main table")].flatMap((table) => {
  const place = table.closest(".scroll") ?? table.parentElement;
  if (place.scrollWidth <= place.clientWidth + 1) return [];
  if (getComputedStyle(place).overflowX !== "auto") return [`cut: ${table.innerText.slice(0, 40)}`];
  place.scrollLeft = place.scrollWidth;
  const left = (element) => element.getBoundingClientRect().left;
  return [...table.rows].filter((row) => row.cells.length > 1)
    .filter((row) => Math.abs(left(row.cells[0]) - left(place)) > 2)
    .map((row) => `not held: ${row.innerText.slice(0, 40)}`);
})"""
"""Rows of tables wider than their place whose first column does not stay in it."""


def keep_picture(page: Page, name: str) -> None:
    """Keep the page as a picture where somebody wants to look at it."""
    if SCREENSHOTS:
        # Without the foot, which tells one build from the next: equal pages are equal pictures.
        foot = page.locator(".foot").bounding_box()
        assert foot is not None
        above = {"x": 0.0, "y": 0.0, "width": foot["x"] + foot["width"], "height": foot["y"]}
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True, clip=above)
