"""What was spent on ads."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.filters import AskedFilters, Filter, applied, refuse_not_applied
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, AskedMoney, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.slices import Slice

MART = "fct_costs"

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which costs."""

    days: Days = ALL_DAYS
    source: str | None = None
    currency: str | None = None
    filters: tuple[Filter, ...] = ()
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Cost:
    """Ad spend of one day and campaign, as last reported."""

    cost_date: date
    source: str
    medium: str | None
    campaign: str | None
    currency: str
    amount_minor: Annotated[
        int | None, Field(description="Minor units; null with money=reporting where a rate is missing.")
    ]
    reporting_currency: str
    reporting_amount_minor: Annotated[int | None, Field(description="Null where a rate is missing.")]
    reported_at: datetime


def costs(reader: Reader, project_id: str, filters: Filters) -> list[Cost]:
    """Latest day first, then by source, medium, campaign and currency."""
    asked = {"source": filters.source, "currency": filters.currency}
    rows = Slice(MART, project_id).on("cost_date", filters.days).having(asked)
    condition, values = applied(rows, filters.filters, reader, "").condition
    found = reader.page(
        f"""
        select {columns(Cost)}
        from {MART}
        where {condition}
        order by cost_date desc, source, medium nulls last, campaign nulls last, currency
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(Cost, found)


@router.get(f"{PATH}/costs", response_model=Table[Cost])
def costs_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    f: AskedFilters,
    money: AskedMoney,
    source: Annotated[str | None, Query(description="Only this source.")] = None,
) -> Response:
    """Ad spend by day, source, medium and campaign, latest first, as last reported."""
    with table.reading(caller, money) as reader:
        refuse_not_applied(MART, f, reader)
        rows = costs(reader, caller.project_id, Filters(days, source or None, currency, f, table.page))
        return table.answer(reader, rows, days)
