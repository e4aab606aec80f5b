"""Sessions, conversions and net revenue over the days shown, as charts and as a table."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from read_api.dashboard.layout import Bins, bins, line_chart, money_chart
from read_api.dashboard.net_revenue import unmatched_refunds_by_day
from read_api.dashboard.view import View
from read_api.reports import summary
from read_api.slices import Figure, Number, Slice

STATES_THAT_COUNT = ("approved", "pending")


def charts(view: View, zone: str, currency: str) -> dict[str, Any]:
    """Three charts over the same bins; `rows` has the figures of each bin for the table."""
    over = bins(view.days, view.known, zone)
    sessions, conversions, revenue = (_by_hour if over.size == "hour" else _by_day)(view, over, currency)
    return {
        "size": over.size,
        "rows": list(zip(over.bins, sessions, conversions, revenue, strict=True)),
        "sessions": line_chart("Sessions", over, sessions, whole=True),
        "conversions": line_chart("Conversions", over, conversions, whole=True),
        "revenue": money_chart("Net revenue", over, revenue, currency, view.units),
    }


def _by_day(view: View, over: Bins, currency: str) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """Figures of bins that are days or more."""
    found = summary.by_day(view.reading, view.project_id, view.asked)
    rows = view.rows("rpt_traffic", None)
    of_currency = rows.where("currency", currency)
    sessions: dict[date, Number] = {}
    conversions: dict[date, Number] = {}
    for each in found:
        sessions[each.day] = sessions.get(each.day, 0) + each.sessions
        conversions[each.day] = conversions.get(each.day, 0) + each.conversions
    amounts = {each.day: each.net_amount_minor for each in found if each.currency == currency}
    refunds = {} if view.filters else unmatched_refunds_by_day(view).get(currency, {})
    return (
        over.sum(rows, "sum(sessions)", sessions, "report_date"),
        over.sum(rows, "sum(credit_nano)", conversions, "report_date"),
        _less(
            over.sum(of_currency, "sum(net_amount_minor)", amounts, "report_date"),
            over.sum(_refunds(view, currency), "sum(amount_minor)", refunds, "conversion_date"),
        ),
    )


def _by_hour(view: View, over: Bins, currency: str) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """The same by hour: of facts, since reports have days only."""
    visits = view.rows("fct_sessions", None, is_bot=False)
    counted = view.rows("fct_conversions", None, state=STATES_THAT_COUNT)

    def hourly(rows: Slice, column: str, days_column: str, moment: str) -> list[Figure]:
        of_days = rows.on(days_column, view.days)
        values: Mapping[Any, Number] = summary.by_quarter_hour(view.reading, of_days, moment, column)
        return over.sum(rows, column, values, moment)

    amounts = hourly(
        counted.where("currency", currency), "sum(net_amount_minor)", "conversion_date", "occurred_at"
    )
    refunds = [
        *(
            []
            if view.filters
            else hourly(_refunds(view, currency), "sum(amount_minor)", "conversion_date", "happened_at")
        )
    ]
    return (
        hourly(visits, "count(*)", "session_date", "started_at"),
        hourly(counted, "count(*)", "conversion_date", "occurred_at"),
        _less(amounts, refunds) if refunds else amounts,
    )


def _refunds(view: View, currency: str) -> Slice:
    return (
        Slice("fct_conversion_ledger", view.project_id)
        .where("conversion_id", None)
        .where("currency", currency)
    )


def _less(amounts: list[Figure], refunds: list[Figure]) -> list[Figure]:
    """Revenue of conversions with refunds without a sale taken off it, where there are some."""
    return [each.plus(refund if refund else None) for each, refund in zip(amounts, refunds, strict=True)]
