"""Traffic: where sessions come from, where they land, and what is credited for conversions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyViewer
from read_api.dashboard.figures import Units, model_name, origin
from read_api.dashboard.layout import bar_chart, money_series, series
from read_api.dashboard.net_revenue import net_revenue
from read_api.dashboard.view import viewing
from read_api.parameters import MAX_LIMIT, Page
from read_api.ranking import LANDED, TRAFFIC, Line, Ranked, Ranking, ranked, ranked_by_model
from read_api.reader import Reader
from read_api.reports import attribution, campaigns, channel_importance, goals, sources, time_to_convert
from read_api.reports.projects import project
from read_api.slices import Figure, Slice

PATH = "/app/projects/{project_id}"

MOST_ROWS = 1000
"""Of one report on a page; what is longer is for exports."""

DRAWN_BARS = 12
_DRAWN_HALF = DRAWN_BARS // 2
DRAWN_PATHS = 100
DRAWN_SOURCES = 8
DRAWN_TOUCHES = 4
"""The last touches of a path that the picture tells apart."""

_EARLIER, _OTHERS, _CONVERSION = "earlier", "other sources", "conversion"

_MEASURES = (("conversions", "Conversions"), ("amount", "Revenue"))

_VIEWED = Ranked(
    "page_id",
    ("views", "conversions", "assisted_conversions"),
    labels=("page_name", "page_kind"),
)
_CREDITED = ("credit_nano",)
_MEDIAN = "path_median_seconds"
_WAYS = "sum(conversions)"

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/sources")
def source_list(request: Request, viewer: AnyViewer) -> Response:
    """Sessions, conversions and money by source, or another dimension; ad spend beside what it brought."""
    with viewing(request, viewer, "sources") as view:
        by = request.query_params.get("by", "source")
        by = by if by in sources.DIMENSIONS else "source"
        found = ranked(
            view.reading,
            view.rows("rpt_traffic"),
            replace(TRAFFIC, by=by),
            view.most_rows,
            view.currencies.in_order,
        )
        drawn = found.lines[:DRAWN_BARS]
        context = {
            "dimensions": sources.DIMENSIONS,
            "by": by,
            "ranking": found,
            "net": net_revenue(view, found.total.amounts),
            "chart": bar_chart(
                [_named(line) for line in drawn],
                {"Sessions": [line["sessions"] for line in drawn]},
                horizontal=True,
                whole=True,
                unit="sessions",
            ),
            "spend": campaigns.spend(
                view.reading, view.rows("rpt_campaigns"), view.most_rows, view.currencies.in_order
            ),
        }
        return view.render("sources.html", context)


@router.get(f"{PATH}/landing-pages")
def landing_page_list(request: Request, viewer: AnyViewer) -> Response:
    """Where sessions begin and what becomes of them; and views of all pages with what they assisted."""
    with viewing(request, viewer, "landing-pages") as view:
        in_order = view.currencies.in_order
        landed = ranked(view.reading, view.rows("rpt_landing_pages"), LANDED, view.most_rows, in_order)
        viewed = ranked(view.reading, view.rows("rpt_pages"), _VIEWED, view.most_rows, in_order)
        context = {"landed": landed, "viewed": viewed, "net": net_revenue(view, landed.total.amounts)}
        return view.render("landing_pages.html", context)


@router.get(f"{PATH}/attribution")
def attribution_models(request: Request, viewer: AnyViewer) -> Response:
    """Credit by one model, and all models side by side."""
    with viewing(request, viewer, "attribution", credits=True) as view:
        asked = request.query_params
        models = tuple(view.reading.facts["attribution_models"])
        default = project(view.reading, view.project_id).default_model
        model = view.model
        by = asked.get("by", "source")
        by = by if by in attribution.DIMENSIONS else "source"
        measure = asked.get("measure", "conversions")
        measure = measure if measure in dict(_MEASURES) else "conversions"
        goal_names = _converting_goals(view.reading, view.project_id)
        goal = asked.get("goal", "")
        goal = goal if goal in goal_names else ""
        rows = view.rows("rpt_goal_attribution", goal_id=goal) if goal else view.rows("rpt_attribution")
        # The model that was chosen leads, so that values come in its order.
        ordered = (model, *(each for each in models if each != model))
        by_model = ranked_by_model(
            view.reading, rows, Ranked(by, _CREDITED), view.most_rows, view.currencies.in_order, ordered
        )
        chosen = by_model[model]
        net = None if goal else net_revenue(view, chosen.total.amounts)
        currency = view.currencies.main(chosen.total.amounts)
        context = {
            "models": models,
            "model": model,
            "dimensions": attribution.DIMENSIONS,
            "by": by,
            "measures": _MEASURES,
            "measure": measure,
            "goals": [("", "All conversions"), *goal_names.items()],
            "goal": goal,
            "of_goal": goal_names.get(goal),
            "mart": rows.mart,
            "ranking": chosen,
            "net": net,
            "currency": currency,
            "table": _side_by_side(by_model, measure, currency),
            "chart": _model_chart(by_model, model, default, measure, currency, view.units),
        }
        return view.render("attribution.html", context)


def _converting_goals(reader: Reader, project_id: str) -> dict[str, str]:
    """Names by id of the goals that some conversion completed, on whatever day."""
    found = goals.goals(reader, project_id, goals.Filters())
    return {goal.goal_id: goal.name or goal.goal_id for goal in found if goal.conversions}


@router.get(f"{PATH}/channel-importance")
def importance_of_channels(request: Request, viewer: AnyViewer) -> Response:
    """Each source's removal effect, and its contribution to the conversion rate."""
    with viewing(request, viewer, "channel-importance", dates=False) as view:
        channels = channel_importance.channel_importance(view.reading, view.project_id, Page(MAX_LIMIT))
        by_part = sorted(channels, key=lambda row: (-row.shapley_value, row.source))
        # Sources that lower the rate stand at the other end.
        drawn = by_part if len(by_part) <= DRAWN_BARS else [*by_part[:_DRAWN_HALF], *by_part[-_DRAWN_HALF:]]
        rows = view.rows("rpt_channel_importance", None)
        context = {
            "channels": channels[:MOST_ROWS],
            "found": rows.figure("count(*)", len(channels)),
            "is_converting": any(row.converting_journeys for row in channels),
            "rate": rows.figure("sum(shapley_value)", sum(row.shapley_value for row in channels)),
            "lost": _percent_chart("Removal effect", rows, "removal_effect", channels[:DRAWN_BARS]),
            "part": _percent_chart("Contribution", rows, "shapley_value", drawn, digits=2),
        }
        return view.render("channel_importance.html", context)


def _percent_chart(
    name: str, rows: Slice, column: str, drawn: list[channel_importance.Channel], digits: int = 1
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


@router.get(f"{PATH}/paths")
def path_list(request: Request, viewer: AnyViewer) -> Response:
    """Conversion paths, as a picture and by frequency; and how long they took."""
    with viewing(request, viewer, "paths") as view:
        reader = view.reading
        rows = view.rows("rpt_paths", None)
        # Builds of older versions have no median over all currencies.
        has_median = _MEDIAN in {column.name for column in reader.marts["rpt_paths"].columns}
        labels = ("path", _MEDIAN) if has_median else ("path",)
        found = ranked(
            reader,
            rows,
            Ranked("path_rank", ("conversions",), labels=labels),
            view.most_rows,
            view.currencies.in_order,
        )
        ways = view.rows("rpt_time_to_convert")
        context = {
            "ranking": found,
            "paths": [
                {
                    "sources": line.labels[0].split(" > "),
                    "line": line,
                    "median": rows.where("path_rank", line.value).figure(f"max({_MEDIAN})", line.labels[1])
                    if has_median
                    else None,
                }
                for line in found.lines
            ],
            "sankey": sankey(rows, found.lines[:DRAWN_PATHS]) if found else None,
            "days": _counted(reader, ways, "days_to_convert"),
            "touches": _counted(reader, ways, "touches"),
        }
        return view.render("paths.html", context)


def sankey(rows: Slice, lines: Sequence[Line]) -> dict[str, Any]:
    """The last touches of frequent paths, as nodes by place and source, flowing into the conversion."""
    frequent = [(line.value, line.labels[0].split(" > "), int(line["conversions"].total)) for line in lines]
    weights: Counter[str] = Counter()
    for _, path, conversions in frequent:
        for source in set(path):
            weights[source] += conversions
    kept = {source for source, _ in weights.most_common(DRAWN_SOURCES)}
    links: dict[tuple[str, str], list[tuple[int, int]]] = {}
    nodes: dict[str, tuple[int, str]] = {}
    for rank, path, conversions in frequent:
        touched = [source if source in kept else _OTHERS for source in path]
        shown = touched[-DRAWN_TOUCHES:]
        if len(touched) > DRAWN_TOUCHES:
            shown = [_EARLIER, *shown]
        places = [(DRAWN_TOUCHES + 1 - (len(shown) - number), source) for number, source in enumerate(shown)]
        places.append((DRAWN_TOUCHES + 1, _CONVERSION))
        for place, source in places:
            nodes[f"{place} {source}"] = (place, source)
        for (place, source), (next_place, following) in pairwise(places):
            link = links.setdefault((f"{place} {source}", f"{next_place} {following}"), [])
            link.append((rank, conversions))
    first = min(place for place, _ in nodes.values())
    return {
        "kind": "sankey",
        "unit": "conversions",
        "nodes": [
            {"name": name, "depth": place - first, "source": source, "is_end": source == _CONVERSION}
            for name, (place, source) in sorted(nodes.items())
        ],
        "links": [
            {
                "source": source,
                "target": target,
                "value": sum(conversions for _, conversions in each),
                "from": nodes[source][1],
                "to": nodes[target][1],
                "sources": [dict(origin(_of_paths(rows, each)))],
            }
            for (source, target), each in sorted(links.items())
        ],
    }


def _of_paths(rows: Slice, each: list[tuple[int, int]]) -> Figure:
    ranks = tuple(rank for rank, _ in each)
    return rows.where("path_rank", ranks).figure("sum(conversions)", sum(number for _, number in each))


def _side_by_side(by_model: dict[str, Ranking], measure: str, currency: str) -> dict[str, Any]:
    """Per value, of all others and of everything: what each model gives, and how dark that is (0 to 5)."""
    every = next(iter(by_model.values()))
    figures = {
        model: [_measured(line, measure, currency) for line in ranking.lines]
        for model, ranking in by_model.items()
    }
    most = max(
        (abs(Decimal(figure.total)) for each in figures.values() for figure in each), default=Decimal()
    )
    return {
        "rows": [
            {
                "value": line.value,
                "cells": {
                    model: {"figure": each[number], "heat": heat(Decimal(each[number].total), most)}
                    for model, each in figures.items()
                },
            }
            for number, line in enumerate(every.lines)
        ],
        "digits": max(ranking.digits("credit_nano") for ranking in by_model.values()),
        "other": {
            model: _measured(ranking.other, measure, currency)
            for model, ranking in by_model.items()
            if ranking.other
        },
        "total": {model: _measured(ranking.total, measure, currency) for model, ranking in by_model.items()},
    }


def heat(part: Decimal, most: Decimal) -> int:
    """How dark a figure's cell is: 0 for nothing, then five steps up to the largest."""
    if part <= 0 or not most:
        return 0
    return min(5, 1 + int(5 * part / most))


def _model_chart(
    by_model: dict[str, Ranking], model: str, default: str, measure: str, currency: str, units: Units
) -> dict[str, Any]:
    """The model that was chosen, beside the project's own."""
    drawn = by_model[model].lines[:DRAWN_BARS]
    several = {
        model_name(each): [_measured(line, measure, currency) for line in by_model[each].lines[:DRAWN_BARS]]
        for each in dict.fromkeys((model, default))
    }
    chart = bar_chart(
        [_named(line) for line in drawn], several, horizontal=True, unit="conversions", digits=1
    )
    return chart if measure == "conversions" else chart | money_series(several, currency, units)


def _measured(line: Line, measure: str, currency: str) -> Figure:
    if measure == "conversions":
        return line["credit_nano"]
    count = line["credit_nano"]
    nothing = Figure(0, "sum(net_amount_minor)", count.of.where("currency", currency), count.but)
    return line.amounts.get(currency, nothing)


def _counted(reader: Reader, rows: Slice, column: str) -> dict[str, Any] | None:
    """Bars over whole numbers from the least to the 30th; what lies beyond is one bar."""
    counts = time_to_convert.by(reader, rows, column)
    if not counts:
        return None
    last = min(max(counts), 30)
    numbers = range(min(min(counts), last), last + 1)
    names = [str(number) for number in numbers]
    figures = [rows.where(column, number).figure(_WAYS, counts.get(number, 0)) for number in numbers]
    if max(counts) > last:
        beyond = sum(count for number, count in counts.items() if number >= last)
        figures[-1] = rows.where(f"{column}.from", last).figure(_WAYS, beyond)
        names[-1] = f"{last}+"
    return bar_chart(names, {"Conversions": figures}, whole=True)


def _named(line: Line) -> str:
    return "(none)" if line.value is None else str(line.value)
