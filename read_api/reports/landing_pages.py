"""Where sessions began, and what became of them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
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
    """Which days and currency."""

    days: Days = ALL_DAYS
    currency: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class LandingPage:
    """Figures of one landing page in one currency."""

    landing_page: Annotated[str, Field(description="Path; `(none)` for conversions without a session.")]
    currency: Annotated[str, Field(description="Sessions count on the project's own currency.")]
    sessions: int
    converting_sessions: int
    conversions: Annotated[int, Field(description="Approved and pending, on the day of their session.")]
    pending_conversions: int
    net_amount_minor: int


_SUMMED = ("sessions", "converting_sessions", "conversions", "pending_conversions", "net_amount_minor")


def landing_pages(reader: Reader, project_id: str, filters: Filters) -> list[LandingPage]:
    """Most sessions first, then most conversions, then by path; rows of a path stand together."""
    condition, values = matching(project_id, "report_date", filters.days, {"currency": filters.currency})
    found = reader.page(
        f"""
        select
            {columns(LandingPage, *_SUMMED)},
            sum(sum(sessions)) over of_page as page_sessions,
            sum(sum(conversions)) over of_page as page_conversions
        from rpt_landing_pages
        where {condition}
        group by landing_page, currency
        window of_page as (partition by landing_page)
        order by page_sessions desc, page_conversions desc, landing_page, sessions desc, currency
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(LandingPage, found)


@router.get(f"{PATH}/landing-pages", response_model=Table[LandingPage])
def landing_pages_report(
    caller: ReadCaller, table: AskedTable, days: AskedDays, currency: AskedCurrency
) -> Response:
    """Sessions that began on each page, how many converted, and what they brought."""
    with table.reading(caller) as reader:
        rows = landing_pages(reader, caller.project_id, Filters(days, currency, table.page))
        return table.answer(reader, rows, days)
