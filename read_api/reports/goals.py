"""Goals: how often each was completed, and how often a rule would be, before it is defined."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api import page_paths
from read_api.answers import AskedTable, Table, json_answer, reading
from read_api.filters import AskedFilters, Filter, applied, not_applied, refuse_not_applied
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedBuild, AskedCountry, AskedDays, Days, Page, one_of
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching
from read_api.slices import Slice
from record.contract import MatchOperator, MatchType

MATCH_TYPES: tuple[str, ...] = get_args(MatchType)
OPERATORS: tuple[str, ...] = get_args(MatchOperator)

MATCH_VALUE_BYTES = 4_096
"""No event name is longer, nor would a rule for longer paths be of use."""

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which completions."""

    days: Days = ALL_DAYS
    country: str | None = None
    filters: tuple[Filter, ...] = ()
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal, its rule, and its completions; figures of goals overlap."""

    goal_id: str
    name: str | None
    defined_by: Annotated[str, Field(description="api, seed, or sender: only named by reports.")]
    version: int | None
    defined_at: datetime | None
    match_type: str | None
    match_operator: str | None
    match_value: str | None
    property_key: str | None
    property_value: str | None
    minimum_amount: Annotated[str | None, Field(description="Major units, decimal text.")]
    counts_as_conversion: bool
    is_micro: bool
    stage: Annotated[str | None, Field(description="Its column in the funnel report.")]
    completions: int
    sessions: Annotated[int, Field(description="Sessions that completed it.")]
    conversions: Annotated[int, Field(description="Completions by a conversion.")]


@dataclass(frozen=True)
class Rule:
    """What a goal would pick, without its conditions on properties and amounts."""

    match_type: str
    match_value: str = ""
    match_operator: str = "exact"


@dataclass(frozen=True, slots=True)
class DayCount:
    """What a rule picks on one day."""

    day: date
    events: int
    completions: int


class Preview(BaseModel):
    """What a rule would have picked."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    first: date | None = Field(alias="from")
    last: date | None = Field(alias="to")
    events: int = Field(description="Events that the rule picks.")
    completions: int = Field(
        description="How often the goal would be completed; a little more where a conversion or session was "
        "reported under several names or pages that the rule picks."
    )
    days: list[DayCount]


REPORTED = {name: f"sum({name})" for name in ("completions", "sessions", "conversions")}
COUNTED = {
    "completions": "count(*)",
    "sessions": "count(distinct session_id)",
    "conversions": "count(conversion_id)",
}
"""What is counted of a goal, by column of the report and over the completions themselves."""


def completions(reader: Reader, project_id: str, filters: Filters) -> tuple[Slice, dict[str, str]]:
    """The rows that figures of goals are of, and their columns; completions where the report won't do."""
    country = {"country": filters.country}
    if not_applied("rpt_goals", filters.filters, reader):
        rows = Slice("fct_goal_completions", project_id).on("completion_date", filters.days)
        rows = rows.having({f"fct_sessions.{name}": value for name, value in country.items()})
        return applied(rows, filters.filters, reader, ""), COUNTED
    rows = Slice("rpt_goals", project_id).on("report_date", filters.days).having(country)
    return applied(rows, filters.filters, reader, ""), REPORTED


def goals(reader: Reader, project_id: str, filters: Filters) -> list[Goal]:
    """All goals of the project, those without completions too: most completions first, then by id."""
    rows, summed = completions(reader, project_id, filters)
    condition, values = rows.condition
    of_goals = applied(Slice("dim_goals", project_id), filters.filters, reader, "")
    goals_condition, goals_values = of_goals.condition
    counted = {name: f"coalesce({name}, 0)" for name in summed}
    found = reader.page(
        f"""
        with figures as (
            select
                goal_id as completed_id,
                {", ".join(f"{column} as {name}" for name, column in summed.items())}
            from {rows.mart}
            where {condition}
            group by goal_id
        )
        select {columns(Goal, **counted)}
        from dim_goals
        left join figures on goal_id = completed_id
        where {goals_condition}
        order by coalesce(figures.completions, 0) desc, goal_id
        limit ? offset ?
        """,  # noqa: S608
        [*values, *goals_values],
        filters.page,
    )
    return made(Goal, found)


def preview(reader: Reader, project_id: str, rule: Rule, days: Days = ALL_DAYS) -> list[DayCount]:
    """What the rule picks, day by day; the rules are those of the goals' own models.

    Raises Refusal 400 for a longer value than MATCH_VALUE_BYTES.
    """
    if len(rule.match_value.encode()) > MATCH_VALUE_BYTES:
        raise Refusal(400, f"match_value must have at most {MATCH_VALUE_BYTES:,} bytes")
    condition, values = matching(project_id, "event_date", days, {})
    picked, bound = _picked(rule)
    found = reader.rows(
        f"""
        select {columns(DayCount, "events", "completions", day="event_date")}
        from rpt_event_counts
        where {condition} and {picked}
        group by event_date
        order by event_date
        """,  # noqa: S608
        [*values, *bound],
    )
    return made(DayCount, found)


def _picked(rule: Rule) -> tuple[str, list[object]]:
    if rule.match_type == "any_conversion":
        return "event_type = 'conversion'", []
    if rule.match_type in ("event_name", "event_type"):
        column = "name" if rule.match_type == "event_name" else "event_type"
        return f"{column} = ?", [rule.match_value]
    path = page_paths.normal(rule.match_value)
    paths: dict[str, tuple[str, list[object]]] = {
        "exact": ("page_path = ?", [path]),
        "prefix": (
            "(starts_with(page_path, ?) or page_path = ?)",
            [page_paths.decoded(rule.match_value), path],
        ),
        # LIKE tries every way to place the stars, and DuckDB makes a LIKE of regexp_matches.
        "wildcard": ("regexp_full_match(page_path, ?)", [_regular_expression(rule.match_value)]),
    }
    condition, values = paths[rule.match_operator]
    return f"event_type = 'pageview' and {condition}", values


def _regular_expression(wildcard: str) -> str:
    """What a wildcard picks, in RE2's syntax: `*` stands for anything, all else for itself."""
    first, *others = (
        re.sub(r"[!-/:-@\[-`{-~]", r"\\\g<0>", piece) for piece in page_paths.wildcard_pieces(wildcard)
    )
    # Stars beside each other are one.
    return "(?s)" + ".*".join([first, *filter(None, others[:-1]), *others[-1:]])


@router.get(f"{PATH}/goals", response_model=Table[Goal])
def goals_report(
    caller: ReadCaller, table: AskedTable, days: AskedDays, country: AskedCountry, f: AskedFilters
) -> Response:
    """All goals with their rules, and how often each was completed on these days. Goals overlap.

    Filters are about the session in which a goal was completed.
    """
    with table.reading(caller) as reader:
        refuse_not_applied("fct_goal_completions", f, reader)
        rows = goals(reader, caller.project_id, Filters(days, country, f, table.page))
        return table.answer(reader, rows, days)


@router.get(f"{PATH}/goals/preview", response_model=Preview)
def preview_report(
    request: Request,
    caller: ReadCaller,
    days: AskedDays,
    build: AskedBuild,
    match_type: Annotated[str | None, Query(description=", ".join(MATCH_TYPES) + ".")] = None,
    match_value: Annotated[
        str | None, Query(description="What is compared; any_conversion needs none.")
    ] = None,
    match_operator: Annotated[
        str | None,
        Query(description="For url_path: exact (default), prefix, or wildcard, where `*` is anything."),
    ] = None,
) -> Response:
    """How often a goal with this rule would have been completed: to be asked before it is defined.

    Conditions on properties and amounts are not looked at: the goal can only pick fewer.
    """
    if not match_type:
        raise Refusal(400, "match_type must be one of " + ", ".join(MATCH_TYPES))
    kind = one_of("match_type", match_type, MATCH_TYPES, "")
    operator = one_of("match_operator", match_operator, OPERATORS, "exact")
    if not match_value and kind != "any_conversion":
        raise Refusal(400, "match_value must be given, for every match_type but any_conversion")
    with reading(request, caller, build) as reader:
        counts = preview(reader, caller.project_id, Rule(kind, match_value or "", operator), days)
        content = {
            "build": reader.build_id,
            "from": days.first,
            "to": days.last,
            "events": sum(each.events for each in counts),
            "completions": sum(each.completions for each in counts),
            "days": counts,
        }
        return json_answer(request, content, reader.build_id)
