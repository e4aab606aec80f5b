"""Traffic: where sessions come from, where they land, and what is credited for conversions."""

from collections import Counter
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyHere
from read_api.dashboard.figures import decimals, major
from read_api.dashboard.layout import Line, bar_chart, by_value, main_currency, together
from read_api.dashboard.view import viewing
from read_api.parameters import MAX_LIMIT, Page
from read_api.publications import Reader
from read_api.reports import (
    attribution,
    campaigns,
    channel_importance,
    goals,
    landing_pages,
    pages,
    paths,
    sources,
    time_to_convert,
)
from read_api.reports.projects import project

PATH = "/app/projects/{project_id}"

MOST_ROWS = 1000
"""Of one report on a page; what is longer is for exports."""

DRAWN_BARS = 12
_DRAWN_HALF = DRAWN_BARS // 2
DRAWN_PATHS = 200
DRAWN_SOURCES = 8
DRAWN_TOUCHES = 4
"""The last touches of a path that the picture tells apart."""

_EARLIER, _OTHERS, _CONVERSION = "earlier", "other sources", "conversion"

_MEASURES = (("conversions", "Conversions"), ("amount", "Revenue"))

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/sources")
def source_list(request: Request, here: AnyHere) -> Response:
    """Sessions, conversions and money by source, or another dimension; ad spend beside what it brought."""
    with viewing(request, here, "sources", country=True) as view:
        asked = request.query_params
        by = asked.get("by", "source")
        by = by if by in sources.DIMENSIONS else "source"
        filters = sources.Filters(by, view.days, view.country, page=Page(MOST_ROWS))
        lines = by_value(
            sources.sources(view.reading, view.project_id, filters),
            lambda row: row.value,
            ("sessions", "conversions", "pending_conversions"),
            "net_amount_minor",
        )
        spent = campaigns.campaigns(
            view.reading, view.project_id, campaigns.Filters(view.days, page=Page(MOST_ROWS))
        )
        drawn = lines[:DRAWN_BARS]
        context = {
            "dimensions": sources.DIMENSIONS,
            "by": by,
            "lines": lines,
            "total": together(lines),
            "chart": bar_chart(
                [_named(line) for line in drawn],
                {"Sessions": [line["sessions"] for line in drawn]},
                lying=True,
                whole=True,
                unit="sessions",
            ),
            "campaigns": [row for row in spent if row.cost_minor],
        }
        return view.render("sources.html", context)


@router.get(f"{PATH}/landing-pages")
def landing_page_list(request: Request, here: AnyHere) -> Response:
    """Where sessions begin and what becomes of them; and views of all pages with what they assisted."""
    with viewing(request, here, "landing-pages") as view:
        landed = by_value(
            landing_pages.landing_pages(
                view.reading, view.project_id, landing_pages.Filters(view.days, page=Page(MOST_ROWS))
            ),
            lambda row: row.landing_page,
            ("sessions", "converting_sessions", "conversions"),
            "net_amount_minor",
        )
        found = pages.pages(view.reading, view.project_id, pages.Filters(view.days, page=Page(MOST_ROWS)))
        names = {row.page_id: row.page_name or row.page_id for row in found}
        kinds = {row.page_id: row.page_kind for row in found}
        viewed = by_value(
            found,
            lambda row: row.page_id,
            ("views", "conversions", "assisted_conversions"),
            "net_amount_minor",
        )
        context = {"landed": landed, "viewed": viewed, "names": names, "kinds": kinds}
        return view.render("landing_pages.html", context)


@router.get(f"{PATH}/attribution")
def attribution_models(request: Request, here: AnyHere) -> Response:
    """Credit by one model, and all models side by side."""
    with viewing(request, here, "attribution") as view:
        asked = request.query_params
        models = tuple(view.reading.facts["attribution_models"])
        default = project(view.reading, view.project_id).default_model
        model = asked.get("model", default)
        model = model if model in models else default
        by = asked.get("by", "source")
        by = by if by in attribution.DIMENSIONS else "source"
        measure = asked.get("measure", "conversions")
        measure = measure if measure in dict(_MEASURES) else "conversions"
        goal_names = _converting_goals(view.reading, view.project_id)
        goal = asked.get("goal", "")
        goal = goal if goal in goal_names else ""
        # The model that was chosen leads, so that values come in its order.
        ordered = (model, *(each for each in models if each != model))
        filters = attribution.Filters(ordered, by, view.days, goal_id=goal or None, page=Page(MOST_ROWS))
        rows = attribution.credits(view.reading, view.project_id, filters)
        by_model = {
            each: by_value(
                (row for row in rows if row.model == each),
                lambda row: row.value,
                ("conversions",),
                "net_amount_minor",
            )
            for each in ordered
        }
        for lines in by_model.values():
            lines.sort(key=lambda line: line["conversions"], reverse=True)
        chosen = by_model[model]
        currency = main_currency(chosen, project(view.reading, view.project_id).reporting_currency)
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
            "lines": chosen,
            "total": together(chosen),
            "currency": currency,
            "table": _side_by_side(by_model, measure, currency),
            "chart": _model_chart(by_model, model, default, measure, currency),
        }
        return view.render("attribution.html", context)


def _converting_goals(reader: Reader, project_id: str) -> dict[str, str]:
    """Names by id of the goals that some conversion completed, on whatever day."""
    found = goals.goals(reader, project_id, goals.Filters())
    return {goal.goal_id: goal.name or goal.goal_id for goal in found if goal.conversions}


@router.get(f"{PATH}/channel-importance")
def importance_of_channels(request: Request, here: AnyHere) -> Response:
    """What would be lost without each source, and its part of the conversion rate."""
    with viewing(request, here, "channel-importance", dates=False) as view:
        channels = channel_importance.channel_importance(view.reading, view.project_id, Page(MAX_LIMIT))
        by_part = sorted(channels, key=lambda row: (-row.shapley_value, row.source))
        # Sources that lower the rate stand at the other end.
        drawn = by_part if len(by_part) <= DRAWN_BARS else [*by_part[:_DRAWN_HALF], *by_part[-_DRAWN_HALF:]]
        context = {
            "channels": channels[:MOST_ROWS],
            "found": len(channels),
            "is_converting": any(row.converting_journeys for row in channels),
            "rate": sum(row.shapley_value for row in channels),
            "lost": _percent_chart(
                "Lost without it", [(r.source, r.removal_effect) for r in channels[:DRAWN_BARS]]
            ),
            "part": _percent_chart(
                "Part of the rate", [(r.source, r.shapley_value) for r in drawn], digits=2
            ),
        }
        return view.render("channel_importance.html", context)


def _percent_chart(name: str, parts: list[tuple[str, Decimal]], digits: int = 1) -> dict[str, Any]:
    return bar_chart(
        [source for source, _ in parts],
        {name: [100 * part for _, part in parts]},
        lying=True,
        unit="%",
        digits=digits,
    )


@router.get(f"{PATH}/paths")
def path_list(request: Request, here: AnyHere) -> Response:
    """The ways to conversions, as a picture and by frequency; and how long they took."""
    with viewing(request, here, "paths") as view:
        rows = paths.paths(view.reading, view.project_id, page=Page(MOST_ROWS))
        lines = [
            (path, list(each)) for path, each in groupby(rows, key=lambda row: (row.path_rank, row.path))
        ]
        ways = time_to_convert.time_to_convert(
            view.reading, view.project_id, time_to_convert.Filters(view.days, page=Page(10_000))
        )
        took: Counter[int] = Counter()
        touched: Counter[int] = Counter()
        for way in ways:
            took[way.days_to_convert] += way.conversions
            touched[way.touches] += way.conversions
        context = {
            "paths": [
                {
                    "sources": path.split(" > "),
                    "conversions": sum(row.conversions for row in each),
                    "moneys": [(row.currency, row.net_amount_minor) for row in each],
                    # Medians of several currencies don't add up.
                    "median_seconds": each[0].median_seconds if len(each) == 1 else None,
                }
                for (_, path), each in lines[:100]
            ],
            "sankey": sankey(rows[:DRAWN_PATHS]) if rows else None,
            "days": _counted(took, "Conversions") if took else None,
            "touches": _counted(touched, "Conversions") if touched else None,
        }
        return view.render("paths.html", context)


def sankey(rows: list[paths.Path]) -> dict[str, Any]:
    """The last touches of frequent paths, as nodes by place and source, flowing into the conversion."""
    weights: Counter[str] = Counter()
    for row in rows:
        for source in set(row.path.split(" > ")):
            weights[source] += row.conversions
    kept = {source for source, _ in weights.most_common(DRAWN_SOURCES)}
    links: Counter[tuple[str, str]] = Counter()
    nodes: dict[str, tuple[int, str]] = {}
    for row in rows:
        touched = [source if source in kept else _OTHERS for source in row.path.split(" > ")]
        shown = touched[-DRAWN_TOUCHES:]
        if len(touched) > DRAWN_TOUCHES:
            shown = [_EARLIER, *shown]
        places = [(DRAWN_TOUCHES + 1 - (len(shown) - number), source) for number, source in enumerate(shown)]
        places.append((DRAWN_TOUCHES + 1, _CONVERSION))
        for place, source in places:
            nodes[f"{place} {source}"] = (place, source)
        for (place, source), (next_place, following) in pairwise(places):
            links[f"{place} {source}", f"{next_place} {following}"] += row.conversions
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
                "value": value,
                "from": nodes[source][1],
                "to": nodes[target][1],
            }
            for (source, target), value in sorted(links.items())
        ],
    }


def _side_by_side(
    by_model: dict[str, list[Line[str | None]]], measure: str, currency: str
) -> list[dict[str, Any]]:
    """Per value: what each model gives it, and how dark that is in its column's colours (0 to 5)."""
    figures = {
        model: {
            line.value: line["conversions"]
            if measure == "conversions"
            else Decimal(line.amounts.get(currency, 0))
            for line in lines
        }
        for model, lines in by_model.items()
    }
    most = max((abs(number) for each in figures.values() for number in each.values()), default=Decimal())
    values = [line.value for line in next(iter(by_model.values()))]
    return [
        {
            "value": value,
            "cells": {
                model: {"figure": each.get(value, Decimal()), "heat": heat(each.get(value, Decimal()), most)}
                for model, each in figures.items()
            },
        }
        for value in values
    ]


def heat(part: Decimal, most: Decimal) -> int:
    """How dark a figure's cell is: 0 for nothing, then five steps up to the largest."""
    if part <= 0 or not most:
        return 0
    return min(5, 1 + int(5 * part / most))


def _model_chart(
    by_model: dict[str, list[Line[str | None]]], model: str, default: str, measure: str, currency: str
) -> dict[str, Any]:
    """The model that was chosen, beside the project's own."""
    drawn = by_model[model][:DRAWN_BARS]
    series: dict[str, list[Decimal]] = {}
    for each in dict.fromkeys((model, default)):
        lines = {line.value: line for line in by_model[each]}
        series[each.replace("_", " ")] = [
            _measured(lines.get(line.value), measure, currency) for line in drawn
        ]
    unit = {"unit": currency, "digits": decimals(currency)}
    return bar_chart(
        [_named(line) for line in drawn],
        series,
        lying=True,
        **({"unit": "conversions", "digits": 1} if measure == "conversions" else unit),
    )


def _measured(line: Line[str | None] | None, measure: str, currency: str) -> Decimal:
    if line is None:
        return Decimal()
    return line["conversions"] if measure == "conversions" else major(line.amounts.get(currency, 0), currency)


def _counted(counts: Counter[int], name: str) -> dict[str, Any]:
    """Bars over whole numbers from the least to the 30th; what lies beyond is one bar."""
    last = min(max(counts), 30)
    numbers = list(range(min(min(counts), last), last + 1))
    values = [counts[number] for number in numbers]
    names = [str(number) for number in numbers]
    if max(counts) > last:
        values[-1] += sum(value for number, value in counts.items() if number > last)
        names[-1] = f"{last}+"
    return bar_chart(names, {name: values}, whole=True)


def _named(line: Line[str | None]) -> str:
    return "(none)" if line.value is None else line.value
