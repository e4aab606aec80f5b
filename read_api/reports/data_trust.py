"""How far the figures can be trusted: what was odd in what came in, and what became of it."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.parameters import ALL_DAYS, FIRST_PAGE, AskedDays, Days, Page, one_of
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import matching

SEVERITIES = ("warning", "info")

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which measures."""

    days: Days = ALL_DAYS
    measure: str | None = None
    severity: str | None = None
    page: Page = FIRST_PAGE


@dataclass(frozen=True, slots=True)
class Measure:
    """How often something was met, over all days asked for."""

    measure: str
    detail: Annotated[str | None, Field(description="What exactly, e.g. the status word or the dialect.")]
    severity: Annotated[str, Field(description="warning where somebody should look, else info.")]
    meaning: Annotated[str, Field(description="What is counted, what becomes of it and what helps.")]
    occurrences: Annotated[int, Field(description="To be added up over details, not over measures.")]
    first_date: Annotated[date | None, Field(description="First day on which it was met.")]
    last_date: date | None


def data_trust(reader: Reader, project_id: str, filters: Filters) -> list[Measure]:
    """Warnings first, then by measure, most occurrences first."""
    asked = {"measure": filters.measure, "severity": filters.severity}
    condition, values = matching(project_id, "report_date", filters.days, asked)
    found = reader.page(
        f"""
        select
            {columns(Measure, "occurrences", first_date="min(report_date)", last_date="max(report_date)")}
        from rpt_data_trust
        where {condition}
        group by measure, detail, severity, meaning
        order by severity desc, measure, occurrences desc, detail nulls last
        limit ? offset ?
        """,  # noqa: S608
        values,
        filters.page,
    )
    return made(Measure, found)


@router.get(f"{PATH}/data-trust", response_model=Table[Measure])
def data_trust_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    measure: Annotated[str | None, Query(description="Only this measure.")] = None,
    severity: Annotated[str | None, Query(description="Only warning or info.")] = None,
) -> Response:
    """What may bend figures: rejected, unknown status words, unmatched, odd clocks, identity conflicts, …"""
    kind = one_of("severity", severity, SEVERITIES, "")
    with table.reading(caller) as reader:
        filters = Filters(days, measure or None, kind or None, table.page)
        rows = data_trust(reader, caller.project_id, filters)
        return table.answer(reader, rows, days)
