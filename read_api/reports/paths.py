"""The ways to conversions: frequent paths of sources."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Table
from read_api.parameters import FIRST_PAGE, AskedCurrency, AskedMoney, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class Path:
    """One path of sources in one currency, over the whole history."""

    path_rank: Annotated[
        int, Field(description="1 is the path of most conversions, all currencies together.")
    ]
    path: Annotated[str, Field(description="Sources in order, parted by ` > `.")]
    touches: int
    currency: str
    conversions: int
    net_amount_minor: int
    median_seconds: Annotated[int, Field(description="From the first touch to the conversion.")]


def paths(
    reader: Reader, project_id: str, currency: str | None = None, page: Page = FIRST_PAGE
) -> list[Path]:
    """Most frequent first; a median cannot be added up, so there are no days."""
    found = reader.page(
        f"""
        select {columns(Path, net_amount_minor="coalesce(net_amount_minor, 0)")}
        from rpt_paths
        where project_id = ? and (? is null or currency = ?)
        order by path_rank, path, currency
        limit ? offset ?
        """,  # noqa: S608
        [project_id, currency, currency],
        page,
    )
    return made(Path, found)


@router.get(f"{PATH}/paths", response_model=Table[Path])
def paths_report(
    caller: ReadCaller, table: AskedTable, currency: AskedCurrency, money: AskedMoney
) -> Response:
    """The most frequent paths of sources to a conversion, over the whole history, with their median time."""
    with table.reading(caller, money) as reader:
        rows = paths(reader, caller.project_id, currency, table.page)
        return table.answer(reader, rows)
