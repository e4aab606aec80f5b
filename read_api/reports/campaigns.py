"""Ad spend beside what was credited: cost per conversion, return on ad spend."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import NANO, AskedTable, Exact, Table, of_nano
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching
from read_api.slices import Figure, Slice

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
    """Dearest first, then most money, then by name."""
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
                sum(net_amount_minor) as minor,
                sum(cost_minor) as cost
            from rpt_campaigns
            where {condition}
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
        [*values, filters.currency, filters.currency],
        filters.page,
    )
    return [_campaign(each) for each in made(_Sums, found)]


@dataclass(frozen=True)
class Spend:
    """A campaign that something was spent on: all its conversions, whatever currencies they and it have."""

    source: str
    medium: str
    campaign: str | None
    conversions: Figure
    costs: list[Figure]
    amounts: list[Figure]

    @property
    def is_comparable(self) -> bool:
        """Whether the spend has one currency, so that something can be divided by it."""
        return len(self.costs) == 1

    @property
    def amount(self) -> Figure:
        """What was earned in the currency of the spend."""
        rows = self.conversions.of.where("currency", self.costs[0].currency)
        nothing = rows.figure("sum(net_amount_minor)", 0)
        return next((each for each in self.amounts if each.of == rows), nothing)

    @property
    def has_more(self) -> bool:
        """Whether something was earned in another currency."""
        return any(each and each.currency != self.costs[0].currency for each in self.amounts)


@dataclass(frozen=True)
class AllSpend:
    """The first campaigns; how many `others` there are, what was spent on these, and on all, by currency."""

    campaigns: list[Spend]
    others: Figure | None
    other: list[Figure]
    total: list[Figure]


_CAMPAIGN = ("source", "medium", "campaign")


def spend(reader: Reader, rows: Slice, most: int, in_order: Callable[[Iterable[str]], list[str]]) -> AllSpend:
    """Campaigns with costs: most spent in the first of the currencies first, then in the next one.

    Nothing is compared across currencies.
    """
    condition, values = rows.condition
    known = reader.rows(f"select distinct currency from rpt_campaigns where {condition}", values)  # noqa: S608
    order = in_order(currency for (currency,) in known)
    found = reader.rows(
        f"""
        with summed as (
            select
                source,
                medium,
                campaign,
                currency,
                sum(credit_nano) as nano,
                sum(net_amount_minor) as minor,
                sum(cost_minor) as cost
            from rpt_campaigns
            where {condition}
            group by source, medium, campaign, currency
        ),
        weighed as (
            select
                *,
                list_position(?, currency) as place,
                min(case when cost <> 0 then list_position(?, currency) end) over of_campaign as first_place
            from summed
            window of_campaign as (partition by source, medium, campaign)
        ),
        costed as (
            select *, max(case when place = first_place then cost end) over of_campaign as first_cost
            from weighed
            where first_place is not null
            window of_campaign as (partition by source, medium, campaign)
        ),
        placed as (
            select
                *,
                dense_rank() over (
                    order by first_place, first_cost desc, source, medium, campaign nulls last
                ) as rank
            from costed
        ),
        cut as (
            select *, least(rank, ?) as line
            from placed
        )
        select
            line,
            case when line < ? then source end as first,
            case when line < ? then medium end as second,
            case when line < ? then campaign end as third,
            currency,
            max(rank),
            sum(nano),
            sum(minor),
            sum(cost)
        from cut
        group by grouping sets ((line, first, second, third, currency), (currency))
        order by line nulls last, list_position(?, currency)
        """,  # noqa: S608
        [*values, order, order, *[most + 1] * 4, order],
    )
    by_line = {line: list(each) for line, each in groupby(found, lambda row: row[0])}
    total = _costs(rows, by_line.pop(None, []))
    other = by_line.pop(most + 1, [])
    return AllSpend(
        [_spend(rows, each) for each in by_line.values()],
        _others(rows, max(row[5] for row in other) - most) if other else None,
        _costs(rows, other, ",".join(_CAMPAIGN)),
        total,
    )


def _spend(rows: Slice, found: list[tuple[Any, ...]]) -> Spend:
    _, source, medium, campaign, *_ = found[0]
    of = rows.where("source", source).where("medium", medium).where("campaign", campaign)
    return Spend(
        source,
        medium,
        campaign,
        of.figure("sum(credit_nano)", of_nano(sum(row[6] for row in found))),
        _costs(of, found),
        [of.where("currency", row[4]).figure("sum(net_amount_minor)", row[7]) for row in found if row[7]],
    )


def _others(rows: Slice, number: int) -> Figure:
    spent = rows.where("cost_minor.from", 1)
    return Figure(number, f"count(distinct ({', '.join(_CAMPAIGN)}))", spent, ",".join(_CAMPAIGN))


def _costs(rows: Slice, found: list[tuple[Any, ...]], but: str = "") -> list[Figure]:
    return [Figure(row[8], "sum(cost_minor)", rows.where("currency", row[4]), but) for row in found if row[8]]


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
    source: Annotated[str | None, Query(description="Only this source.")] = None,
) -> Response:
    """Sessions, credited conversions, money and ad spend by source, medium, campaign and currency.

    Cost per conversion, ROAS and ROI are null for a campaign with credit or cost in several currencies.
    """
    with table.reading(caller) as reader:
        filters = Filters(days, source or None, currency, table.page)
        return table.answer(reader, campaigns(reader, caller.project_id, filters), days)
