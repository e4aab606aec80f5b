"""Exchange rates: those in use, what has none, and two forms that add some, pasted or as a file."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyViewer, Editor, File, Form, Viewer
from read_api.dashboard.defined import ingest_of, see_other
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.view import View, asked_filters, frame, viewing
from read_api.filters import parsed
from read_api.parameters import Page
from read_api.reports.exchange_rates import MART, exchange_rates
from read_api.reports.unconverted import unconverted

PATH = "/app/projects/{project_id}/exchange-rates"

ADDED = "exchange-rates"
"""In the ingest API."""
DAYS_BEFORE = 7
"""Central banks publish no rates on some days in a row, at Easter for example."""

_COUNT = re.compile(r"[0-9]{1,9}")

router = APIRouter(include_in_schema=False)


@router.get(PATH)
def rates(request: Request, viewer: AnyViewer) -> Response:
    """Rates by currency, amounts without one, and what was added."""
    return _page(request, viewer)


@router.post(PATH)
def paste(request: Request, viewer: Editor, form: Form) -> Response:
    """Add the rates of a text."""
    text = form.text("rates")
    return _add(request, viewer, text.encode(), {}, {"rates": text})


@router.post(f"{PATH}/file")
def upload(request: Request, viewer: Editor, file: File, currencies: str = "", since: str = "") -> Response:
    """Add the rates of a file: a script sends it as it is."""
    chosen = {"currencies": currencies, "since": since}
    return _add(request, viewer, file, chosen, chosen)


@router.post(f"{PATH}/{{exchange_rates_id}}/withdraw")
def withdraw(request: Request, viewer: Editor, exchange_rates_id: str, _: Form) -> Response:
    """Take back what was added at once."""
    ingest_of(request).delete(viewer.admin or "", viewer.project_id, ADDED, exchange_rates_id)
    return see_other(frame(request, viewer, "exchange-rates").url("exchange-rates", withdrawn="1"))


def _add(
    request: Request, viewer: Viewer, content: bytes, chosen: Mapping[str, str], fields: Mapping[str, str]
) -> Response:
    asked = {name: value.strip() for name, value in chosen.items() if value.strip()}
    try:
        answer = ingest_of(request).post_file(
            viewer.admin or "", viewer.project_id, ADDED, content=content, query=asked
        )
    except (NotTaken, UnreachableError) as refused:
        return _page(request, viewer, fields, str(refused))
    view = frame(request, viewer, "exchange-rates")
    said = {"added": "accepted", "pairs": "pairs", "left_out": "left_out"}
    return see_other(view.url("exchange-rates", **{name: str(answer[key]) for name, key in said.items()}))


def _page(
    request: Request, viewer: Viewer, fields: Mapping[str, str] | None = None, problem: str = ""
) -> Response:
    with viewing(request, viewer, "exchange-rates", dates=False, filters=False, said_when_empty=True) as view:
        own = view.currencies.own
        missing = unconverted(view.reading, view.project_id)
        used = {each for each in view.currencies.conversions if each} | {each.currency for each in missing}
        added, is_ingest_there = _added(request, viewer)
        context = {
            "lines": [
                _line(view, each) for each in exchange_rates(view.reading, view.project_id, Page(1000))
            ],
            "missing": missing,
            "asked": parsed(asked_filters(request)),
            "added": added,
            "is_ingest_there": is_ingest_there,
            "fields": {
                "rates": "",
                "currencies": ", ".join(view.currencies.in_order({own, *used})),
                # A first day without a rate takes that of the days before.
                "since": (view.known.first - timedelta(days=DAYS_BEFORE)).isoformat()
                if view.known.first
                else "",
                **(fields or {}),
            },
            "problems": [each for each in problem.split("; ") if each],
            "said": _said(request.query_params),
        }
        return view.render("exchange_rates.html", context, 422 if problem else 200)


def _line(view: View, each: Any) -> dict[str, Any]:
    of = {"currency": each.currency}
    return {
        "it": each,
        "rates": view.figure(MART, "sum(rates)", each.rates, **of),
        "own": view.figure(MART, "sum(own_rates)", each.own_rates, **of),
        "latest": f"{each.latest_rate:.9f}".rstrip("0").rstrip("."),
    }


def _added(request: Request, viewer: Viewer) -> tuple[list[dict[str, Any]], bool]:
    """What was added last, and whether the ingest API answers."""
    try:
        found = ingest_of(request).get(viewer.read, viewer.project_id, ADDED)
    except UnreachableError:
        return [], False
    return [
        {
            **each,
            "added_at": datetime.fromisoformat(each["added_at"]).replace(tzinfo=None),
            **{name: date.fromisoformat(each[name]) for name in ("first_date", "last_date")},
        }
        for each in (found or {}).get("exchange_rates", [])
    ], True


def _said(asked: Mapping[str, str]) -> str:
    """What became of a form, as its address says."""
    if asked.get("withdrawn"):
        return "Withdrawn. Figures update with the next build."
    numbers = [asked.get(name, "") for name in ("added", "pairs", "left_out")]
    if not all(_COUNT.fullmatch(each) for each in numbers):
        return ""
    added, pairs, left_out = map(int, numbers)
    said = f"{added:,} rate{'' if added == 1 else 's'} added for {pairs:,} pair{'' if pairs == 1 else 's'}"
    others = f", {left_out:,} of other currencies or days left out" if left_out else ""
    return f"{said}{others}; figures update with the next build."
