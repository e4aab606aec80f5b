"""How long the way to conversions was, in days and touches."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, AskedMoney, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching
from read_api.slices import Slice

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which conversions."""

    days: Days = ALL_DAYS
    currency: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class TimeToConvert:
    """Conversions that took as many days and touches."""

    days_to_convert: Annotated[int, Field(description="Whole days from the first touch to the conversion.")]
    touches: int
    currency: str
    conversions: int
    net_amount_minor: int


def time_to_convert(reader: Reader, project_id: str, filters: Filters) -> list[TimeToConvert]:
    """By days, then touches, then currency."""
    condition, values = matching(project_id, "report_date", filters.days, {"currency": filters.currency})
    found = reader.page(
        f"""
        select {columns(TimeToConvert, "conversions", "net_amount_minor")}
        from rpt_time_to_convert
        where {condition}
        group by days_to_convert, touches, currency
        order by days_to_convert, touches, currency
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(TimeToConvert, found)


def by(reader: Reader, rows: Slice, column: str) -> dict[int, int]:
    """Conversions by days_to_convert or touches alone."""
    condition, values = rows.condition
    return dict(
        reader.rows(
            f"select {column}, sum(conversions) from rpt_time_to_convert where {condition} "  # noqa: S608
            f"group by {column}",
            values,
        )
    )


@router.get(f"{PATH}/time-to-convert", response_model=Table[TimeToConvert])
def time_to_convert_report(
    caller: ReadCaller, table: AskedTable, days: AskedDays, currency: AskedCurrency, money: AskedMoney
) -> Response:
    """Conversions with touches, by the days and the touches that they took."""
    with table.reading(caller, money) as reader:
        rows = time_to_convert(reader, caller.project_id, Filters(days, currency, table.page))
        return table.answer(reader, rows, days)
