"""Results: the overview, how revenue came to be what it is, and conversions with what explains them."""

from datetime import date
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.paths import id_at_end
from funnelhouse.problems import Refusal
from read_api.dashboard.access import AnyHere
from read_api.dashboard.figures import decimals, major
from read_api.dashboard.layout import by_value, daily_chart, main_currency, money_chart, together
from read_api.dashboard.view import View, viewing
from read_api.parameters import Page
from read_api.publications import Reader
from read_api.reports import conversion as explained
from read_api.reports import conversions, landing_pages, sources, summary
from read_api.reports.projects import project

PATH = "/app/projects/{project_id}"

PAGE_ROWS = 50

REASONS = ("sale", "approval", "rejection", "refund", "restatement", "reversal")
"""Of ledger entries, in the order of the waterfall."""

REASON_WORDS = {
    "sale": "Sales",
    "approval": "Approved later",
    "rejection": "Rejected",
    "refund": "Refunded",
    "restatement": "Restated",
    "reversal": "Reversed",
}

_TRAFFIC = ("sessions", "conversions", "pending_conversions")

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/overview")
def overview(request: Request, here: AnyHere) -> Response:
    """The project at a glance."""
    with viewing(request, here, "overview", country=True) as view:
        reader = view.reading
        known = project(reader, view.project_id)
        filters = summary.Filters(view.days, view.country)
        days = by_value(
            summary.by_day(reader, view.project_id, filters), _day_of, _TRAFFIC, "net_amount_minor"
        )
        total = together(days)
        currency = main_currency(days, known.reporting_currency)
        traffic = sources.Filters(days=view.days, country=view.country, page=Page(limit=1000))
        top = by_value(
            sources.sources(reader, view.project_id, traffic), _value_of, _TRAFFIC, "net_amount_minor"
        )
        landing = landing_pages.Filters(view.days, page=Page(limit=1000))
        context: dict[str, Any] = {
            "is_empty": not days,
            "is_silent": known.events == 0,
            "total": total,
            "currency": currency,
            "charts": {
                "sessions": daily_chart(
                    "Sessions", view.days, {line.value: line["sessions"] for line in days}, whole=True
                ),
                "conversions": daily_chart(
                    "Conversions", view.days, {line.value: line["conversions"] for line in days}, whole=True
                ),
                "revenue": money_chart(
                    "Revenue",
                    view.days,
                    {line.value: line.amounts.get(currency, 0) for line in days},
                    currency,
                ),
            }
            if days
            else {},
            "sources": top[:6],
            "landing_pages": by_value(
                landing_pages.landing_pages(reader, view.project_id, landing),
                lambda row: row.landing_page,
                ("sessions", "converting_sessions", "conversions"),
                "net_amount_minor",
            )[:6]
            if view.country is None
            else [],
            "states": by_value(
                summary.by_state(reader, view.project_id, filters),
                lambda row: row.state,
                ("conversions",),
                "net_amount_minor",
            ),
            "latest": _conversions(reader, view, page=Page(limit=6)),
        }
        return view.render("overview.html", context)


@router.get(f"{PATH}/revenue")
def revenue(request: Request, here: AnyHere) -> Response:
    """From sales to what is recognised: why the ledger's entries are there, as a waterfall."""
    with viewing(request, here, "revenue", country=True) as view:
        reader = view.reading
        as_of = _date(request.query_params.get("as_of", ""))
        filters = summary.Filters(view.days, view.country, as_of=as_of)
        entries = summary.ledger(reader, view.project_id, filters)
        currencies = sorted(
            {entry.currency for entry in entries},
            key=lambda currency: (-sum(e.entries for e in entries if e.currency == currency), currency),
        )
        tables = [
            {
                "currency": currency,
                "steps": _steps(entries, currency),
                "total": sum(entry.amount_minor for entry in entries if entry.currency == currency),
                "chart": _waterfall(_steps(entries, currency), currency),
            }
            for currency in currencies
        ]
        states = by_value(
            summary.by_state(reader, view.project_id, summary.Filters(view.days, view.country)),
            lambda row: row.state,
            ("conversions",),
            "amount_minor",
        )
        return view.render("revenue.html", {"tables": tables, "states": states, "as_of": as_of})


@router.get(f"{PATH}/conversions")
def conversion_list(request: Request, here: AnyHere) -> Response:
    """Conversions, newest first, fifty to a page."""
    with viewing(request, here, "conversions", country=True) as view:
        asked = request.query_params
        wanted = {
            "state": asked.get("state") if asked.get("state") in conversions.STATES else None,
            "transaction_id": asked.get("order", "").strip() or None,
        }
        offset = _offset(asked.get("offset", ""))
        rows = _conversions(view.reading, view, page=Page(PAGE_ROWS, offset), **wanted)
        context = {
            "rows": rows,
            "states": conversions.STATES,
            "state": wanted["state"],
            "order": wanted["transaction_id"] or "",
            "offset": offset,
            "before": max(0, offset - PAGE_ROWS) if offset else None,
            "after": view.reading.following,
        }
        return view.render("conversions.html", context)


@router.get(f"{PATH}/conversions/{id_at_end('conversion_id')}")
def conversion(request: Request, here: AnyHere, conversion_id: str) -> Response:
    """One conversion, and everything that made it what it is."""
    with viewing(request, here, "conversions", title="Conversion", dates=False) as view:
        explanation = explained.explain(view.reading, view.project_id, conversion_id)
        if explanation is None:
            raise Refusal(
                404, "There is no such conversion in this build; the list has those that there are."
            )
        models: dict[str, list[explained.ModelCredit]] = {}
        for credit in explanation.credit:
            models.setdefault(credit.model, []).append(credit)
        view.title = explanation.conversion.name or "Conversion"
        return view.render("conversion.html", {"it": explanation, "models": models})


def _conversions(reader: Reader, view: View, page: Page, **wanted: Any) -> list[conversions.Conversion]:
    filters = conversions.Filters(days=view.days, country=view.country, page=page, **wanted)
    return conversions.conversions(reader, view.project_id, filters)


def _steps(entries: list[summary.LedgerFigures], currency: str) -> list[dict[str, Any]]:
    """Amounts by reason; of refunds, those that found no sale apart."""
    steps = []
    for reason in REASONS:
        for is_unmatched in (False, True):
            found = [
                entry
                for entry in entries
                if (entry.currency, entry.reason, entry.is_unmatched) == (currency, reason, is_unmatched)
            ]
            if found:
                name = REASON_WORDS[reason] + (", no sale known" if is_unmatched else "")
                amount = sum(entry.amount_minor for entry in found)
                steps.append({"name": name, "entries": sum(e.entries for e in found), "amount": amount})
    return steps


def _waterfall(steps: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    """Bars that begin where the one before ended, and the sum at last."""
    bars, level = [], 0
    for step in steps:
        bars.append((level, level + step["amount"]))
        level += step["amount"]
    bars.append((0, level))
    return {
        "kind": "waterfall",
        "categories": [*(step["name"] for step in steps), "Recognised"],
        "bars": [[float(major(minor, currency)) for minor in bar] for bar in bars],
        "unit": currency,
        "digits": decimals(currency),
        "legend": False,
    }


def _day_of(row: summary.DayFigures) -> date:
    return row.day


def _value_of(row: sources.Traffic) -> str | None:
    return row.value


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _offset(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
