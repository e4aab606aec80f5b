"""Sessions, conversions and money by what brought them: source, medium, campaign, country, device, …"""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import AskedTable, Exact, Table, of_nano
from read_api.filters import AskedFilters, Filter, applied, refuse_not_applied
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
)
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import known_by, matching, must_have
from read_api.reports.projects import project
from read_api.slices import Slice
from read_api.summed import relation_of

DIMENSIONS = (
    "source",
    "medium",
    "campaign",
    "term",
    "content",
    "channel",
    "country",
    "landing_page",
    "device",
)

# Credit is kept by these; a landing page or device of past money would need the touches and sessions again.
AS_OF_DIMENSIONS = ("source", "medium", "campaign", "term", "content", "channel", "country")

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Whose traffic; with `as_of` the money is that known then."""

    dimension: str = "source"
    days: Days = ALL_DAYS
    country: str | None = None
    currency: str | None = None
    source: str | None = None
    as_of: AsOf | None = None
    page: Page = FIRST_PAGE
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """Figures of one value of the dimension in one currency; by the project's default model."""

    value: Annotated[str | None, Field(description="Value of the dimension; null where none is known.")]
    currency: Annotated[str, Field(description="Sessions count on the project's own currency.")]
    sessions: int
    conversions: Annotated[Exact, Field(description="Approved and pending.")]
    pending_conversions: Exact
    net_amount_minor: Annotated[int, Field(description="Recognised amount, minor units.")]


def sources(reader: Reader, project_id: str, filters: Filters) -> list[Traffic]:
    """Most sessions first, then most conversions, then by value and currency.

    Raises Refusal 400 for `as_of` with a dimension that is not in AS_OF_DIMENSIONS, for one that this build
    lacks, and for a filter that the mart does not have.
    """
    refuse_not_applied("rpt_traffic", filters.filters, reader)
    by = filters.dimension
    must_have(reader, "rpt_traffic", by)
    asked = {"country": filters.country, "currency": filters.currency, "source": filters.source}
    condition, values = matching(project_id, "report_date", filters.days, asked)
    of_filters = applied(Slice("rpt_traffic", project_id), filters.filters, reader, "")
    filtered, more = of_filters.condition
    given = (name for name, value in asked.items() if value is not None)
    relation = relation_of(reader, of_filters, (by, "report_date", "currency", *given))
    listed = columns(
        Traffic,
        "sessions",
        "net_amount_minor",
        value=by,
        conversions="sum(credit_nano)",
        pending_conversions="sum(pending_credit_nano)",
    )
    # One order over the values, whatever their currency, keeps rows of a value together.
    found = reader.page(
        f"""
        select
            {listed},
            sum(sum(sessions)) over of_value as value_sessions,
            sum(sum(credit_nano)) over of_value as value_nano
        from {relation}
        where {condition} and {filtered}
        group by {by}, currency
        window of_value as (partition by {by})
        order by value_sessions desc, value_nano desc, value nulls last, sessions desc, currency
        limit ? offset ?
        """,  # noqa: S608
        [*values, *more],
        filters.page,
    )
    rows = [
        replace(
            row,
            conversions=of_nano(int(row.conversions)),
            pending_conversions=of_nano(int(row.pending_conversions)),
        )
        for row in made(Traffic, found)
    ]
    if filters.as_of is None:
        return rows
    known = _known_money(reader, project_id, filters)
    return [replace(row, net_amount_minor=known.get((row.value, row.currency), 0)) for row in rows]


def _known_money(reader: Reader, project_id: str, filters: Filters) -> dict[tuple[str | None, str], int]:
    """Money known at `as_of`, split by the credit of the default model, rounded once per row."""
    if filters.dimension not in AS_OF_DIMENSIONS:
        raise Refusal(400, "as_of takes a dimension of " + ", ".join(AS_OF_DIMENSIONS))
    by = "conversions.country" if filters.dimension == "country" else f"credits.{filters.dimension}"
    until, learnt = known_by(filters.as_of)
    asked = {
        "conversions.country": filters.country,
        "ledger.currency": filters.currency,
        "credits.source": filters.source,
    }
    condition, values = matching(project_id, "ledger.conversion_date", filters.days, asked)
    model = project(reader, project_id).default_model
    credits = applied(
        Slice("fct_attribution", project_id).where("model", model), filters.filters, reader, model
    )
    credited, more = credits.condition
    found = reader.rows(
        f"""
        select {by}, ledger.currency, coalesce(sum(ledger.amount_minor::hugeint * credits.credit_nano), 0)
        from fct_conversion_ledger as ledger
        inner join (select * from fct_attribution where {credited}) as credits
            on ledger.conversion_id = credits.conversion_id
        inner join fct_conversions as conversions on ledger.conversion_id = conversions.conversion_id
        where {condition} and {until}
        group by all
        """,  # noqa: S608
        [*more, *values, *learnt],
    )
    return {(value, currency): round(of_nano(total)) for value, currency, total in found}


@router.get(f"{PATH}/sources", response_model=Table[Traffic])
def sources_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    country: AskedCountry,
    currency: AskedCurrency,
    as_of: AskedAsOf,
    asked: AskedFilters,
    money: AskedMoney,
    dimension: Annotated[
        str | None, Query(description="What rows are by: " + ", ".join(DIMENSIONS) + "; default source.")
    ] = None,
    source: Annotated[str | None, Query(description="Only this source.")] = None,
) -> Response:
    """Sessions started, conversions and money by source, or by medium, campaign, country, device, …

    Conversions are credited by the project's default model. `as_of` changes the money only: it is that which
    was known by then of the conversions of these days.
    """
    by = one_of("dimension", dimension, DIMENSIONS, "source")
    with table.reading(caller, money) as reader:
        filters = Filters(by, days, country, currency, source or None, as_of, table.page, asked)
        return table.answer(reader, sources(reader, caller.project_id, filters), days)
