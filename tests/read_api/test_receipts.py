"""Every figure of every page opens into its rows, which add up to it."""

import random
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from figures_in_html import Reading, Shown
from pages import Page, pages_of
from test_true_figures import FILTERS, PAGES, TWO_YEARS, address, assert_reads

from funnelhouse.settings import Settings
from read_api.publications import Publications
from read_api.reader import Reader
from read_api.reports.receipt import receipt
from read_api.reports.receipt_asked import asked_figure

MORE_PAGES = ("paths?rows=more", "landing-pages?rows=more", "attribution?by=campaign&rows=more")
LINK = re.compile(r'<data [^>]*><a class="figure" href="([^"]+)">(.*?)</a></data>', re.DOTALL)
UNLISTED = ("build.json", "outbox.", "events", "rejected")
"""Figures of what is no mart: the build itself, what destinations were told, what arrives now."""


class Drawn(NamedTuple):
    """A figure of some page."""

    where: str
    text: str
    said: dict[str, str]
    words: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("receipts") / "home")


@pytest.fixture(scope="module")
def page(house: Settings) -> Page:
    return pages_of(house, {}, TWO_YEARS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def figures(page: Page) -> list[Drawn]:
    """All figures of all pages; each is a link, unless a mart has no rows of it."""
    found = []
    for number, path in enumerate(PAGES):
        where = address(path, FILTERS[number % len(FILTERS)])
        found += list(figures_of(page(where), where))
    return found


@pytest.fixture(scope="module")
def all_figures(page: Page, figures: list[Drawn]) -> list[Drawn]:
    """Those of all pages with all filters, and of some that are long."""
    found = list(figures)
    for filters in FILTERS:
        for path in (*PAGES, *MORE_PAGES):
            where = address(path, filters)
            found += list(figures_of(page(where), where))
    return found


@pytest.fixture(scope="module")
def reader(house: Settings, page: Page) -> Iterator[Reader]:
    assert page("overview")
    with Publications(house.published_dir).current("shop") as found:
        yield found


def figures_of(html: str, where: str) -> Iterator[Drawn]:
    reading = Reading(html)
    assert "<a " not in "".join(inner for _, inner in LINK.findall(html)), where
    links = iter(LINK.findall(html))
    for shown in reading.shown:
        if is_listed(shown):
            href, inner = next(links)
            assert unescape(re.sub("<[^>]+>", "", inner)) == shown.text, where
            split = urlsplit(unescape(href))
            assert split.path == "/app/projects/shop/receipt"
            words = tuple(parse_qsl(split.query, keep_blank_values=True, strict_parsing=True))
            yield Drawn(where, shown.text, shown.said, words)
    assert next(links, None) is None, where


def is_listed(shown: Shown) -> bool:
    is_mart = not any(shown.said["mart"].startswith(each) for each in UNLISTED)
    # Two tables say what is behind their last line in no words that an address could repeat.
    return is_mart and not ("but" in shown.said and shown.said["mart"] in ("rpt_campaigns", "rpt_funnels"))


def assert_agrees(reader: Reader, figure: Drawn) -> str:
    """Returns what its rows are listed from."""
    found = receipt(reader, "shop", asked_figure(reader, "shop", figure.words))
    assert found.agrees, (figure, found.parts)
    first = found.part
    assert (found.number or 0) == (found.sum or 0)
    in_cents = first.unit == "minor" and "_minor" not in figure.said.get("over-column", "")
    right = (found.number or Decimal()) * (Decimal("0.01") if in_cents else 1)
    assert_reads(figure.text, figure.said, right, figure.where)
    counted = len(found.rows)
    assert counted == min(first.rows, 1_000), figure
    if reader.following is None and "sum(" in first.column:
        rows = sum((row.counted or Decimal() for row in found.rows), Decimal())
        assert rows == (first.sum or 0), figure
    return first.listed_from


def test_figures_drawn_at_random_open_into_rows_that_add_up(reader: Reader, figures: list[Drawn]) -> None:
    walk(reader, figures, 60)


@pytest.mark.long
def test_a_thousand_figures_drawn_at_random_open_into_rows_that_add_up(
    reader: Reader, all_figures: list[Drawn]
) -> None:
    walk(reader, all_figures, 1000)


def walk(reader: Reader, figures: list[Drawn], steps: int) -> None:
    # Each kind of figure first, whatever their numbers are.
    kinds: dict[Any, list[Drawn]] = {}
    for each in figures:
        kind = (each.said["mart"], each.said["column"], each.said.get("over-column"))
        kinds.setdefault(kind, []).append(each)
    chance = random.Random(20)
    drawn_ones = [chance.choice(of_kind) for of_kind in kinds.values()]
    drawn_ones += chance.choices(figures, k=max(0, steps - len(drawn_ones)))
    origins = [assert_agrees(reader, each) for each in drawn_ones]
    assert origins.count("facts") > steps / 4
