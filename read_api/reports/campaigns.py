"""Ad spend beside what was credited: cost per conversion, return on ad spend."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Exact, Table, of_nano
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, Days, Page
from read_api.publications import Reader
from read_api.reports import PATH
from read_api.reports.conditions import matching

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which campaigns."""

    days: Days = ALL_DAYS
    source: str | None = None
    currency: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Campaign:
    """Figures of a campaign in one currency; ratios are null without cost, or without what they divide by."""

    source: str
    medium: str
    campaign: str | None
    currency: str
    sessions: Annotated[int, Field(description="On the row of the project's own currency.")]
    conversions: Annotated[Exact, Field(description="Credited by the project's default model.")]
    net_amount_minor: int
    cost_minor: Annotated[
        int | None, Field(description="Ad spend, minor units; null where none was reported.")
    ]
    cost_per_conversion_minor: Annotated[int | None, Field(description="Cost over conversions, minor units.")]
    roas: Annotated[Exact | None, Field(description="Net amount over cost, four decimals.")]
    roi: Annotated[Exact | None, Field(description="Net amount less cost, over cost; four decimals.")]


def campaigns(reader: Reader, project_id: str, filters: Filters) -> list[Campaign]:
    """Dearest first, then most money, then by name."""
    columns = {"source": filters.source, "currency": filters.currency}
    condition, values = matching(project_id, "report_date", filters.days, columns)
    found = reader.rows(
        "select source, medium, campaign, currency, sum(sessions), sum(credit_nano), sum(net_amount_minor), "  # noqa: S608
        f"sum(cost_minor) from rpt_campaigns where {condition} "
        "group by source, medium, campaign, currency "
        "order by 8 desc nulls last, 7 desc, 5 desc, source, medium, campaign nulls last, currency "
        "limit ? offset ?",
        [*values, filters.page.limit, filters.page.offset],
    )
    return [_campaign(*row) for row in found]


def _campaign(
    source: str,
    medium: str,
    campaign: str | None,
    currency: str,
    sessions: int,
    nano: int,
    minor: int,
    cost: int | None,
) -> Campaign:
    conversions = of_nano(nano)
    return Campaign(
        source,
        medium,
        campaign,
        currency,
        sessions,
        conversions,
        minor,
        cost,
        round(cost / conversions) if cost and conversions else None,
        round(Decimal(minor) / cost, 4) if cost else None,
        round(Decimal(minor - cost) / cost, 4) if cost else None,
    )


@router.get(f"{PATH}/campaigns", response_model=Table[Campaign])
def campaigns_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    source: Annotated[str | None, Query(description="Only this source.")] = None,
) -> Response:
    """Sessions, credited conversions, money and ad spend by source, medium, campaign and currency."""
    with table.reading(caller) as reader:
        filters = Filters(days, source or None, currency, table.page)
        return table.answer(reader, campaigns(reader, caller.project_id, filters), days)
