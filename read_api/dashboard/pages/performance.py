"""Performance: the one table of the trade, as a tree of up to three dimensions with the columns one chose."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from funnelhouse.problems import Refusal
from read_api.answers import CSV_MEDIA_TYPE, csv_text
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.change import column_change
from read_api.dashboard.rendering import HEADERS
from read_api.dashboard.view import View, viewing
from read_api.filters import DIMENSIONS, path_to
from read_api.parameters import Page, one_of, whole_number
from read_api.performance import performance
from read_api.performance_lines import (
    CHANGE,
    COLUMNS,
    DAYS_OF,
    OF_CONVERSIONS,
    OF_MONEY,
    PAGE_ROWS,
    Asked,
    Line,
    Performance,
)
from read_api.reports import performance as report

PATH = "/app/projects/{project_id}"

MOST_OPEN = 20
MOST_FILE_ROWS = 10_000
_OWN = ("by", "columns", "sort", "search", "days_of", "open", "page")
"""Parameters of this page alone."""

PRESETS = (
    ("Acquisition", "sessions,people,conversions,conversion_rate,net_amount"),
    ("Profit", "conversions,net_amount,spend,cpa,roas,profit"),
    ("Affiliates", "sessions,conversions,pending,conversion_rate,net_amount,aov"),
)
LANDED = {"converting": "Converting sessions"}
"""Columns of landing pages alone."""

_TITLES = {
    "converting": "Sessions with a conversion",
    "sessions": "Sessions that began on these days, without those of bots",
    "people": "People with such a session; those of several rows overlap",
    "conversions": "Approved and pending, as the model credits them",
    "pending": "Conversions that wait for approval",
    "conversion_rate": "Conversions ÷ sessions",
    "net_amount": "Net revenue of approved conversions, as the model credits them",
    "aov": "Average order value: net revenue ÷ approved conversions in its currency",
    "spend": "Ad spend as reported",
    "cpa": "Cost per acquisition: spend ÷ conversions",
    "roas": "Return on ad spend: net revenue ÷ spend, in one currency",
    "profit": "Net revenue less spend, in one currency",
}

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/sources")
def sources(request: Request, viewer: AnyViewer) -> Response:
    """Where the page was until it had columns of its own."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/app/projects/{viewer.project_id}/performance{query}", 308, HEADERS)


@dataclass
class Row:
    """A line of the tree: its figures, what opens or closes it, and how far its bar goes."""

    line: Line
    level: int
    dimension: str
    kind: str = "line"
    value: str | None = None
    toggle: str = ""
    is_open: bool = False
    more: str = ""
    count: int = 0
    bar: Decimal = Decimal()


@dataclass
class Choices:
    """The address of the page, read; `address` makes another one from it."""

    view: View
    given: list[tuple[str, str]]
    asked: Asked
    opened: list[tuple[str | None, ...]] = field(default_factory=list)

    def address(self, **changes: str | Sequence[str] | None) -> str:
        """With other values of some parameters; None takes one away, and another order is a first page."""
        kept = [(name, value) for name, value in self.given if name not in changes and value]
        for name, value in changes.items():
            values = [value] if isinstance(value, str) else value or []
            kept += [(name, each) for each in values]
        return f"{self.view.address}?{urlencode(kept)}" if kept else self.view.address

    def hidden(self, *but: str) -> list[tuple[str, str]]:
        """What a form of some of the parameters keeps of the others."""
        return [(name, value) for name, value in self.given if value and name not in (*but, "page", "open")]

    def filtered(self, dimension: str, value: str | None) -> str:
        """With a filter more."""
        condition = f"{dimension}:empty" if value is None else f"{dimension}:is:{value}"
        known = [each for name, each in self.given if name == "f" and each != condition]
        return self.address(f=[*known, condition], page=None, open=None)

    def sorted(self, column: str) -> str:
        """By a column, the highest first; the other way round where it already is."""
        down = f"-{column}"
        first, second = (column, down) if column in self.asked.by else (down, column)
        return self.address(sort=second if self.asked.sort == first else first, page=None)

    def aria(self, column: str) -> str:
        """How a head says the order."""
        if self.asked.sorted_by != column:
            return "none"
        return "descending" if self.asked.sort.startswith("-") else "ascending"

    def toggled(self, path: tuple[str | None, ...]) -> str:
        """With a branch open, or closed with all below it."""
        if path in self.opened:
            kept = [each for each in self.opened if each[: len(path)] != path]
        else:
            kept = [*self.opened, path][-MOST_OPEN:]
        return self.address(open=[json.dumps(each) for each in kept])

    def behind(self, path: tuple[str | None, ...]) -> str:
        """A table of a branch alone, for rows that the tree has no room for."""
        by = self.asked.by
        conditions = [
            f"{name}:empty" if value is None else f"{name}:is:{value}"
            for name, value in zip(by, path, strict=False)
        ]
        known = [each for name, each in self.given if name == "f"]
        rest = by[len(path) :]
        return self.address(f=[*known, *conditions], by=list(rest), open=None, page=None, search=None)

    @property
    def range(self) -> str:
        """The compared days."""
        days = self.asked.compared
        return f"{days.first} to {days.last}" if days else ""


def choices(view: View, by: tuple[str, ...] = (), columns: tuple[str, ...] = (), order: str = "") -> Choices:
    """What the address asks for, of what a page leaves to it. Raises Refusal 400."""
    asked = view.request.query_params
    by = by or report.chosen_dimensions(",".join(each for each in asked.getlist("by") if each))
    columns = columns or report.chosen_columns(",".join(each for each in asked.getlist("columns") if each))
    number = whole_number("page", asked.get("page"), 1, 10**6)
    read = Asked(
        by,
        view.days,
        view.compared,
        view.filters,
        (),
        view.model,
        one_of("days_of", asked.get("days_of"), DAYS_OF, "conversion"),
        columns,
        report.chosen_order(asked.get("sort") or order, by, columns, view.compared is not None),
        report.searched(asked.get("search")),
        Page(PAGE_ROWS, (number - 1) * PAGE_ROWS),
    )
    opened = [_path(text, by) for text in asked.getlist("open") if text]
    if len(opened) > MOST_OPEN:
        raise Refusal(400, f"open may be given {MOST_OPEN} times at most")
    return Choices(view, list(asked.multi_items()), read, opened)


def _path(text: str, by: Sequence[str]) -> tuple[str | None, ...]:
    """The values of a branch that is open."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    is_path = isinstance(values, list) and 0 < len(values) < max(len(by), 2)
    if not is_path or not all(value is None or isinstance(value, str) for value in values):
        raise Refusal(400, "open must be the values of a row, as its link has them")
    return tuple(values)


@router.get(f"{PATH}/performance")
def performance_table(request: Request, viewer: AnyViewer) -> Response:
    """Sessions, conversions, money and spend by up to three dimensions."""
    with viewing(request, viewer, "performance", compares=True, credits=True, converts=True) as view:
        dimensions = [name for name in DIMENSIONS if _is_known(view, name)]
        fixed = {"dimensions": dimensions, "labels": DIMENSIONS, "columns": COLUMNS, "presets": PRESETS}
        try:
            chosen = choices(view)
            if request.query_params.get("format") == "csv":
                return _file(view, chosen)
            top = replace(chosen.asked, by=chosen.asked.by[:1])
            found = performance(view.reading, view.project_id, top, view.currencies.in_order)
            rows = _tree(view, chosen, found)
        except Refusal as refused:
            if refused.status != 400:
                raise
            return view.render("performance.html", {**fixed, "problem": refused.detail}, 400)
        goals, names = _named(view)
        more = [*(f"conversion:{name}" for name in names), *(f"goal:{goal}" for goal in goals)]
        context = {**fixed, **table_context(chosen, found), "rows": rows, "more_columns": more}
        return view.render("performance.html", context)


def table_context(chosen: Choices, found: Performance) -> dict[str, Any]:
    """What the macros of `performance_parts.html` know."""
    asked = chosen.asked
    return {
        "problem": "",
        "chosen": chosen,
        "asked": asked,
        "found": found,
        "own": _OWN,
        "keys": _key_columns(asked.columns, asked.sorted_by.removesuffix(CHANGE)),
        "head": _head,
        "titles": _TITLES,
        "change": column_change,
        "narrowed": [each for each in asked.filters if each.dimension in OF_CONVERSIONS],
    }


def _is_known(view: View, dimension: str) -> bool:
    return any(path_to(mart, dimension, view.reading) for mart in ("rpt_traffic", "fct_attribution"))


def _head(column: str) -> str:
    kind, colon, value = column.partition(":")
    return value if colon else (COLUMNS | LANDED)[kind]


def _key_columns(columns: Sequence[str], first: str) -> list[str]:
    """The two that a phone has room for: what rows are sorted by, and money."""
    found = [first] if first in columns else []
    money = [each for each in columns if each in OF_MONEY]
    for each in (*money, *columns):
        if each not in found and len(found) < 2:
            found.append(each)
    return found


def _named(view: View) -> tuple[list[str], list[str]]:
    """The goals and the names of conversions that a column can be of: those of most conversions."""
    names = view.reading.rows(
        "select name from fct_conversions where project_id = ? and name is not null and name <> '' "
        "group by name order by count(*) desc, name limit 12",
        [view.project_id],
    )
    goals = view.reading.rows(
        "select goal_id from rpt_goals where project_id = ? group by goal_id "
        "having sum(conversions) > 0 order by sum(conversions) desc, goal_id limit 12",
        [view.project_id],
    )
    return [goal for (goal,) in goals], [name for (name,) in names]


def _tree(view: View, chosen: Choices, found: Performance) -> list[Row]:
    """Rows in the order in which they stand: below an open one are its children."""
    rows: list[Row] = []
    _branch(view, chosen, found, (), rows)
    with_bars(chosen, rows)
    return rows


def with_bars(chosen: Choices, rows: Sequence[Row]) -> None:
    """Set how far the bars go, which are of what rows are sorted by: up to the largest of the first level."""
    column = chosen.asked.sorted_by.removesuffix(CHANGE)
    if column in chosen.asked.by:
        return
    values = [(row, value) for row in rows if row.kind == "line" for value in row.line.cells(column)[:1]]
    widest: dict[str | None, Decimal] = {}
    for row, value in values:
        if not row.level:
            widest[value.currency] = max(widest.get(value.currency, Decimal()), value.number or Decimal())
    for row, value in values:
        most = widest.get(value.currency)
        if most and value.number and value.number > 0:
            row.bar = min(100 * value.number / most, Decimal(100))


def _branch(
    view: View, chosen: Choices, found: Performance, path: tuple[str | None, ...], rows: list[Row]
) -> None:
    by, level = chosen.asked.by, len(path)
    for line in found.lines:
        [value] = line.values
        below = (*path, value)
        row = Row(line, level, by[level], value=value)
        rows.append(row)
        if level + 1 < len(by):
            row.toggle, row.is_open = chosen.toggled(below), below in chosen.opened
        if row.is_open:
            asked = replace(
                chosen.asked,
                by=(by[level + 1],),
                within=tuple(zip(by, below, strict=False)),
                search="",
                sort=_order_below(chosen.asked, by[level + 1]),
                page=Page(PAGE_ROWS),
            )
            children = performance(view.reading, view.project_id, asked, view.currencies.in_order)
            _branch(view, chosen, children, below, rows)
            if children.other:
                rows.append(
                    Row(
                        children.other,
                        level + 1,
                        by[level + 1],
                        "other",
                        more=chosen.behind(below),
                        count=children.others,
                    )
                )


def _order_below(asked: Asked, dimension: str) -> str:
    """Names of parents are sorted by theirs, those of children by their own."""
    return dimension if asked.sorted_by in asked.by else asked.sort


def _file(view: View, chosen: Choices) -> Response:
    """The table that is seen, with all its rows and their dimensions."""
    asked = replace(chosen.asked, page=Page(MOST_FILE_ROWS))
    found = performance(view.reading, view.project_id, asked, view.currencies.in_order)
    name = f"{view.project_id}_performance_{date.isoformat(view.first)}_{date.isoformat(view.last)}.csv"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(csv_text(*report.file_lines(found)), headers=headers, media_type=CSV_MEDIA_TYPE)
