"""The ways to conversions: paths of sources, of all time or of some days and conversions."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.conversion_paths import Chosen, conversion_paths
from read_api.filters import AskedFilters, AskedModel, applied, refuse_not_applied
from read_api.parameters import AskedCurrency, AskedDays, AskedMoney
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.projects import asked_model
from read_api.slices import PATHS, Slice

router = APIRouter(tags=["reports"])


MEDIAN = "quantile_disc(seconds, 0.5)"
"""The shortest time within which half of some paths' conversions came."""


@dataclass(frozen=True, slots=True)
class Path:
    """One path of sources in one currency."""

    path_rank: Annotated[
        int, Field(description="1 is the path of most conversions, all currencies together.")
    ]
    path: Annotated[str, Field(description="Sources in order, parted by ` > `.")]
    touches: int
    currency: str
    conversions: int
    net_amount_minor: int
    median_seconds: Annotated[int, Field(description="From the first touch to the conversion.")]


def paths(reader: Reader, project_id: str, wanted: Chosen) -> list[Path]:
    """Most frequent first. Of all time they are the thousand most frequent ones, of anything else all."""
    if not wanted.is_everything:
        return _chosen(reader, project_id, wanted)
    found = reader.page(
        f"""
        select {columns(Path, net_amount_minor="coalesce(net_amount_minor, 0)")}
        from rpt_paths
        where project_id = ? and (? is null or currency = ?)
        order by path_rank, path, currency
        limit ? offset ?
        """,  # noqa: S608
        [project_id, wanted.currency, wanted.currency],
        wanted.page,
    )
    return made(Path, found)


def _chosen(reader: Reader, project_id: str, wanted: Chosen) -> list[Path]:
    rows = conversion_paths(reader, project_id, wanted.days)
    condition, values = applied(rows, wanted.filters, reader, wanted.model).condition
    listed = columns(
        Path,
        "conversions",
        "net_amount_minor",
        path_rank="null",
        touches="max(touches)",
        median_seconds=MEDIAN,
    )
    found = reader.page(
        f"""
        with counted as (
            select {listed}
            from {PATHS}
            where {condition}
            group by path, currency
        ),

        weighed as (
            select *, sum(conversions) over (partition by path) as of_path
            from counted
        )

        select {columns(Path, path_rank="dense_rank() over (order by of_path desc, path)")}
        from weighed
        qualify ? is null or currency = ?
        order by path_rank, currency
        limit ? offset ?
        """,  # noqa: S608
        [*values, wanted.currency, wanted.currency],
        wanted.page,
    )
    return made(Path, found)


def medians(reader: Reader, rows: Slice, paths: list[str]) -> dict[str, int]:
    """The median time of each path, over all currencies."""
    condition, values = rows.where("path", tuple(paths)).condition
    return dict(
        reader.rows(f"select path, {MEDIAN} from {rows.mart} where {condition} group by path", values)  # noqa: S608
    )


@router.get(f"{PATH}/paths", response_model=Table[Path])
def paths_report(
    caller: ReadCaller,
    table: AskedTable,
    days: AskedDays,
    currency: AskedCurrency,
    money: AskedMoney,
    f: AskedFilters,
    model: AskedModel,
) -> Response:
    """Paths of sources to a conversion, most frequent first, with their median time.

    Filters choose conversions: those by source, medium and the like the ones that the model credits, at least
    in part, to a touch that matches. Without days and filters these are the thousand most frequent paths of
    all time.
    """
    with table.reading(caller, money) as reader:
        refuse_not_applied(PATHS, f, reader)
        asked = asked_model(reader, caller.project_id, model)
        rows = paths(reader, caller.project_id, Chosen(days, currency, f, asked, table.page))
        return table.answer(reader, rows, days)
