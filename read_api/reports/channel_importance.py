"""How much each source matters: what would be lost without it, and its part of the conversion rate."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from funnelhouse.auth import ReadCaller
from read_api.answers import AskedTable, Exact, Table
from read_api.parameters import FIRST_PAGE, Page
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class Channel:
    """One source of the project's journeys, over the whole history."""

    source: str
    touches: int
    journeys: Annotated[
        int, Field(description="It is in: touches of a conversion, or of a person without one.")
    ]
    converting_journeys: int
    removal_effect: Annotated[
        Exact, Field(description="Part of the conversions that would be lost without it, 0 to 1 (Markov).")
    ]
    removal_effect_share: Annotated[
        Exact | None, Field(description="Of all removal effects; null where nothing converted.")
    ]
    shapley_value: Annotated[
        Exact,
        Field(description="Part of the conversion rate of all journeys, to which they sum; may be below 0."),
    ]
    shapley_error: Annotated[Exact, Field(description="Standard error; 0 where the value is exact.")]


def channel_importance(reader: Reader, project_id: str, page: Page = FIRST_PAGE) -> list[Channel]:
    """Most removal effect first, then most Shapley value, ties by source."""
    found = reader.page(
        f"""
        select {columns(Channel)}
        from rpt_channel_importance
        where project_id = ?
        order by removal_effect desc, shapley_value desc, source
        limit ? offset ?
        """,  # noqa: S608
        [project_id],
        page,
    )
    return made(Channel, found)


@router.get(f"{PATH}/channel-importance", response_model=Table[Channel])
def channel_importance_report(caller: ReadCaller, table: AskedTable) -> Response:
    """What the models markov and shapley know of each source, over the whole history.

    Effects of removal do not add up to 1: one conversion can be lost without either of two sources.
    """
    with table.reading(caller) as reader:
        rows = channel_importance(reader, caller.project_id, table.page)
        return table.answer(reader, rows)
