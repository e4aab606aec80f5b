"""The project at a glance: sessions, conversions and money by day, by state, and why revenue changed."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from read_api.answers import Exact, json_answer, of_nano, reading
from read_api.bins import within
from read_api.comparison import AskedComparison, Comparison
from read_api.filters import AskedFilters, Filter, applied
from read_api.parameters import (
    ALL_DAYS,
    AskedAsOf,
    AskedBuild,
    AskedCountry,
    AskedCurrency,
    AskedDays,
    AskedMoney,
    AsOf,
    Days,
    day,
)
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import known_by
from read_api.reports.projects import known_days, project
from read_api.slices import Slice
from read_api.summed import relation_of

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which days, country and rows, chosen by the credit of `model`.

    `as_of` and `since` are for the ledger: entries that had arrived by then, and after the end of that day.
    """

    days: Days = ALL_DAYS
    country: str | None = None
    currency: str | None = None
    as_of: AsOf | None = None
    since: date | None = None
    filters: tuple[Filter, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class DayFigures:
    """Figures of one day in one currency; sessions count on the project's own currency."""

    day: date
    currency: str
    sessions: int
    conversions: Annotated[Exact, Field(description="Approved and pending.")]
    pending_conversions: Exact
    net_amount_minor: int


@dataclass(frozen=True, slots=True)
class CurrencyFigures:
    """Figures of all days in one currency."""

    currency: str
    sessions: int
    conversions: Exact
    pending_conversions: Exact
    net_amount_minor: Annotated[int, Field(description="Of the conversions, after their refunds.")]
    refunds_without_sale_minor: Annotated[
        int,
        Field(
            description="Of refunds that found no sale, or exceed it: at most 0. With a country they "
            "are left out, since none is known of them."
        ),
    ]
    net_revenue_minor: Annotated[int, Field(description="The sum of both; the ledger's, as known today.")]


@dataclass(frozen=True, slots=True)
class StateFigures:
    """Conversions in one state and currency."""

    state: Annotated[str, Field(description="approved, pending or rejected.")]
    currency: str
    conversions: int
    amount_minor: Annotated[int, Field(description="As last reported, before refunds.")]
    refunded_minor: int
    net_amount_minor: Annotated[int, Field(description="Recognised amount.")]


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """Why recognised revenue changed: the entries of one reason and currency."""

    reason: Annotated[str, Field(description="sale, approval, restatement, reversal, rejection or refund.")]
    is_unmatched: Annotated[bool, Field(description="Of refunds that found no sale, or exceed it.")]
    currency: str
    entries: int
    amount_minor: Annotated[int, Field(description="Signed; the sum of all rows is net revenue.")]
    reporting_currency: str
    reporting_amount_minor: Annotated[int | None, Field(description="Null where a rate is missing.")]


class Compared(BaseModel):
    """The figures of the days that are compared with."""

    model_config = ConfigDict(populate_by_name=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    currencies: list[CurrencyFigures]


class Summary(BaseModel):
    """The project at a glance."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    time_zone: str
    reporting_currency: str
    first: date | None = Field(alias="from")
    last: date | None = Field(alias="to")
    currencies: list[CurrencyFigures]
    days: list[DayFigures]
    states: list[StateFigures]
    ledger: list[LedgerFigures]
    compared: Compared | None = Field(
        description="With `compare`, where something is known of those days. Days to come are not compared."
    )


def by_day(reader: Reader, project_id: str, filters: Filters) -> list[DayFigures]:
    """By day, then currency; days without anything have no row."""
    rows = _rows(reader, "rpt_traffic", project_id, filters, "report_date")
    condition, parameters = rows.condition
    listed = columns(
        DayFigures,
        "sessions",
        "net_amount_minor",
        day="report_date",
        conversions="sum(credit_nano)",
        pending_conversions="sum(pending_credit_nano)",
    )
    found = reader.rows(
        f"""
        select {listed}
        from {relation_of(reader, rows, ("report_date", "currency"))}
        where {condition}
        group by report_date, currency
        order by report_date, currency
        """,  # noqa: S608
        parameters,
    )
    return [
        replace(
            row,
            conversions=of_nano(int(row.conversions)),
            pending_conversions=of_nano(int(row.pending_conversions)),
        )
        for row in made(DayFigures, found)
    ]


def by_currency(days: list[DayFigures], entries: list[LedgerFigures]) -> list[CurrencyFigures]:
    """The days' figures added up, by currency, and what refunds without a sale leave of them."""
    refunds: Counter[str] = Counter()
    for entry in entries:
        if entry.is_unmatched:
            refunds[entry.currency] += entry.amount_minor
    by: dict[str, list[DayFigures]] = {currency: [] for currency in refunds if refunds[currency]}
    for of_day in days:
        by.setdefault(of_day.currency, []).append(of_day)
    return [
        CurrencyFigures(
            currency,
            sum(each.sessions for each in by[currency]),
            sum((each.conversions for each in by[currency]), of_nano(0)),
            sum((each.pending_conversions for each in by[currency]), of_nano(0)),
            sum(each.net_amount_minor for each in by[currency]),
            refunds[currency],
            sum(each.net_amount_minor for each in by[currency]) + refunds[currency],
        )
        for currency in sorted(by)
    ]


def by_state(reader: Reader, project_id: str, filters: Filters) -> list[StateFigures]:
    """All conversions of the days, rejected ones too, by state and currency."""
    condition, parameters = _rows(reader, "fct_conversions", project_id, filters, "conversion_date").condition
    listed = columns(
        StateFigures,
        "net_amount_minor",
        conversions="count(*)",
        amount_minor="coalesce(sum(amount_minor), 0)",
        refunded_minor="coalesce(sum(refunded_minor), 0)",
    )
    found = reader.rows(
        f"""
        select {listed}
        from fct_conversions
        where {condition}
        group by state, currency
        order by state, currency
        """,  # noqa: S608
        parameters,
    )
    return made(StateFigures, found)


def ledger(reader: Reader, project_id: str, filters: Filters) -> list[LedgerFigures]:
    """The ledger of conversions and refunds of the days, by reason and currency, as known at `as_of`.

    With `since` it is what changed after that day.
    With a filter only entries of conversions are there: what an unmatched refund belongs to is not known.
    """
    until, learnt = known_by(filters.as_of)
    condition, parameters = _rows(
        reader, "fct_conversion_ledger", project_id, filters, "conversion_date"
    ).condition
    listed = columns(
        LedgerFigures,
        "amount_minor",
        is_unmatched="conversion_id is null",
        entries="count(*)",
        reporting_amount_minor="case when count(*) = count(reporting_amount_minor) "
        "then sum(reporting_amount_minor) end",
    )
    found = reader.rows(
        f"""
        select {listed}
        from fct_conversion_ledger
        where {condition} and {until} and (? is null or learnt_date > ?)
        group by reason, conversion_id is null, currency, reporting_currency
        order by currency, is_unmatched, reason, reporting_currency
        """,  # noqa: S608
        [*parameters, *learnt, filters.since, filters.since],
    )
    return made(LedgerFigures, found)


@router.get(f"{PATH}/summary", response_model=Summary)
def summary(
    request: Request,
    caller: ReadCaller,
    days: AskedDays,
    build: AskedBuild,
    country: AskedCountry,
    currency: AskedCurrency,
    as_of: AskedAsOf,
    since: Annotated[
        str | None,
        Query(
            description="The ledger without what was known at the end of that day (YYYY-MM-DD): what changed "
            "since, until `as_of`.",
            json_schema_extra={"format": "date"},
        ),
    ] = None,
    *,
    asked: AskedFilters,
    comparison: AskedComparison,
    money: AskedMoney,
) -> Response:
    """Sessions, conversions and money by day and currency, conversions by state, and the ledger by reason.

    `as_of` reads the ledger as it was known then, `since` what changed since; other figures are today's.
    Sessions are not filtered by conversion and goal, and figures by day not by new or returning.
    """
    with reading(request, caller, build, money) as reader:
        known = project(reader, caller.project_id)
        known_on = day("since", since)
        filters = Filters(days, country, currency, as_of, known_on, asked, known.default_model)
        entries = ledger(reader, caller.project_id, filters)
        today = replace(filters, as_of=None, since=None)
        figures = by_day(reader, caller.project_id, filters)
        content = {
            "build": reader.build_id,
            "time_zone": known.time_zone,
            "reporting_currency": known.reporting_currency,
            "from": days.first,
            "to": days.last,
            "currencies": by_currency(
                figures,
                entries if as_of is None and known_on is None else ledger(reader, caller.project_id, today),
            ),
            "days": figures,
            "states": by_state(reader, caller.project_id, filters),
            "ledger": entries,
            "compared": _compared(reader, caller.project_id, today, comparison),
        }
        return json_answer(request, content, reader.build_id)


def _compared(
    reader: Reader, project_id: str, filters: Filters, comparison: Comparison | None
) -> dict[str, object] | None:
    known, _ = known_days(reader, project_id)
    shown = within(filters.days, known)
    days = comparison.days(shown) if comparison and shown else None
    if days is None or within(days, known) is None:
        return None
    of = replace(filters, days=days)
    figures = by_currency(by_day(reader, project_id, of), ledger(reader, project_id, of))
    return {"from": days.first, "to": days.last, "currencies": figures}


def _rows(reader: Reader, mart: str, project_id: str, filters: Filters, days_column: str) -> Slice:
    country = (Filter("country", "is", (filters.country,)),) if filters.country else ()
    rows = Slice(mart, project_id).on(days_column, filters.days)
    rows = applied(rows, (*country, *filters.filters), reader, filters.model)
    return rows.having({"currency": filters.currency})
