"""Results: how revenue came to be what it is, and conversions with what explains them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.answers import csv_answer
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.figures import Units
from read_api.dashboard.layout import money_series
from read_api.dashboard.net_revenue import net_revenue
from read_api.dashboard.rendering import HEADERS
from read_api.dashboard.view import UnreadableError, View, viewing
from read_api.parameters import MAX_LIMIT, Page, cursor
from read_api.reader import Reader
from read_api.reports import conversions, summary
from read_api.slices import Figure, Number, Slice

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

REASON_TITLES = {
    "sale": "Approved as soon as they were reported, at the amount of that report",
    "approval": "Pending or rejected before, and approved since",
    "rejection": "Counted once, and rejected since",
    "refund": "Refunds, in full and in part, on the day of their conversion",
    "restatement": "Another amount was reported since",
    "reversal": "What counted was taken back: pending again, or in another currency",
}
"""What an entry of each reason is."""

_AMOUNT = "sum(amount_minor)"

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/revenue")
def revenue(request: Request, viewer: AnyViewer) -> Response:
    """From sales to net revenue: why the ledger's entries are there, as a waterfall."""
    with viewing(request, viewer, "revenue", converts=True, chooses_by_credit=True) as view:
        as_of, since = (_date(request.query_params.get(name, "")) for name in ("as_of", "since"))
        if since is not None and since >= (as_of or date.max):
            raise UnreadableError(view, "since must be before as_of", "since")
        wanted = replace(view.asked, as_of=as_of)
        rows = view.rows("fct_conversion_ledger", "conversion_date").having({"learnt_date.to": as_of})
        tables = []
        for currency, steps, total in _by_currency(view, wanted, rows):
            chart = _waterfall(steps, total, view.units)
            tables.append({"currency": currency, "steps": steps, "total": total, "chart": chart})
        changed = []
        if since is not None:
            later = rows.where("learnt_date.from", since + timedelta(days=1))
            changed = list(_by_currency(view, replace(wanted, since=since), later))
        context = {
            "tables": tables,
            "states": _states(view),
            "as_of": as_of,
            "since": since,
            "changed": changed,
            "left_out": net_revenue(view, {}).left_out,
        }
        return view.render("revenue.html", context)


def _by_currency(
    view: View, wanted: summary.Filters, rows: Slice
) -> Iterator[tuple[str, list[dict[str, Any]], Figure]]:
    """Steps by reason and their sum, in each currency; `rows` are those of the ledger that are wanted."""
    entries = summary.ledger(view.reading, view.project_id, wanted)
    for currency in view.currencies.in_order(entry.currency for entry in entries):
        of_currency = rows.where("currency", currency)
        found = [entry for entry in entries if entry.currency == currency]
        total = of_currency.figure(_AMOUNT, sum(entry.amount_minor for entry in found))
        yield currency, _steps(found, of_currency), total


@router.get(f"{PATH}/conversions")
def conversion_list(request: Request, viewer: AnyViewer) -> Response:
    """Conversions, newest first, fifty to a page."""
    with viewing(request, viewer, "conversions", converts=True, chooses_by_credit=True) as view:
        asked = request.query_params
        offset = _offset(asked.get("offset", ""))
        wanted = _wanted(view)
        shown = conversions.conversions(
            view.reading, view.project_id, replace(wanted, page=Page(PAGE_ROWS, offset))
        )
        after = view.reading.following
        found = conversions.rows_of(view.reading, view.project_id, wanted)
        totals = conversions.totals(view.reading, found)
        context = {
            "rows": shown,
            "found": found.figure("count(*)", sum(each.conversions for each in totals)),
            "totals": [
                {
                    "reported": of.figure("sum(amount_minor)", by_currency[currency].amount_minor),
                    "net": of.figure("sum(net_amount_minor)", by_currency[currency].net_amount_minor),
                }
                for by_currency in [{each.currency: each for each in totals}]
                for currency in view.currencies.in_order(by_currency)
                for of in [found.where("currency", currency)]
            ],
            # They are no conversion's, so nothing that chooses conversions chooses them.
            "refunds": net_revenue(view, {}).refunds if _are_all(view, wanted) else [],
            "state": wanted.state or "",
            "order": asked.get("order", "").strip(),
            "person": asked.get("person", "").strip(),
            "least": asked.get("least", "").strip(),
            "is_least_unread": bool(asked.get("least", "").strip()) and wanted.amount_from_minor is None,
            "currency": wanted.currency or "",
            "currencies": view.currencies.in_order([view.currencies.own, *view.currencies.conversions]),
            "most": MAX_LIMIT,
            "offset": offset,
            "before": max(0, offset - PAGE_ROWS) if offset else None,
            "after": after,
        }
        return view.render("conversions.html", context)


@router.get(f"{PATH}/conversions-export")
def export_conversions(request: Request, viewer: AnyViewer) -> Response:
    """The conversions of the list as CSV, as the API writes them: the newest 10,000."""
    with viewing(request, viewer, "conversions", converts=True, chooses_by_credit=True) as view:
        reader = view.reading
        wanted = replace(_wanted(view), page=Page(MAX_LIMIT))
        rows = conversions.conversions(reader, view.project_id, wanted)
        answer = csv_answer(request, rows, reader.build_id, cursor(reader.build_id, reader.following))
        name = f"{view.project_id}_conversions_{reader.build_id}.csv"
        answer.headers.update(HEADERS)
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


def _wanted(view: View) -> conversions.Filters:
    """The conversions that are listed; an amount is one of a currency, the project's unless said."""
    asked = view.request.query_params
    least = view.units.minor(asked.get("least", ""), asked.get("currency") or view.currencies.own)
    currency = asked.get("currency", "") if asked.get("currency") in view.currencies.conversions else None
    return conversions.Filters(
        days=view.days,
        state=asked.get("state") if asked.get("state") in conversions.STATES else None,
        currency=currency or (view.currencies.own if least is not None else None),
        transaction_id_contains=asked.get("order", "").strip() or None,
        person_id_contains=asked.get("person", "").strip() or None,
        amount_from_minor=least,
        filters=view.filters,
        model=view.model,
    )


def _are_all(view: View, wanted: conversions.Filters) -> bool:
    """Whether nothing but days chooses the conversions."""
    return wanted == conversions.Filters(days=view.days, model=view.model)


def _conversions(reader: Reader, view: View, page: Page, **wanted: Any) -> list[conversions.Conversion]:
    filters = conversions.Filters(days=view.days, filters=view.filters, model=view.model, page=page, **wanted)
    return conversions.conversions(reader, view.project_id, filters)


def _states(view: View) -> list[dict[str, Any]]:
    """Conversions by state: how many, what was reported, and what is recognised of it."""
    rows = view.rows("fct_conversions", "conversion_date")
    found = summary.by_state(view.reading, view.project_id, view.asked)
    states = []
    for state in dict.fromkeys(each.state for each in found):
        of_state = rows.where("state", state)
        by_currency = {each.currency: each for each in found if each.state == state}
        amounts = {
            name: [
                of_state.where("currency", currency).figure(f"sum({name})", minor)
                for currency in view.currencies.in_order(by_currency)
                if (minor := getattr(by_currency[currency], name))
            ]
            for name in ("amount_minor", "net_amount_minor")
        }
        counted = of_state.figure("count(*)", sum(each.conversions for each in by_currency.values()))
        states.append({"state": state, "conversions": counted, **amounts})
    return states


def _steps(entries: list[summary.LedgerFigures], rows: Slice) -> list[dict[str, Any]]:
    """Amounts by reason; of refunds, those that found no sale apart."""
    steps = []
    for reason in REASONS:
        for is_unmatched in (False, True):
            found = [each for each in entries if (each.reason, each.is_unmatched) == (reason, is_unmatched)]
            if not found:
                continue
            of = rows.where("reason", reason).where("conversion_id.is", "null" if is_unmatched else "set")
            steps.append(
                {
                    "name": REASON_WORDS[reason] + (", no sale known" if is_unmatched else ""),
                    "title": REASON_TITLES[reason],
                    "entries": of.figure("count(*)", sum(each.entries for each in found)),
                    "amount": of.figure(_AMOUNT, sum(each.amount_minor for each in found)),
                }
            )
    return steps


def _waterfall(steps: list[dict[str, Any]], total: Figure, units: Units) -> dict[str, Any]:
    """Bars that begin where the one before ended, and the sum at last."""
    bars: list[tuple[Number, Number]] = []
    level: Number = 0
    for step in steps:
        bars.append((level, level + step["amount"].total))
        level += step["amount"].total
    bars.append((0, level))
    return {
        "kind": "waterfall",
        "categories": [*(step["name"] for step in steps), "Net revenue"],
        "bars": [[float(units.major(minor, total.currency)) for minor in bar] for bar in bars],
        "legend": False,
        **money_series({"Amount": [*(step["amount"] for step in steps), total]}, total.currency, units),
    }


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _offset(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
