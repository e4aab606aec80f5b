"""Who came back: cohorts of people by the week in which they were first seen."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedCurrency, AskedDays, AskedMoney, Days, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching
from read_api.slices import Slice

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which cohorts: the days are those of their Mondays."""

    days: Days = ALL_DAYS
    currency: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class CohortWeek:
    """One week in the life of a cohort, in one currency."""

    cohort_week: Annotated[date, Field(description="Monday of the week in which its people were first seen.")]
    week_number: Annotated[int, Field(description="Weeks since then; 0 is that week itself.")]
    currency: Annotated[str, Field(description="People count on the project's own currency.")]
    people: Annotated[int, Field(description="People of the cohort.")]
    returned: Annotated[int, Field(description="Those who came in that week.")]
    converted: Annotated[int, Field(description="Those who converted in that week.")]
    conversions: int
    net_amount_minor: int


def cohorts(reader: Reader, project_id: str, filters: Filters) -> list[CohortWeek]:
    """By cohort, then week, then currency."""
    condition, values = matching(project_id, "cohort_week", filters.days, {"currency": filters.currency})
    found = reader.page(
        f"""
        select {columns(CohortWeek, net_amount_minor="coalesce(net_amount_minor, 0)")}
        from rpt_cohorts
        where {condition}
        order by cohort_week, week_number, currency
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(CohortWeek, found)


def by_week(reader: Reader, rows: Slice, measure: str, last_number: int) -> list[tuple[date, int, int, int]]:
    """Cohort, week, people, and those of whom `measure` (returned or converted) is true; in that order."""
    condition, values = rows.where("week_number.to", last_number).condition
    return reader.rows(
        f"""
        select cohort_week, week_number, sum(people), sum({measure})
        from rpt_cohorts
        where {condition}
        group by cohort_week, week_number
        order by cohort_week, week_number
        """,  # noqa: S608
        values,
    )


def currencies(reader: Reader, rows: Slice) -> list[str]:
    """Those in which somebody of the cohorts brought something."""
    condition, values = rows.condition
    found = reader.rows(
        f"select distinct currency from rpt_cohorts where {condition} and net_amount_minor <> 0",  # noqa: S608
        values,
    )
    return [currency for (currency,) in found]


def earned_by_week(reader: Reader, rows: Slice, last_number: int) -> dict[tuple[date, int], int]:
    """Net revenue, in minor units, by cohort and week; the rows are of one currency."""
    condition, values = rows.where("week_number.to", last_number).condition
    found = reader.rows(
        f"""
        select cohort_week, week_number, coalesce(sum(net_amount_minor), 0)
        from rpt_cohorts
        where {condition}
        group by cohort_week, week_number
        """,  # noqa: S608
        values,
    )
    return {(monday, number): int(minor) for monday, number, minor in found}


@router.get(f"{PATH}/cohorts", response_model=Table[CohortWeek])
def cohorts_report(
    caller: ReadCaller, table: AskedTable, days: AskedDays, currency: AskedCurrency, money: AskedMoney
) -> Response:
    """People by the week in which they were first seen: how many came and converted in each week after.

    `from` and `to` are about the Mondays of the cohorts' weeks.
    """
    with table.reading(caller, money) as reader:
        rows = cohorts(reader, caller.project_id, Filters(days, currency, table.page))
        return table.answer(reader, rows, days)
