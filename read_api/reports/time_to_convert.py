"""How long the way to conversions was, in days and touches."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.conversion_paths import Chosen, conversion_paths
from read_api.filters import AskedFilters, AskedModel, applied, refuse_not_applied
from read_api.parameters import AskedCurrency, AskedDays, AskedMoney
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.projects import asked_model
from read_api.slices import PATHS, Slice, slice_of

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class TimeToConvert:
    """Conversions that took as many days and touches."""

    days_to_convert: Annotated[int, Field(description="Whole days from the first touch to the conversion.")]
    touches: int
    currency: str
    conversions: int
    net_amount_minor: int


def rows_of(reader: Reader, project_id: str, wanted: Chosen) -> Slice:
    """The report's rows of some days, or where conversions are filtered the path of each."""
    if not wanted.filters:
        return slice_of(reader, "rpt_time_to_convert", project_id).on("report_date", wanted.days)
    return applied(conversion_paths(reader, project_id, wanted.days), wanted.filters, reader, wanted.model)


def time_to_convert(reader: Reader, project_id: str, wanted: Chosen) -> list[TimeToConvert]:
    """By days, then touches, then currency."""
    rows = rows_of(reader, project_id, wanted).having({"currency": wanted.currency})
    condition, values = rows.condition
    found = reader.page(
        f"""
        select {columns(TimeToConvert, "conversions", "net_amount_minor")}
        from {rows.mart}
        where {condition}
        group by days_to_convert, touches, currency
        order by days_to_convert, touches, currency
        limit ? offset ?
        """,  # noqa: S608
        values,
        wanted.page,
    )
    return made(TimeToConvert, found)


def by(reader: Reader, rows: Slice, column: str) -> dict[int, int]:
    """Conversions by days_to_convert or touches alone."""
    condition, values = rows.condition
    return dict(
        reader.rows(
            f"select {column}, sum(conversions) from {rows.mart} where {condition} "  # noqa: S608
            f"group by {column}",
            values,
        )
    )


@router.get(f"{PATH}/time-to-convert", response_model=Table[TimeToConvert])
def time_to_convert_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    money: AskedMoney,
    f: AskedFilters,
    model: AskedModel,
) -> Response:
    """Conversions with touches, by the days and touches that they took; filters choose them as in `paths`."""
    with table.reading(caller, money) as reader:
        refuse_not_applied(PATHS, f, reader)
        asked = asked_model(reader, caller.project_id, model)
        rows = time_to_convert(reader, caller.project_id, Chosen(days, currency, f, asked, table.page))
        return table.answer(reader, rows, days)
