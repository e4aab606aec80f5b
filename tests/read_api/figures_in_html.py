"""What a page says, read from its HTML: numbers with where they are from, and those from nowhere."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl

# Not figures: times, what senders and projects name things, and what people choose from.
NAMING = {"s", "time", "code", "pre", "option", "label", "summary", "th", "h1", "h2", "h3"}
NAMED = {"id", "said", "unit", "hint"}
VOID = {"input", "br", "meta", "link", "img", "rect", "line", "circle"}

_SUMS = ("", "more-", "more-more-")
ORIGINS = tuple(
    f"{when}{over}{more}" for when in ("", "before-", "less-") for over in ("", "over-") for more in _SUMS
)
"""Prefixes of what a figure is made of: sums, what it is over, what it was, and what was subtracted."""


@dataclass
class Shown:
    """A number as it is shown, and its attributes, without `data-`."""

    text: str
    said: dict[str, str]
    panel: "Panel"
    table: int
    cell: tuple[int, int] = (0, 0)
    part: str = ""


@dataclass
class Panel:
    """A part of the page that says what it can't be filtered by."""

    name: str
    unfiltered: set[str] = field(default_factory=set)


@dataclass
class _Element:
    tag: str
    said: dict[str, str]


class Reading(HTMLParser):
    """The figures of a page, in their order, the specs of its charts, and numbers without an origin."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown: list[Shown] = []
        self.homeless: list[str] = []
        self.charts: list[tuple[dict[str, Any], Panel]] = []
        self._listed: dict[tuple[int, str], tuple[tuple[str | None, ...], ...]] = {}
        self._open: list[_Element] = []
        self._panel = Panel("page")
        self._table = self._row = self._column = 0
        self._part = ""
        self.feed(html)

    def listed(self, table: int, columns: str) -> tuple[tuple[str | None, ...], ...]:
        """Values of columns, parted by commas, in the figures of a table that are of one value each."""
        if (table, columns) not in self._listed:
            names = columns.split(",")
            found = set()
            for shown in self.shown:
                if shown.table == table and "but" not in shown.said:
                    said = dict(parse_qsl(shown.said["filter"], keep_blank_values=True))
                    if all(name in said or f"{name}.is" in said for name in names):
                        found.add(tuple(said.get(name) for name in names))
            self._listed[table, columns] = tuple(sorted(found, key=str))
        return self._listed[table, columns]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag in VOID:
            return
        self._open.append(_Element(tag, said))
        if tag == "section" or (tag == "dl" and "figures" in said.get("class", "")):
            self._panel = Panel(said.get("aria-labelledby", tag))
        if "data-unfiltered" in said:
            self._panel.unfiltered.add(said["data-unfiltered"])
        if tag == "table":
            self._table += 1
        if tag in ("tbody", "tfoot"):
            self._part = tag
        if tag == "tr":
            self._row, self._column = self._row + 1, 0
        if tag in ("td", "th"):
            self._column += 1
        if tag == "data":
            attributes = {name.removeprefix("data-"): value for name, value in said.items()}
            if any("data-compared" in each.said for each in self._open):
                attributes["compared"] = ""
            place = (self._row, self._column)
            table = self._table if any(each.tag == "table" for each in self._open) else 0
            self.shown.append(Shown("", attributes, self._panel, table, place, self._part))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        while self._open and self._open.pop().tag != tag:
            pass
        if tag == "table":
            self._part = ""

    def handle_data(self, text: str) -> None:
        tags = [element.tag for element in self._open]
        if "script" in tags:
            if self._open[-1].said.get("type") == "application/json":
                self.charts.append((json.loads(text), self._panel))
        elif "data" in tags:
            self.shown[-1].text += text
        elif "main" in tags and re.search(r"\d", text) and not self._is_named():
            self.homeless.append(" ".join(text.split()))

    def _is_named(self) -> bool:
        return any(
            element.tag in NAMING or NAMED & set(element.said.get("class", "").split())
            for element in self._open
        )


def drawn(chart: dict[str, Any]) -> Iterator[tuple[float | None, dict[str, str]]]:
    """Each value of a chart, and where it is from; None where there is nothing to divide by.

    Series of compared days may end before the others.
    """
    for series in chart.get("series", []):
        assert len(series["values"]) == len(series["sources"]) == len(chart["categories"])
        for value, source in zip(series["values"], series["sources"], strict=True):
            if series.get("compared"):
                if source is not None:
                    yield value, {**source, "compared": ""}
                continue
            yield value, source
    for link in chart.get("links", []):
        [source] = link["sources"]
        yield link["value"], source
