"""What was spent on ads."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which costs."""

    days: Days = ALL_DAYS
    source: str | None = None
    currency: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Cost:
    """Ad spend of one day and campaign, as last reported."""

    cost_date: date
    source: str
    medium: str | None
    campaign: str | None
    currency: str
    amount_minor: Annotated[int, Field(description="Minor units.")]
    reporting_currency: str
    reporting_amount_minor: Annotated[int | None, Field(description="Null where a rate is missing.")]
    reported_at: datetime


def costs(reader: Reader, project_id: str, filters: Filters) -> list[Cost]:
    """Latest day first, then by source, medium, campaign and currency."""
    asked = {"source": filters.source, "currency": filters.currency}
    condition, values = matching(project_id, "cost_date", filters.days, asked)
    found = reader.page(
        f"""
        select {columns(Cost)}
        from fct_costs
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
    source: Annotated[str | None, Query(description="Only this source.")] = None,
) -> Response:
    """Ad spend by day, source, medium and campaign, latest first, as last reported."""
    with table.reading(caller) as reader:
        rows = costs(reader, caller.project_id, Filters(days, source or None, currency, table.page))
        return table.answer(reader, rows, days)
