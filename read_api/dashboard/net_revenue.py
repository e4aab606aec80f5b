"""One definition of net revenue for all pages: that of conversions, less refunds without a sale."""

from collections.abc import Mapping
from dataclasses import dataclass

from read_api.dashboard.view import View
from read_api.slices import Figure, Slice, slice_of

AMOUNT = "sum(amount_minor)"


@dataclass(frozen=True)
class NetRevenue:
    """Amounts by currency, in the order in which they stand on all pages; those that are 0 are left out.

    `left_out` are refunds without a sale, while something is filtered: of them nothing is known to filter by.
    """

    conversions: list[Figure]
    refunds: list[Figure]
    totals: list[Figure]
    left_out: list[Figure]


def unmatched_refunds(view: View) -> Slice:
    """Entries of refunds without a sale, and of what exceeds one, on the days shown."""
    rows = slice_of(view.reading, "fct_conversion_ledger", view.project_id)
    rows = rows.on("conversion_date", view.days)
    return rows.where("conversion_id", None)


def net_revenue(view: View, conversions: Mapping[str, Figure], is_filtered: bool | None = None) -> NetRevenue:
    """What conversions brought, by currency, and what refunds without a sale leave of it.

    Conversions are filtered as the page is, unless that is said.
    """
    is_filtered = bool(view.filters) if is_filtered is None else is_filtered
    rows = unmatched_refunds(view)
    condition, values = rows.condition
    found = view.reading.rows(
        f"""
        select currency, {AMOUNT}
        from fct_conversion_ledger
        where {condition}
        group by currency
        """,  # noqa: S608
        values,
    )
    refunds = {
        currency: rows.where("currency", currency).figure(AMOUNT, minor) for currency, minor in found if minor
    }
    counted = {} if is_filtered else refunds
    totals = {
        currency: conversions[currency].plus(counted.get(currency))
        if currency in conversions
        else counted[currency]
        for currency in view.currencies.in_order([*conversions, *counted])
    }
    return NetRevenue(
        _shown(view, conversions),
        _shown(view, counted),
        _shown(view, totals),
        _shown(view, refunds) if is_filtered else [],
    )


def _shown(view: View, amounts: Mapping[str, Figure]) -> list[Figure]:
    """Those that are not 0; where all are, the first."""
    found = [amounts[currency] for currency in view.currencies.in_order(amounts)]
    return [each for each in found if each] or found[:1]
