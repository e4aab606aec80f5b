"""Pages: views, conversions on them, and conversions that they assisted."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, AskedMoney, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching
from read_api.slices import Slice
from read_api.summed import relation_of

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which pages; `kind` is lander, offer or page."""

    days: Days = ALL_DAYS
    currency: str | None = None
    kind: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class PageFigures:
    """Figures of one page in one currency. A conversion assists each page that its person saw before."""

    page_id: str
    page_name: str | None
    page_kind: Annotated[str | None, Field(description="lander, offer or page, where it is defined.")]
    currency: Annotated[str, Field(description="Views count on the project's own currency.")]
    views: int
    conversions: int
    net_amount_minor: int
    assisted_conversions: Annotated[int, Field(description="They overlap: not to be summed over pages.")]
    assisted_amount_minor: int


def pages(reader: Reader, project_id: str, filters: Filters) -> list[PageFigures]:
    """Most views first, then most conversions, then by id; rows of a page stand together."""
    asked = {"currency": filters.currency, "page_kind": filters.kind}
    condition, values = matching(project_id, "report_date", filters.days, asked)
    listed = ("report_date", "page_id", "page_name", "page_kind", "currency")
    relation = relation_of(reader, Slice("rpt_pages", project_id), listed)
    summed = ("views", "conversions", "net_amount_minor", "assisted_conversions", "assisted_amount_minor")
    found = reader.page(
        f"""
        select
            {columns(PageFigures, *summed, page_name="max(page_name)", page_kind="max(page_kind)")},
            sum(sum(views)) over of_page as page_views,
            sum(sum(conversions)) over of_page as page_conversions,
            sum(sum(assisted_conversions)) over of_page as page_assisted
        from {relation}
        where {condition}
        group by page_id, currency
        window of_page as (partition by page_id)
        order by page_views desc, page_conversions desc, page_assisted desc, page_id, views desc, currency
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(PageFigures, found)


@router.get(f"{PATH}/pages", response_model=Table[PageFigures])
def pages_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    money: AskedMoney,
    kind: Annotated[str | None, Query(description="Only lander, offer or page.")] = None,
) -> Response:
    """Views of each page, conversions on it, and conversions that it assisted."""
    with table.reading(caller, money) as reader:
        rows = pages(reader, caller.project_id, Filters(days, currency, kind or None, table.page))
        return table.answer(reader, rows, days)
