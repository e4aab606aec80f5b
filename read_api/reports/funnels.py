"""Funnels: who came to each step, went on, and dropped out."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.filters import AskedFilters, Filter, applied, refuse_not_applied
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedDays, Days, Page, one_of
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import must_have
from read_api.slices import Slice

MART = "rpt_funnels"

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which funnels and entries; days are those of entry."""

    days: Days = ALL_DAYS
    funnel_id: str | None = None
    source: str | None = None
    by_source: bool = False
    by_channel: bool = False
    filters: tuple[Filter, ...] = ()
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a funnel, of those who entered it on the days; each enters a funnel once."""

    funnel_id: str
    funnel_name: str
    mode: Annotated[str, Field(description="ordered, strict, any_order or counts.")]
    unit: Annotated[str, Field(description="person or session.")]
    source: Annotated[str | None, Field(description="At the first step; null for all sources together.")]
    channel: Annotated[str | None, Field(description="At the first step; null unless steps are by channel.")]
    step_number: int
    step_name: Annotated[str | None, Field(description="Null in any order: the nth step taken, whichever.")]
    entered: Annotated[int | None, Field(description="Who came to the step; null for independent counts.")]
    completed: int
    dropped_off: int | None
    median_seconds: Annotated[
        int | None,
        Field(
            description="From the first step, of those who took this one; only of one day, source and "
            "channel, as it can't be added up."
        ),
    ]


def funnels(reader: Reader, project_id: str, filters: Filters) -> list[Step]:
    """Steps by funnel, then source or channel (most entries first), then number. A funnel nobody entered has
    no rows.

    Raises Refusal 400 for steps by channel of a build that lacks it.
    """
    asked = {"funnel_id": filters.funnel_id, "source": filters.source}
    rows = Slice(MART, project_id).on("entry_date", filters.days).having(asked)
    condition, values = applied(rows, filters.filters, reader, "").condition
    if filters.by_channel:
        must_have(reader, "rpt_funnels", "channel")
    unknown = "cast(null as varchar)"
    origin = "channel" if filters.by_channel else "source" if filters.by_source else unknown
    listed = columns(
        Step,
        "entered",
        "completed",
        "dropped_off",
        source=unknown if filters.by_channel else "origin",
        channel="origin" if filters.by_channel else unknown,
        step_name="max(step_name)",
        median_seconds="case when count(*) = 1 then max(median_seconds) end",
    )
    found = reader.page(
        f"""
        with entries as (select *, {origin} as origin from {MART} where {condition})
        select {listed}, max(sum(completed)) over (partition by funnel_id, origin) as entries_of_origin
        from entries
        group by funnel_id, funnel_name, mode, unit, origin, step_number
        order by funnel_id, entries_of_origin desc, origin, step_number
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(Step, found)


@router.get(f"{PATH}/funnels", response_model=Table[Step])
def funnels_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    f: AskedFilters,
    funnel_id: Annotated[str | None, Query(description="Only this funnel.")] = None,
    source: Annotated[str | None, Query(description="Only entries from this source.")] = None,
    breakdown: Annotated[
        str | None, Query(description="none (default), source or channel: of the first step.")
    ] = None,
) -> Response:
    """Who came to each step of each funnel, took it, and dropped out; by the day of entry."""
    by = one_of("breakdown", breakdown, ("none", "source", "channel"), "none")
    with table.reading(caller) as reader:
        refuse_not_applied(MART, f, reader)
        is_by_source, is_by_channel = by == "source", by == "channel"
        filters = Filters(days, funnel_id or None, source or None, is_by_source, is_by_channel, f, table.page)
        return table.answer(reader, funnels(reader, caller.project_id, filters), days)
