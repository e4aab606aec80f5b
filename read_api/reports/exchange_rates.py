"""Exchange rates in use: of each currency how many, of which days, and whether the project has added them."""

from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Response

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Exact, Table
from read_api.parameters import FIRST_PAGE, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made

MART = "rpt_exchange_rates"

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class RatesInUse:
    """Rates of one currency to the project's reporting currency."""

    currency: str
    reporting_currency: str
    rates: int
    own_rates: int
    first_rate_date: date
    last_rate_date: date
    latest_rate: Exact


def exchange_rates(reader: Reader, project_id: str, page: Page = FIRST_PAGE) -> list[RatesInUse]:
    """By currency; none of builds of older versions."""
    if MART not in reader.marts:
        return []
    found = reader.page(
        f"select {columns(RatesInUse)} from {MART} where project_id = ? order by currency limit ? offset ?",  # noqa: S608
        [project_id],
        page,
    )
    return made(RatesInUse, found)


@router.get(f"{PATH}/exchange-rates", response_model=Table[RatesInUse])
def exchange_rates_report(caller: ReadCaller, table: AskedTable) -> Response:
    """Exchange rates to the reporting currency that this build converts with, over the whole history.

    A rate holds until the next one. The ingest API adds and withdraws rates.
    """
    with table.reading(caller) as reader:
        return table.answer(reader, exchange_rates(reader, caller.project_id, table.page))
