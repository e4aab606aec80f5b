"""Experiments: rates of their variants, and how sure the difference is."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Exact, Table
from read_api.filters import AskedFilters, Filter, applied, refuse_not_applied
from read_api.parameters import FIRST_PAGE, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.slices import Slice

MART = "rpt_experiments"

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant, judged by one goal, over the whole history."""

    experiment_id: str
    experiment_name: str | None
    variant_id: str
    variant_name: str | None
    is_control: bool
    goal_id: Annotated[str | None, Field(description="Null: any conversion.")]
    exposed: Annotated[int, Field(description="People.")]
    exposed_to_several: Annotated[int, Field(description="Of them, who saw other variants too.")]
    converted: Annotated[int, Field(description="People.")]
    conversions: int
    rate: Annotated[Exact | None, Field(description="Converted over exposed.")]
    rate_low: Annotated[Exact | None, Field(description="Lower end of the 95 % interval.")]
    rate_high: Annotated[Exact | None, Field(description="Upper end.")]
    difference: Annotated[Exact | None, Field(description="Rate less that of the control.")]
    difference_low: Exact | None
    difference_high: Exact | None
    uplift: Annotated[Exact | None, Field(description="Difference over the control's rate.")]


def experiments(
    reader: Reader,
    project_id: str,
    experiment_id: str | None = None,
    page: Page = FIRST_PAGE,
    filters: tuple[Filter, ...] = (),
) -> list[Variant]:
    """By experiment and goal; the control first, then the other variants by id."""
    rows = Slice(MART, project_id).having({"experiment_id": experiment_id})
    condition, values = applied(rows, filters, reader, "").condition
    found = reader.page(
        f"""
        select {columns(Variant)}
        from {MART}
        where {condition}
        order by experiment_id, goal_id nulls first, is_control desc, variant_id
        limit ? offset ?
        """,  # noqa: S608
        values,
        page,
    )
    return made(Variant, found)


@router.get(f"{PATH}/experiments", response_model=Table[Variant])
def experiments_report(
    caller: ReadCaller,
    table: AskedTable,
    f: AskedFilters,
    experiment_id: Annotated[str | None, Query(description="Only this experiment.")] = None,
) -> Response:
    """Rates of each variant and goal with 95 % intervals, and the difference from the control."""
    with table.reading(caller) as reader:
        refuse_not_applied(MART, f, reader)
        rows = experiments(reader, caller.project_id, experiment_id or None, table.page, f)
        return table.answer(reader, rows)
