"""Channel importance: how much each source matters over all journeys, with and without a conversion."""

from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyViewer
from read_api.dashboard.layout import bar_chart, series
from read_api.dashboard.view import viewing
from read_api.parameters import MAX_LIMIT, Page
from read_api.reports import channel_importance
from read_api.reports.channel_importance import Channel
from read_api.slices import Slice

PATH = "/app/projects/{project_id}"

DRAWN_BARS = 12
_DRAWN_HALF = DRAWN_BARS // 2

LEAST_JOURNEYS = 30
"""Of a source that is drawn, where some have as many: a handful says little, and is often ranked first."""

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/channel-importance")
def importance_of_channels(request: Request, viewer: AnyViewer) -> Response:
    """Each source's removal effect, and its contribution to the conversion rate."""
    with viewing(request, viewer, "channel-importance", dates=False) as view:
        channels = channel_importance.channel_importance(view.reading, view.project_id, Page(MAX_LIMIT))
        frequent = [row for row in channels if row.journeys >= LEAST_JOURNEYS]
        drawable = frequent or channels
        by_part = sorted(drawable, key=lambda row: (-row.shapley_value, row.source))
        # Sources that lower the rate stand at the other end.
        drawn = by_part if len(by_part) <= DRAWN_BARS else [*by_part[:_DRAWN_HALF], *by_part[-_DRAWN_HALF:]]
        rows = view.rows("rpt_channel_importance", None)
        rare = rows.where("journeys.to", LEAST_JOURNEYS - 1)
        context = {
            "channels": channels[: view.most_rows],
            "is_cut": len(channels) > view.most_rows,
            "is_chart_cut": len(drawable) > DRAWN_BARS,
            "found": rows.figure("count(*)", len(channels)),
            "least": LEAST_JOURNEYS,
            "rare": rare.figure("count(*)", len(channels) - len(frequent)) if frequent else None,
            "is_rare": lambda row: bool(frequent) and row.journeys < LEAST_JOURNEYS,
            "most": max((row.journeys for row in channels), default=0),
            "is_converting": any(row.converting_journeys for row in channels),
            "rate": rows.figure("sum(shapley_value)", sum(row.shapley_value for row in channels)),
            "lost": _percent_chart("Removal effect", rows, "removal_effect", drawable[:DRAWN_BARS]),
            "part": _percent_chart("Contribution", rows, "shapley_value", drawn, digits=2),
        }
        return view.render("channel_importance.html", context)


def _percent_chart(
    name: str, rows: Slice, column: str, drawn: list[Channel], digits: int = 1
) -> dict[str, Any]:
    figures = [
        rows.where("source", row.source).figure(f"sum({column})", getattr(row, column)) for row in drawn
    ]
    return bar_chart(
        [row.source for row in drawn],
        {name: figures},
        horizontal=True,
        unit="%",
        digits=digits,
    ) | {"series": [series(name, figures, lambda number: 100 * number)]}
