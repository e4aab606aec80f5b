"""Conversions, newest first."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import AskedTable, Table
from read_api.filters import AskedFilters, AskedModel, Filter, applied, refuse_not_applied
from read_api.parameters import (
    ALL_DAYS,
    FIRST_PAGE,
    AskedAsOf,
    AskedCountry,
    AskedCurrency,
    AskedDays,
    AskedMoney,
    AsOf,
    Days,
    Page,
    one_of,
    whole_number,
)
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import known_by
from read_api.reports.projects import asked_model
from read_api.slices import Slice, slice_of

MART = "fct_conversions"
STATES = ("approved", "pending", "rejected")

MOST_MINOR = 10**15
"""An amount that nobody reports."""

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which conversions; with `as_of`, only those with revenue or a change of it known then."""

    days: Days = ALL_DAYS
    state: str | None = None
    name: str | None = None
    goal_id: str | None = None
    transaction_id: str | None = None
    person_id: str | None = None
    matched_by: str | None = None
    country: str | None = None
    currency: str | None = None
    is_status_unknown: bool = False
    as_of: AsOf | None = None
    transaction_id_contains: str | None = None
    person_id_contains: str | None = None
    amount_from_minor: int | None = None
    filters: tuple[Filter, ...] = ()
    model: str = ""
    """Whose credit filters of traffic mean."""
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion; see fct_conversions."""

    conversion_id: str
    name: str | None
    goal_id: str | None
    transaction_id: str | None
    occurred_at: datetime
    conversion_date: Annotated[date, Field(description="Day in the project's time zone.")]
    state: Annotated[str, Field(description="approved, pending or rejected, as its reports leave it.")]
    status: Annotated[str | None, Field(description="The sender's last word.")]
    is_status_unknown: bool
    is_suspected_double: bool
    person_id: str
    session_id: str | None
    matched_by: Annotated[str, Field(description="How its visit was found; `none` when it was not.")]
    unmatched_reason: str | None
    dialect: str
    page_id: str | None
    country: str | None
    currency: str
    amount_minor: Annotated[int | None, Field(description="As last reported, before refunds; minor units.")]
    is_default_payout: bool
    refunded_minor: Annotated[int | None, Field(description="Null with money=reporting without a rate.")]
    net_amount_minor: Annotated[
        int | None,
        Field(
            description="Recognised amount; with `as_of`, as known then. Null with money=reporting where a "
            "rate is missing."
        ),
    ]
    reporting_currency: str
    reporting_net_amount_minor: Annotated[
        int | None, Field(description="Today's; null where a rate is missing.")
    ]
    reports: int
    event_id: Annotated[str, Field(description="Its first report.")]


def rows_of(reader: Reader, project_id: str, filters: Filters) -> Slice:
    """The rows of fct_conversions that are asked for, but for what was known at `as_of`."""
    asked = ("state", "name", "goal_id", "transaction_id", "person_id", "matched_by", "country", "currency")
    rows = slice_of(reader, MART, project_id).on("conversion_date", filters.days)
    rows = rows.having({column: getattr(filters, column) for column in asked})
    rows = rows.having(
        {
            "is_status_unknown": filters.is_status_unknown or None,
            "transaction_id.contains": filters.transaction_id_contains,
            "person_id.contains": filters.person_id_contains,
            "amount_minor.from": filters.amount_from_minor,
        }
    )
    return applied(rows, filters.filters, reader, filters.model)


def conversions(reader: Reader, project_id: str, filters: Filters) -> list[Conversion]:
    """Latest first, ties by id."""
    condition, values = rows_of(reader, project_id, filters).condition
    if filters.as_of is None:
        found = reader.page(
            f"""
            select {columns(Conversion)}
            from fct_conversions
            where {condition}
            order by occurred_at desc, conversion_id
            limit ? offset ?
            """,  # noqa: S608
            values,
            filters.page,
        )
        return made(Conversion, found)
    until, learnt = known_by(filters.as_of)
    # In the currency that the conversion has today: an amount in an older one is not its amount any more.
    found = reader.page(
        f"""
        with known as (
            select
                conversion_id as known_id,
                currency as known_currency,
                sum(amount_minor) as known_minor
            from fct_conversion_ledger
            where project_id = ? and {until}
            group by conversion_id, currency
        )
        select {columns(Conversion, net_amount_minor="known_minor")}
        from fct_conversions
        inner join known on conversion_id = known_id and currency = known_currency
        where {condition}
        order by occurred_at desc, conversion_id
        limit ? offset ?
        """,  # noqa: S608
        [project_id, *learnt, *values],
        filters.page,
    )
    return made(Conversion, found)


@dataclass(frozen=True, slots=True)
class Totals:
    """What conversions in one currency come to."""

    currency: str
    conversions: int
    amount_minor: int | None
    net_amount_minor: int


def totals(reader: Reader, rows: Slice) -> list[Totals]:
    """By currency."""
    condition, values = rows.condition
    found = reader.rows(
        f"""
        select {columns(Totals, "net_amount_minor", amount_minor="sum(amount_minor)", conversions="count(*)")}
        from {rows.mart}
        where {condition}
        group by currency
        order by currency
        """,  # noqa: S608
        values,
    )
    return made(Totals, found)


@router.get(f"{PATH}/conversions", response_model=Table[Conversion])
def conversions_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    country: AskedCountry,
    currency: AskedCurrency,
    as_of: AskedAsOf,
    f: AskedFilters,
    model: AskedModel,
    money: AskedMoney,
    state: Annotated[str | None, Query(description="Only approved, pending or rejected ones.")] = None,
    name: Annotated[str | None, Query(description="Only of this name.")] = None,
    goal_id: Annotated[str | None, Query(description="Only of the goal that the sender named.")] = None,
    transaction_id: Annotated[str | None, Query(description="Only of this order.")] = None,
    person_id: Annotated[str | None, Query(description="Only of this person.")] = None,
    matched_by: Annotated[
        str | None, Query(description="Only with a visit found by this, as `matched_by` says; or `none`.")
    ] = None,
    status: Annotated[
        str | None, Query(description="`unknown`: only those with an unknown status word.")
    ] = None,
    transaction_id_contains: Annotated[
        str | None, Query(description="Only orders whose id contains this, ignoring case.")
    ] = None,
    person_id_contains: Annotated[
        str | None, Query(description="Only people whose id contains this, ignoring case.")
    ] = None,
    amount_from_minor: Annotated[
        str | None,
        Query(description="Only of at least this amount as reported, minor units; with `currency`."),
    ] = None,
) -> Response:
    """Conversions with all that is known of them, latest first, rejected ones too.

    With `as_of`: those of which revenue had been recognised by then, and how much that was.
    """
    wanted = one_of("state", state, STATES, "")
    if amount_from_minor and not currency:
        raise Refusal(400, "amount_from_minor needs currency: amounts of two currencies don't compare")
    least = whole_number("amount_from_minor", amount_from_minor, 0, MOST_MINOR)
    unknown = one_of("status", status, ("unknown",), "") == "unknown"
    with table.reading(caller, money) as reader:
        filters = Filters(
            days=days,
            state=wanted or None,
            name=name or None,
            goal_id=goal_id or None,
            transaction_id=transaction_id or None,
            person_id=person_id or None,
            matched_by=matched_by or None,
            country=country,
            currency=currency,
            is_status_unknown=unknown,
            as_of=as_of,
            transaction_id_contains=transaction_id_contains or None,
            person_id_contains=person_id_contains or None,
            amount_from_minor=least or None,
            filters=f,
            model=asked_model(reader, caller.project_id, model),
            page=table.page,
        )
        refuse_not_applied(MART, f, reader)
        rows = conversions(reader, caller.project_id, filters)
        return table.answer(reader, rows, days)
