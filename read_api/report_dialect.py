"""The funnel report, in the shape that existing integrations read.

| parameter | meaning |
|---|---|
| `account_id` | project |
| `report_type` | Source, Medium, Campaign, Term, Content, Country, Landing page, Device or Goal; any case |
| `date_range` | `YYYYMMDD,YYYYMMDD` or a name (date_ranges.py); days of the project, both included |
| `skip`, `limit` | rows left out, default 0; rows returned, 1 to 100, default 100 |
| `country` | two letters, any case |

Every error has the shape `{"status":"error","message":…}`. All figures are integers. Rows by Goal overlap:
their clicks are the sessions that completed the goal, their conversions the completions by a conversion.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import json_answer, opened, tag_answer
from read_api.date_ranges import DateRange, DateRangeError, parse_date_range
from read_api.parameters import Days
from read_api.reader import Reader
from read_api.reports.conditions import matching
from read_api.reports.projects import today

PATHS = ("/v1/funnel", "/api/report")
ROUTES = ("/v1/funnel", "/api/report/funnel")

MAX_LIMIT = 100

# These columns are in every row; other stages of the project follow.
DOCUMENTED_STAGES = ("clicks", "conversions", "microconversions", "add-to-cart", "checkout")

_BY_ORIGIN = "select {key} as key, stage, completions from rpt_funnel_stages where {condition}"

_BY_GOAL = """
with named as (
    -- Goals of one name are told apart by their ids.
    select project_id, goal_id, coalesce(name, goal_id) as name,
        count(*) over (partition by project_id, coalesce(name, goal_id)) as goals
    from dim_goals
),
completed as (
    select rpt_goals.*, case when goals = 1 then name else goal_id end as key
    from rpt_goals inner join named using (project_id, goal_id)
    where {condition}
)
select key, 'clicks' as stage, sessions as completions from completed
union all select key, 'conversions', conversions from completed
union all select key, 'microconversions', completions from completed where is_micro
union all select key, stage, completions from completed where stage is not null
"""

# What each report type counts: rows of key, stage and completions, where a condition holds.
REPORT_TYPES = {
    "Source": _BY_ORIGIN.replace("{key}", "source_label"),
    **{
        name: _BY_ORIGIN.replace("{key}", f"coalesce({column}, '(none)')")
        for name, column in (
            ("Medium", "medium"),
            ("Campaign", "campaign"),
            ("Term", "term"),
            ("Content", "content"),
            ("Country", "country"),
            ("Landing page", "landing_page"),
            ("Device", "device"),
        )
    },
    "Goal": _BY_GOAL,
}

_REPORT_TYPE_BY_NAME = {name.lower(): name for name in REPORT_TYPES}
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")

_PARAMETERS = [
    {"name": name, "in": "query", "required": required, "schema": {"type": kind}, "description": description}
    for name, required, kind, description in (
        ("account_id", True, "string", "Project."),
        ("report_type", True, "string", ", ".join(REPORT_TYPES) + "; any case."),
        ("date_range", True, "string", "YYYYMMDD,YYYYMMDD or a name such as this_month."),
        ("skip", False, "integer", "Rows to leave out; default 0."),
        ("limit", False, "integer", "Rows to return, 1 to 100; default 100."),
        ("country", False, "string", "ISO 3166-1 alpha-2 code, any case."),
    )
]

router = APIRouter(tags=["report"])


def render_error(refusal: Refusal) -> Response:
    """The dialect's shape of any refusal."""
    message = "Unauthenticated" if refusal.status == 401 else refusal.detail
    return Response(
        orjson.dumps({"status": "error", "message": message}),
        refusal.status,
        refusal.headers,
        media_type="application/json",
    )


class FunnelReport(BaseModel):
    """The report: rows have the key under the report type's own name, and a column for each stage."""

    status: Literal["ok"]
    data: list[dict[str, str | int]]


@router.get(ROUTES[0], response_model=FunnelReport, openapi_extra={"parameters": _PARAMETERS})
@router.get(ROUTES[1], response_model=FunnelReport, openapi_extra={"parameters": _PARAMETERS})
def funnel(request: Request, caller: ReadCaller) -> Response:
    """Clicks, conversions and funnel stages by source (or medium, …), most clicks first."""
    # '' is missing, as everywhere.
    given = {name: value for name, value in request.query_params.items() if value}
    for name in ("account_id", "report_type", "date_range"):
        if name not in given:
            raise Refusal(400, f"Missing required parameter: {name}")
    if not caller.opens(given["account_id"]):
        raise Refusal(404, "Unknown account_id")
    report_type = _REPORT_TYPE_BY_NAME.get(given["report_type"].lower())
    if report_type is None:
        raise Refusal(400, "Invalid report_type: use one of " + ", ".join(REPORT_TYPES))
    with opened(request, caller) as reader:
        try:
            days = parse_date_range(
                given["date_range"], lambda: today(reader, caller.project_id, datetime.now(UTC))
            )
        except DateRangeError as error:
            raise Refusal(400, str(error)) from error
        # What `today` is changes the answer, too.
        tag_answer(request, caller, reader.build_id, days)
        content = _report(reader, caller.project_id, report_type, days, given)
        return json_answer(request, content, reader.build_id)


def _report(
    reader: Reader, project_id: str, report_type: str, days: DateRange, given: Mapping[str, str]
) -> dict[str, object]:
    """The answer; raises Refusal 400 for what is left to be looked at of what was given."""
    skip = _whole_number(given.get("skip", "0"))
    if skip is None:
        raise Refusal(400, "Invalid skip: use a whole number from 0")
    limit = _whole_number(given.get("limit", str(MAX_LIMIT)))
    if limit is None or not 1 <= limit <= MAX_LIMIT:
        raise Refusal(400, f"Invalid limit: use a whole number from 1 to {MAX_LIMIT}")
    country = given.get("country")
    if country is not None and not _COUNTRY.fullmatch(country):
        raise Refusal(400, "Invalid country: use a two-letter ISO 3166-1 code")

    stages = _stages(reader, project_id, report_type)
    condition, values = matching(
        project_id, "report_date", Days(*days), {"country": country.upper() if country else None}
    )
    # One bound parameter for each stage's column, in the order of the columns.
    sums = ", ".join("coalesce(sum(completed) filter (where stage = ?), 0)::bigint" for _ in stages)
    rows = reader.rows(
        f"""
        select key, {sums}
        from (
            -- Before stages become columns: each column would look at every row.
            select key, stage, sum(completions) as completed
            from ({REPORT_TYPES[report_type].format(condition=condition)})
            group by key, stage
        )
        group by key
        order by 2 desc, key
        limit ? offset ?
        """,  # noqa: S608
        [*stages, *values, limit, skip],
    )
    data = [dict(zip((report_type, *stages), row, strict=True)) for row in rows]
    return {"status": "ok", "data": data}


def _stages(reader: Reader, project_id: str, report_type: str) -> list[str]:
    """The documented stages, then the project's others by name, whatever their dates.

    So the columns stay the same from range to range. A stage called like the key's column cannot be shown
    beside it.
    """
    found = reader.remembered(
        ("stages", project_id),
        lambda: reader.rows(
            "select distinct stage from rpt_funnel_stages "
            "where project_id = ? and stage is not null order by stage",
            [project_id],
        ),
    )
    others = [stage for (stage,) in found if stage not in (*DOCUMENTED_STAGES, report_type)]
    return [*DOCUMENTED_STAGES, *others]


def _whole_number(text: str) -> int | None:
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None
