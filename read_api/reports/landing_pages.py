"""Where sessions began, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import AskedTable, Table
from read_api.filters import COLUMNS, DIMENSIONS, AskedFilters, Filter, applied, narrowed, path_to
from read_api.joined import joined
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, AskedMoney, Days, Page
from read_api.performance import refunds
from read_api.performance_lines import Asked, Part, Parts, Performance, plain
from read_api.performance_table import table
from read_api.ranking import InOrder
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import Condition
from read_api.slices import Slice, slice_of
from read_api.summed import relation_of

router = APIRouter(tags=["reports"])

_MART = "rpt_landing_pages"
_COST = "shared_cost_minor"
NONE = "(none)"
"""The line of conversions and spend without a session."""

_OF_CONVERSIONS = {"conversion": "name", "goal": "fct_goal_completions.goal_id"}


@dataclass(frozen=True)
class Filters:
    """Which days, currency and sessions."""

    days: Days = ALL_DAYS
    currency: str | None = None
    page: Page = FIRST_PAGE
    filters: tuple[Filter, ...] = ()


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
    shared_cost_minor: Annotated[
        int | None,
        Field(
            description="Share of ad spend: what a campaign cost on a day, in proportion over the landing "
            "pages of its sessions of that day; on `(none)` what had no session. Null where nothing was "
            "spent, and where sessions are filtered by more than their landing page."
        ),
    ]
    profit_minor: Annotated[
        int | None, Field(description="`net_amount_minor` less `shared_cost_minor`; null where that is.")
    ]


_SUMMED = ("sessions", "converting_sessions", "conversions", "pending_conversions", "net_amount_minor")


def landing_pages(reader: Reader, project_id: str, filters: Filters) -> list[LandingPage]:
    """Most sessions first, then most conversions, then by path; rows of a path stand together.

    Raises Refusal 400 for a filter that the build knows nothing of.
    """
    rows, values = _figures(reader, project_id, filters)
    found = reader.page(
        f"""
        select
            {
            columns(
                LandingPage,
                *_SUMMED,
                shared_cost_minor="sum(shared_cost_minor)",
                profit_minor="coalesce(sum(net_amount_minor), 0) - sum(shared_cost_minor)",
            )
        },
            sum(sum(sessions)) over of_page as page_sessions,
            sum(sum(conversions)) over of_page as page_conversions
        from ({rows})
        where ? is null or currency = ?
        group by landing_page, currency
        window of_page as (partition by landing_page)
        order by page_sessions desc, page_conversions desc, landing_page, sessions desc, currency
        limit ? offset ?
        """,  # noqa: S608
        [*values, filters.currency, filters.currency],
        filters.page,
    )
    return made(LandingPage, found)


def _figures(reader: Reader, project_id: str, filters: Filters) -> Condition:
    """Rows with all columns but the profit, from the mart as long as it knows the filters."""
    if is_known(filters.filters, reader):
        rows = applied(Slice(_MART, project_id).on("report_date", filters.days), filters.filters, reader, "")
        condition, values = rows.condition
        cost = _COST if _has_cost(reader) else f"null::bigint as {_COST}"
        listed = f"landing_page, currency, {', '.join(_SUMMED)}, {cost}"
        relation = relation_of(reader, rows, ("landing_page", "currency"))
        return f"select {listed} from {relation} where {condition}", values  # noqa: S608
    visits, conversions = _facts(reader, project_id, filters.days, filters.filters)
    visited, [page], bound = joined(reader, visits, ["landing_page"])
    converted, [page_of], more = joined(reader, _counted(conversions), ["fct_sessions.landing_page"])
    return (
        f"""
        select coalesce({page}, '{NONE}') as landing_page,
            (select max(reporting_currency) from dim_projects where project_id = ?) as currency,
            count(*) as sessions, 0 as converting_sessions, 0 as conversions, 0 as pending_conversions,
            0 as net_amount_minor, null::bigint as {_COST}
        from {visited}
        group by 1
        union all
        select coalesce({page_of}, '{NONE}'), currency, 0, count(distinct session_id), count(*),
            count(*) filter (where state = 'pending'), sum(net_amount_minor), null
        from {converted}
        group by 1, 2
        """,  # noqa: S608
        [project_id, *bound, *more],
    )


def is_known(filters: Sequence[Filter], reader: Reader) -> bool:
    """Whether the mart has all that is filtered by; else figures come from the facts."""
    return all(path_to(_MART, each.dimension, reader) for each in filters)


def _has_cost(reader: Reader) -> bool:
    """Builds of older versions share no costs."""
    return _COST in {column.name for column in reader.marts[_MART].columns}


def _facts(reader: Reader, project_id: str, days: Days, filters: Sequence[Filter]) -> tuple[Slice, Slice]:
    """The sessions, and the conversions of such sessions: what is filtered is the session, not the credit."""
    visits = Slice("fct_sessions", project_id).on("session_date", days).where("is_bot", False)
    conversions = slice_of(reader, "fct_conversions", project_id).where("fct_sessions.is_bot", False)
    conversions = conversions.on("fct_sessions.session_date", days)
    for each in filters:
        if path := _OF_CONVERSIONS.get(each.dimension):
            conversions = narrowed(conversions, path, each)
            continue
        if path_to("fct_sessions", each.dimension, reader) is None:
            known = [name for name in DIMENSIONS if path_to("fct_sessions", name, reader)]
            raise Refusal(
                400,
                f"landing pages of this build cannot be filtered by {each.dimension}; f takes here "
                + ", ".join((*known, *_OF_CONVERSIONS)),
            )
        column = COLUMNS["fct_sessions"][each.dimension]
        visits = narrowed(visits, column, each)
        conversions = narrowed(conversions, f"fct_sessions.{column}", each)
    return visits, conversions


def _counted(conversions: Slice) -> Slice:
    """Those that are not rejected."""
    return conversions.where("state", ("approved", "pending"))


def landed(reader: Reader, project_id: str, asked: Asked, in_order: InOrder) -> Performance:
    """The same as a table with its total, by landing page. Raises as `landing_pages`."""
    asked = replace(asked, by=("landing_page",))
    filters = asked.filters
    if asked.search:
        filters = (*filters, Filter("landing_page", "search", (asked.search,)))
    periods = [asked.days, *([asked.compared] if asked.compared else [])]
    parts = [_parts(reader, project_id, days, filters) for days in periods]
    taken_off = [{} if filters else refunds(reader, project_id, days) for days in periods]
    return table(reader, project_id, asked, parts, taken_off, in_order)


def _parts(reader: Reader, project_id: str, days: Days, filters: Sequence[Filter]) -> Parts:
    if is_known(filters, reader):
        rows = slice_of(reader, _MART, project_id).on("report_date", days)
        rows = applied(rows, filters, reader, "")
        measures = {
            "sessions": plain("sum(sessions)"),
            "converting": plain("sum(converting_sessions)"),
            "made": plain("sum(conversions)"),
            "pending": plain("sum(pending_conversions)"),
            "settled": plain("sum(conversions - pending_conversions)"),
            "net": plain("sum(net_amount_minor)"),
        }
        if _has_cost(reader):
            measures["cost"] = plain(f"sum({_COST})")
        return (Part(rows, ("landing_page",), measures),)
    visits, conversions = _facts(reader, project_id, days, filters)
    path, counted = ("fct_sessions.landing_page",), _counted(conversions)
    return (
        Part(visits, ("landing_page",), {"sessions": plain("count(*)")}, has_currency=False),
        Part(counted, path, {"converting": plain("count(distinct session_id)")}, has_currency=False),
        Part(counted, path, {"made": plain("count(*)"), "net": plain("sum(net_amount_minor)")}),
        Part(conversions.where("state", "pending"), path, {"pending": plain("count(*)")}),
        Part(conversions.where("state", "approved"), path, {"settled": plain("count(*)")}),
    )


@router.get(f"{PATH}/landing-pages", response_model=Table[LandingPage])
def landing_pages_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    filters: AskedFilters,
    money: AskedMoney,
) -> Response:
    """Sessions that began on each page, how many converted, what they brought, and their share of ad spend.

    Filtered by more than the landing page, figures are those of the sessions for which the filters hold and
    of their conversions; spend is then null, because it is shared over all sessions.
    """
    with table.reading(caller, money) as reader:
        asked = Filters(days, currency, table.page, filters)
        return table.answer(reader, landing_pages(reader, caller.project_id, asked), days)
