"""The receipt of a figure: the rows that it is made of, beside the page that it is on or as its own page.

    page    the page that the figure is on, as `attribution?dates=all`: the way back
    part    whose rows, of a figure that is made of several; `offset` of the first one shown

All other parameters are the words of the figure, as in the read API.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from read_api.answers import csv_answer
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.figures import NONE, Units, count, duration, percent
from read_api.dashboard.view import titled, viewing
from read_api.parameters import MAX_LIMIT, Page, cursor
from read_api.reports.receipt import Opened, Part, ReceiptRow, receipt
from read_api.reports.receipt_asked import asked_figure

PATH = "/app/projects/{project_id}"

ROWS = 50

_OWN = ("page", "part", "offset", "format")
_OFFSET = re.compile("[0-9]{1,9}")
_PAGE = re.compile(r"[a-z][a-z-]*(/[^?#\\/]+)?(\?[^#]*)?")
_MAX_PAGE = 4_000

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/receipt")
def receipt_page(request: Request, viewer: AnyViewer) -> Response:
    """The rows, what they add up to, and the statements."""
    asked = request.query_params
    back = _back(request, viewer.project_id)
    slug = back.partition("?")[0].partition("/")[0]
    # What the page was filtered by goes on to other pages; the figure's words are not the page's.
    of_page = Request({**request.scope, "query_string": back.partition("?")[2].encode()}, request.receive)
    words = [(name, value) for name, value in asked.multi_items() if name not in _OWN and value]
    offset = int(asked.get("offset", "")) if _OFFSET.fullmatch(asked.get("offset", "")) else 0
    is_csv = asked.get("format") == "csv"
    page = Page(MAX_LIMIT, offset) if is_csv else Page(ROWS, offset)
    with viewing(of_page, viewer, slug if titled(slug) else "overview", title="Receipt", dates=False) as view:
        figure = asked_figure(view.reading, viewer.project_id, words)
        part = asked.get("part") or "figure"
        found = receipt(view.reading, viewer.project_id, figure, part, page)
        if view.reading.converted:
            # There is one currency, as on the page that the figure is from.
            view.units = replace(view.units, own=view.currencies.own)
        after = view.reading.following
        if is_csv:
            answer = csv_answer(
                request, found.rows, view.reading.build_id, cursor(view.reading.build_id, after)
            )
            answer.headers["Content-Disposition"] = f'attachment; filename="{viewer.project_id}_receipt.csv"'
            return answer
        kept = [*words, ("page", back)]

        def address(**changes: str | int) -> str:
            query = [*kept, *({"part": found.part.part, **changes}).items()]
            return f"/app/projects/{viewer.project_id}/receipt?{urlencode(query)}"

        context = {
            "it": found,
            "headline": headline(view.units, found),
            "difference": None if found.agrees else _difference(view.units, found.part),
            "rows": [_row(view.units, found.part, row) for row in found.rows],
            "amounts": {each.part: amount(view.units, each, each.number) for each in found.parts},
            "sums": {each.part: amount(view.units, each, each.sum) for each in found.parts},
            "address": address,
            "offset": offset,
            "before": max(0, offset - ROWS) if offset else None,
            "after": after,
            "most": MAX_LIMIT,
            "back": f"/app/projects/{viewer.project_id}/{back}",
            # The address of a panel names the page that it lay on.
            "is_panel": bool(asked.get("page")),
            "back_title": titled(slug) or "the page",
        }
        return view.render("receipt.html", context)


def headline(units: Units, found: Opened) -> str | Markup:
    """The number as the page has it."""
    if found.number is None:
        return NONE
    parts = {each.part: each for each in found.parts}
    first = parts["figure"]
    over = parts.get("over")
    if over is None:
        return amount(units, first, found.number)
    is_share = (first.mart, first.column) == (over.mart, over.column)
    if first.unit != "minor" or is_share:
        return percent(found.number)
    return f"{found.number:.2f}" if over.unit == "minor" else amount(units, first, found.number)


def amount(units: Units, part: Part, number: Decimal | None) -> str | Markup:
    """A number in the unit of its part."""
    if number is None:
        return NONE
    if part.unit == "minor":
        return units.money(number, part.currency) if part.currency else count(number)
    if part.unit == "seconds":
        return duration(int(number))
    if part.unit == "conversions":
        return _exact(number)
    return count(number) if number == number.to_integral_value() else _exact(number)


def _exact(number: Decimal) -> str:
    """With all its digits, so that a column of them can be added up."""
    return f"{number.normalize():,f}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class _Line:
    """A row as the page shows it."""

    row: ReceiptRow
    counted: str | Markup
    worth: str | Markup
    more: tuple[str, ...]


def _row(units: Units, part: Part, row: ReceiptRow) -> _Line:
    worth: str | Markup = ""
    if part.unit != "minor" and row.amount_minor is not None and row.currency:
        worth = units.money(row.amount_minor, row.currency)
    is_shared = row.share not in (None, 1) and part.unit != "conversions"
    share = f"{_exact(100 * row.share)}% of it" if row.share and is_shared else ""
    more = (row.transaction_id or "", row.source or "", share)
    return _Line(row, amount(units, part, row.counted), worth, tuple(each for each in more if each))


def _difference(units: Units, part: Part) -> str | Markup:
    return amount(units, part, (part.sum or Decimal()) - (part.number or Decimal()))


def _back(request: Request, project_id: str) -> str:
    """The page that the figure is on, below the project: the one named, else the one that led here."""
    begin = f"/app/projects/{project_id}/"
    split = urlsplit(request.headers.get("referer", ""))
    led = f"{split.path}?{split.query}".removeprefix(begin) if split.path.startswith(begin) else ""
    for text in (request.query_params.get("page", ""), led.rstrip("?")):
        is_page = len(text) <= _MAX_PAGE and text.isprintable() and _PAGE.fullmatch(text)
        if is_page and not text.startswith("receipt") and "/." not in text:
            return text
    return "overview"
