"""Ad spend beside what was credited: cost per conversion, return on ad spend."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import NANO, AskedTable, Exact, Table, of_nano
from read_api.filters import AskedFilters, Filter, applied, refuse_not_applied
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, AskedMoney, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching
from read_api.slices import Slice

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which campaigns."""

    days: Days = ALL_DAYS
    source: str | None = None
    currency: str | None = None
    page: Page = FIRST_PAGE
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Campaign:
    """Figures of a campaign in one currency.

    Spend in one currency and conversions in another don't compare: ratios are null as soon as the campaign
    has credit or cost in a second currency on the days asked for, whether or not that one is shown. A half
    is rounded away from zero.
    """

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
    cost_per_conversion_minor: Annotated[
        int | None,
        Field(
            description="Cost over conversions, minor units. Null without conversions, without a cost, or "
            "with several currencies."
        ),
    ]
    roas: Annotated[
        Exact | None,
        Field(
            description="Net amount over cost, four decimals. Null without a cost, for a cost of 0, or with "
            "several currencies."
        ),
    ]
    roi: Annotated[Exact | None, Field(description="`roas` less 1, null where that is.")]


@dataclass(frozen=True, slots=True)
class _Sums:
    """What is known of a campaign in one currency, and in how many it has credit or cost."""

    source: str
    medium: str
    campaign: str | None
    currency: str
    sessions: int
    nano: int
    minor: int
    cost: int | None
    currencies: int


def campaigns(reader: Reader, project_id: str, filters: Filters) -> list[Campaign]:
    """Dearest first, then most money, then by name. Raises Refusal 400 for a filter that the mart has not."""
    refuse_not_applied("rpt_campaigns", filters.filters, reader)
    filtered, more = applied(Slice("rpt_campaigns", project_id), filters.filters, reader, "").condition
    condition, values = matching(project_id, "report_date", filters.days, {"source": filters.source})
    # The other currencies are asked for first: they say whether this one's ratios mean anything.
    found = reader.page(
        f"""
        with summed as (
            select
                source,
                medium,
                campaign,
                currency,
                sum(sessions) as sessions,
                sum(credit_nano) as nano,
                coalesce(sum(net_amount_minor), 0) as minor,
                sum(cost_minor) as cost
            from rpt_campaigns
            where {condition} and {filtered}
            group by source, medium, campaign, currency
        ),
        counted as (
            select
                *,
                count(*) filter (where nano > 0 or cost is not null)
                    over (partition by source, medium, campaign) as currencies
            from summed
        )
        select {columns(_Sums)}
        from counted
        where ? is null or currency = ?
        order by
            cost desc nulls last, minor desc, sessions desc, source, medium, campaign nulls last, currency
        limit ? offset ?
        """,  # noqa: S608
        [*values, *more, filters.currency, filters.currency],
        filters.page,
    )
    return [_campaign(each) for each in made(_Sums, found)]


def _campaign(of: _Sums) -> Campaign:
    """As rpt_campaigns has it of one day."""
    per_conversion = roas = None
    if of.cost is not None and of.currencies == 1:
        per_conversion = _quotient(of.cost * 10**NANO, of.nano) if of.nano > 0 else None
        roas = Decimal(_quotient(of.minor * 10_000, of.cost)).scaleb(-4) if of.cost else None
    return Campaign(
        of.source,
        of.medium,
        of.campaign,
        of.currency,
        of.sessions,
        of_nano(of.nano),
        of.minor,
        of.cost,
        per_conversion,
        roas,
        None if roas is None else roas - 1,
    )


def _quotient(numerator: int, denominator: int) -> int:
    """To the nearest whole number, a half away from zero; `denominator` is above 0."""
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return nearest if numerator >= 0 else -nearest


@router.get(f"{PATH}/campaigns", response_model=Table[Campaign])
def campaigns_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    asked: AskedFilters,
    money: AskedMoney,
    source: Annotated[str | None, Query(description="Only this source.")] = None,
) -> Response:
    """Sessions, credited conversions, money and ad spend by source, medium, campaign and currency.

    Cost per conversion, ROAS and ROI are null for a campaign with credit or cost in several currencies.
    """
    with table.reading(caller, money) as reader:
        filters = Filters(days, source or None, currency, table.page, asked)
        return table.answer(reader, campaigns(reader, caller.project_id, filters), days)
