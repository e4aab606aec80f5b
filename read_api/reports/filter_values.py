"""Values that can be filtered by, with how often there are: what one chooses a filter from."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from read_api.answers import json_answer, reading
from read_api.filters import DIMENSIONS, MAX_LENGTH, path_to
from read_api.parameters import AskedBuild, AskedDays, Days, one_of, whole_number
from read_api.reader import Reader
from read_api.reports.columns import columns, made
from read_api.slices import Slice
from read_api.summed import relation_of

MOST_VALUES = 100
VALUES = 20
"""Of each dimension, at most and unless somebody asks for another number."""

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Counted:
    """Where the values of a dimension are, and what of them is counted."""

    mart: str
    days_column: str
    column: str
    unit: str


_SESSIONS = Counted("rpt_traffic", "report_date", "sum(sessions)", "sessions")
_OTHERS = {
    "visitor": Counted("fct_sessions", "session_date", "count(*)", "sessions"),
    "conversion": Counted("fct_conversions", "conversion_date", "count(*)", "conversions"),
    "goal": Counted("rpt_goals", "report_date", "sum(completions)", "completions"),
}
COUNTED = {dimension: _OTHERS.get(dimension, _SESSIONS) for dimension in DIMENSIONS}


@dataclass(frozen=True, slots=True)
class FilterValue:
    """A value of a dimension."""

    dimension: str
    value: Annotated[str, Field(description="As a filter names it: `f=<dimension>:is:<value>`.")]
    count: Annotated[
        int,
        Field(
            description="Sessions on these days; of the dimension `conversion` conversions, of `goal` "
            "completions."
        ),
    ]


class FilterValues(BaseModel):
    """Values that can be filtered by."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    first: date | None = Field(alias="from", description="First day, null for all.")
    last: date | None = Field(alias="to", description="Last day, included; null for all.")
    rows: list[FilterValue]


def is_there(reader: Reader, dimension: str) -> bool:
    """Whether this build has the dimension."""
    return path_to(COUNTED[dimension].mart, dimension, reader) is not None


def is_known(reader: Reader, project_id: str, dimension: str, value: str) -> bool:
    """Whether this build has the value, on whatever day; true of a dimension that it has not."""
    counted = COUNTED[dimension]
    column = path_to(counted.mart, dimension, reader)
    if column is None:
        return True
    condition, values = Slice(counted.mart, project_id).where(column, value).condition
    return bool(reader.rows(f"select 1 from {counted.mart} where {condition} limit 1", values))  # noqa: S608


def rows_with(reader: Reader, project_id: str, days: Days, found: FilterValue) -> Slice:
    """The rows that a value was counted over."""
    counted = COUNTED[found.dimension]
    column = path_to(counted.mart, found.dimension, reader)
    assert column is not None
    return Slice(counted.mart, project_id).on(counted.days_column, days).where(column, found.value)


def filter_values(
    reader: Reader, project_id: str, days: Days, dimension: str | None, text: str, most: int = VALUES
) -> list[FilterValue]:
    """Values that contain a text, ignoring case: by dimension, most first, `most` of each.

    All dimensions that this build has, unless one is named.
    """
    queries, values = list[str](), list[object]()
    for place, name in enumerate(DIMENSIONS):
        if dimension not in (None, name) or not is_there(reader, name):
            continue
        counted = COUNTED[name]
        column = path_to(counted.mart, name, reader)
        assert column is not None
        rows = Slice(counted.mart, project_id).on(counted.days_column, days)
        rows = rows.where(f"{column}.contains", text) if text else rows
        condition, bound = rows.condition
        queries.append(
            f"""
            (
                select {place} as place, '{name}' as dimension, {column} as value, {counted.column} as count
                from {relation_of(reader, rows, [column])}
                where {condition} and {column} is not null
                group by {column}
                order by count desc nulls last, value
                limit ?
            )
            """  # noqa: S608
        )
        values += [*bound, most]
    if not queries:
        return []
    found = reader.rows(
        f"""
        select {columns(FilterValue, count="coalesce(max(count), 0)")}
        from ({" union all ".join(queries)})
        group by place, dimension, value
        order by place, max(count) desc nulls last, value
        """,  # noqa: S608
        values,
    )
    return made(FilterValue, found)


@router.get("/v1/projects/{project_id}/filter-values", response_model=FilterValues)
def filter_values_report(
    request: Request,
    caller: ReadCaller,
    days: AskedDays,
    build: AskedBuild,
    dimension: Annotated[
        str | None, Query(description="One of " + ", ".join(DIMENSIONS) + "; none: all.")
    ] = None,
    q: Annotated[
        str | None,
        Query(description=f"Only values that contain this, ignoring case; {MAX_LENGTH} characters."),
    ] = None,
    limit: Annotated[
        str | None,
        Query(description=f"Values of a dimension at most, 1 to {MOST_VALUES}; default {VALUES}."),
    ] = None,
) -> Response:
    """Values that reports can be filtered by (`f`), most frequent first, as one chooses from while typing."""
    asked = one_of("dimension", dimension, tuple(DIMENSIONS), "")
    most = whole_number("limit", limit, VALUES, MOST_VALUES)
    with reading(request, caller, build) as reader:
        found = filter_values(reader, caller.project_id, days, asked or None, (q or "")[:MAX_LENGTH], most)
        content = {"build": reader.build_id, "from": days.first, "to": days.last, "rows": found}
        return json_answer(request, content, reader.build_id)
