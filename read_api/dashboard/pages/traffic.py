"""Traffic: where sessions come from, where they land, and what is credited for conversions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from read_api.conversion_paths import conversion_paths
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.change import column_change
from read_api.dashboard.figures import Units, model_name, origin
from read_api.dashboard.layout import bar_chart, money_series
from read_api.dashboard.net_revenue import NetRevenue, net_revenue
from read_api.dashboard.pages.performance import Row, choices, table_context, with_bars
from read_api.dashboard.view import ALL, View, viewing
from read_api.filters import DIMENSIONS, applied, not_applied, path_to
from read_api.performance_lines import OF_CONVERSIONS, Value
from read_api.ranking import Line, Ranked, Ranking, ranked, ranked_by_model
from read_api.reader import Reader
from read_api.reports import goals, landing_pages, paths, time_to_convert
from read_api.reports.projects import project
from read_api.slices import Figure, Slice, slice_of

PATH = "/app/projects/{project_id}"

MOST_ROWS = 1000
"""Of one report on a page; what is longer is for exports."""

DRAWN_BARS = 12
DRAWN_PATHS = 100
DRAWN_SOURCES = 8
DRAWN_TOUCHES = 4
"""The last touches of a path that the picture tells apart."""

_EARLIER, _OTHERS, _CONVERSION = "earlier", "other sources", "conversion"

_MEASURES = (("conversions", "Conversions"), ("amount", "Revenue"))

_LANDED = (
    "sessions",
    "converting",
    "conversion_rate",
    "conversions",
    "pending",
    "net_amount",
    "spend",
    "roas",
    "profit",
)
_VIEWED = Ranked(
    "page_id",
    ("views", "conversions", "assisted_conversions"),
    labels=("page_name", "page_kind"),
)
_CREDITED = ("credit_nano",)
_MEDIAN = "path_median_seconds"
_WAYS = "sum(conversions)"

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/landing-pages")
def landing_page_list(request: Request, viewer: AnyViewer) -> Response:
    """Where sessions begin and what becomes of them; and views of all pages with what they assisted."""
    with viewing(request, viewer, "landing-pages", compares=True, converts=True) as view:
        in_order = view.currencies.in_order
        try:
            chosen = choices(view, ("landing_page",), _LANDED, "-sessions")
            found = landing_pages.landed(view.reading, view.project_id, chosen.asked, in_order)
        except Refusal as refused:
            if refused.status != 400:
                raise
            return view.render("landing_pages.html", {"problem": refused.detail}, 400)
        rows = [Row(line, 0, "landing_page", value=line.values[0]) for line in found.lines]
        with_bars(chosen, rows)
        viewed = ranked(view.reading, view.rows("rpt_pages"), _VIEWED, view.most_rows, in_order)
        context = {**table_context(chosen, found), "rows": rows, "viewed": viewed, "converted": _all(view)}
        return view.render("landing_pages.html", context)


@dataclass(frozen=True)
class Converted:
    """All conversions of the days shown: those that no page is known of, and what all of them make."""

    without_page: Figure
    amounts_without: list[Figure]
    total: Figure
    net: NetRevenue


def _all(view: View) -> Converted:
    """Whatever is filtered: it stands below pages, which can't be."""
    every = slice_of(view.reading, "fct_conversions", view.project_id).on("conversion_date", view.days)
    every = every.where("state.not", "rejected")
    condition, values = every.condition
    found = view.reading.rows(
        f"""
        select currency, page_id is null, count(*), coalesce(sum(net_amount_minor), 0)
        from fct_conversions
        where {condition}
        group by all
        """,  # noqa: S608
        values,
    )

    def sums(rows: Slice, wanted: Callable[[bool], bool]) -> tuple[Figure, dict[str, Figure]]:
        amounts: Counter[str] = Counter()
        for currency, is_without, _, minor in found:
            amounts[currency] += minor if wanted(is_without) else 0
        return rows.figure("count(*)", sum(row[2] for row in found if wanted(row[1]))), {
            each: rows.where("currency", each).figure("sum(net_amount_minor)", amounts[each])
            for each in view.currencies.in_order(amounts)
        }

    without, of_them = sums(every.where("page_id", None), lambda is_without: is_without)
    total, amounts = sums(every, lambda _: True)
    moneys = [each for each in of_them.values() if each]
    return Converted(without, moneys, total, net_revenue(view, amounts, is_filtered=False))


@router.get(f"{PATH}/attribution")
def attribution_models(request: Request, viewer: AnyViewer) -> Response:
    """Credit by one model, and all models side by side."""
    with viewing(request, viewer, "attribution", credits=True, converts=True) as view:
        asked = request.query_params
        models = in_order_of_models(view.reading.facts["attribution_models"])
        default = project(view.reading, view.project_id).default_model
        model = view.model
        dimensions = [
            name for name in DIMENSIONS if name != "goal" and path_to("fct_attribution", name, view.reading)
        ]
        by = asked.get("by", "source")
        by = by if by in dimensions else "source"
        measure = asked.get("measure", "conversions")
        measure = measure if measure in dict(_MEASURES) else "conversions"
        goal_names = _converting_goals(view.reading, view.project_id)
        goal = asked.get("goal", "")
        goal = goal if goal in goal_names else ""
        rows, ranks = _credited(view, by, goal)
        # The model that was chosen leads, so that values come in its order.
        ordered = (model, *(each for each in models if each != model))
        by_model = ranked_by_model(
            view.reading, rows, ranks, view.most_rows, view.currencies.in_order, ordered
        )
        chosen = by_model[model]
        # Nothing that one could filter by is known of refunds without a sale.
        net = None if goal or view.filters else net_revenue(view, chosen.total.amounts)
        currency = view.currencies.main(chosen.total.amounts)
        context = {
            "models": models,
            "model": model,
            "default": default,
            "dimensions": dimensions,
            "labels": DIMENSIONS,
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
            "unfiltered": [
                (each.dimension, each.words) for each in not_applied(rows.mart, view.filters, view.reading)
            ],
            "table": _side_by_side(by_model, measure, currency, ranks.amount),
            "against": _against(by_model, model, default, measure, currency, ranks.amount),
            "change": column_change,
            "measured": lambda line: _measured(line, measure, currency, ranks.amount),
            "spend": _spend(view, by, chosen, net),
            "chart": _model_chart(by_model, model, default, measure, currency, view.units, ranks.amount),
        }
        return view.render("attribution.html", context)


_MODELS = (
    "last_touch",
    "last_paid_touch",
    "named_touch",
    "first_touch",
    "first_touch_lifetime",
    "linear",
    "linear_sources",
    "position_based",
    "time_decay",
    "markov",
    "shapley",
)
"""From one touch that takes all, the last first, over shares by rule to those that data decide."""


def in_order_of_models(models: Sequence[str]) -> tuple[str, ...]:
    """Models as pages list them; those that nobody knows here come at the end."""
    return tuple(sorted(models, key=lambda each: (_MODELS.index(each) if each in _MODELS else 99, each)))


def _credited(view: View, by: str, goal: str) -> tuple[Slice, Ranked]:
    """The rows that credit is summed of: of the mart as long as it has the dimension and the filters."""
    reader, filters = view.reading, view.filters
    mart = "rpt_goal_attribution" if goal else "rpt_attribution"
    days, amount = "report_date", "net_amount_minor"
    if path_to(mart, by, reader) is None or not_applied(mart, filters, reader):
        mart, days, amount = "fct_attribution", "conversion_date", "credited_amount_minor"
    rows = slice_of(reader, mart, view.project_id).on(days, view.days)
    rows = applied(rows, filters, reader, view.model)
    if goal:
        path = "goal_id" if mart == "rpt_goal_attribution" else "fct_goal_completions.goal_id"
        rows = rows.where(path, goal)
    return rows, Ranked(path_to(mart, by, reader) or by, _CREDITED, amount)


@dataclass(frozen=True)
class Spent:
    """What was spent on one line, and what that makes of what it is credited."""

    costs: list[Figure]
    conversions: Figure
    amounts: dict[str, Figure]

    @property
    def has_more(self) -> bool:
        """Whether something was earned in a currency in which nothing was spent."""
        spent = {each.currency for each in self.costs}
        return bool(spent) and any(each and each.currency not in spent for each in self.amounts.values())

    @property
    def ratios(self) -> list[tuple[Figure, Figure]]:
        """Revenue over spend, of each currency in which something was spent."""
        return [(self.amounts[each.currency], each) for each in self.costs if each.currency in self.amounts]


def _spend(view: View, by: str, ranking: Ranking, net: NetRevenue | None) -> dict[str, Any] | None:
    """By lines, all others and the total; None where spend has no such dimension, or no such filter.

    The total's ROAS is that of other pages: of net revenue, with refunds without a sale taken off.
    """
    reader, filters = (
        view.reading,
        [each for each in view.filters if each.dimension not in OF_CONVERSIONS],
    )
    path = path_to("fct_costs", by, reader)
    if path is None or not_applied("fct_costs", filters, reader):
        return None
    rows = slice_of(reader, "fct_costs", view.project_id).on("cost_date", view.days)
    rows = applied(rows, filters, reader, "")
    condition, values = rows.condition
    column = "sum(amount_minor)"
    found = reader.rows(
        f"select {path}, currency, {column} from fct_costs where {condition} "  # noqa: S608
        f"group by all having {column} > 0",
        values,
    )
    known: dict[Any, dict[str, int]] = {}
    total: Counter[str] = Counter()
    for value, currency, minor in found:
        known.setdefault(value, {})[currency] = minor
        total[currency] += minor

    def spent(line: Line, of: Slice, minors: Mapping[str, int], but: str = "") -> Spent:
        costs = [
            Figure(minors[each], column, of.where("currency", each), but)
            for each in view.currencies.in_order(each for each in minors if minors[each])
        ]
        return Spent(costs, line["credit_nano"], line.amounts)

    earned = {each.currency: each for each in net.totals} if net else ranking.total.amounts
    listed = [known.pop(line.value, {}) for line in ranking.lines]
    rest: Counter[str] = Counter()
    for minors in known.values():
        rest.update(minors)
    return {
        "lines": [
            spent(line, rows.where(path, line.value), minors)
            for line, minors in zip(ranking.lines, listed, strict=True)
        ],
        # What was spent on values that nothing is credited to is among it, too.
        "other": spent(ranking.other or Line(None, dict(ranking.total.counts)), rows, rest, path),
        "total": replace(spent(ranking.total, rows, total), amounts=earned),
        "has_more": bool(rest),
    }


def _against(
    by_model: dict[str, Ranking], model: str, default: str, measure: str, currency: str, amount: str
) -> list[tuple[Value, Value]] | None:
    """Per line what the model gives and what the default one gives; None where they are the same."""
    if model == default:
        return None
    kind = "count" if measure == "conversions" else "money"

    def values(name: str) -> list[Value]:
        ranking = by_model[name]
        lines = [*ranking.lines, *([ranking.other] if ranking.other else [])]
        return [Value(kind, _measured(line, measure, currency, amount)) for line in lines]

    return list(zip(values(model), values(default), strict=True))


def _converting_goals(reader: Reader, project_id: str) -> dict[str, str]:
    """Names by id of the goals that some conversion completed, on whatever day."""
    found = goals.goals(reader, project_id, goals.Filters())
    return {goal.goal_id: goal.name or goal.goal_id for goal in found if goal.conversions}


@dataclass(frozen=True)
class Paths:
    """Frequent paths: the rows that they are of, the column that tells them apart, sources and medians."""

    rows: Slice
    ranking: Ranking
    by: str
    sources: list[list[str]]
    medians: list[Figure | None]

    @property
    def lines(self) -> list[tuple[list[str], Line, Figure | None]]:
        """For the table."""
        return list(zip(self.sources, self.ranking.lines, self.medians, strict=True))


@router.get(f"{PATH}/paths")
def path_list(request: Request, viewer: AnyViewer) -> Response:
    """Conversion paths, as a picture and by frequency; and how long they took."""
    with viewing(request, viewer, "paths", converts=True, chooses_by_credit=True) as view:
        ways = None if view.filters else view.rows("rpt_time_to_convert")
        if view.dates == ALL and not view.filters:
            # What is frequent in all time is counted already.
            found = _frequent_paths(view)
        else:
            rows = conversion_paths(view.reading, view.project_id, view.days)
            rows = applied(rows, view.filters, view.reading, view.model)
            found, ways = _chosen_paths(view, rows), ways or rows
        assert ways is not None
        context = {
            "ranking": found.ranking,
            "is_frequent": found.by == "path_rank",
            "is_of_credit": any(each.of_credit for each in view.filters),
            "paths": found.lines,
            "sankey": sankey(found) if found.ranking else None,
            "days": _counted(view.reading, ways, "days_to_convert"),
            "touches": _counted(view.reading, ways, "touches"),
        }
        return view.render("paths.html", context)


def _frequent_paths(view: View) -> Paths:
    rows = view.rows("rpt_paths", None)
    # Builds of older versions have no median over all currencies.
    has_median = _MEDIAN in {column.name for column in view.reading.marts["rpt_paths"].columns}
    ranks = Ranked("path_rank", ("conversions",), labels=("path", _MEDIAN) if has_median else ("path",))
    found = ranked(view.reading, rows, ranks, view.most_rows, view.currencies.in_order)
    medians = [
        rows.where("path_rank", line.value).figure(f"max({_MEDIAN})", line.labels[1]) if has_median else None
        for line in found.lines
    ]
    return Paths(rows, found, "path_rank", [line.labels[0].split(" > ") for line in found.lines], medians)


def _chosen_paths(view: View, rows: Slice) -> Paths:
    found = ranked(
        view.reading, rows, Ranked("path", ("conversions",)), view.most_rows, view.currencies.in_order
    )
    named = [line.value for line in found.lines]
    times = paths.medians(view.reading, rows, named) if named else {}
    medians = [rows.where("path", path).figure(paths.MEDIAN, times[path]) for path in named]
    return Paths(rows, found, "path", [path.split(" > ") for path in named], list(medians))


def sankey(of: Paths) -> dict[str, Any]:
    """The last touches of frequent paths, as nodes by place and source, flowing into the conversion."""
    frequent = [
        (line.value, path, int(line["conversions"].total)) for path, line, _ in of.lines[:DRAWN_PATHS]
    ]
    weights: Counter[str] = Counter()
    for _, path, conversions in frequent:
        for source in set(path):
            weights[source] += conversions
    kept = {source for source, _ in weights.most_common(DRAWN_SOURCES)}
    links: dict[tuple[str, str], list[tuple[Any, int]]] = {}
    nodes: dict[str, tuple[int, str]] = {}
    for value, path, conversions in frequent:
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
            link.append((value, conversions))
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
                "sources": [dict(origin(_of_paths(of, each)))],
            }
            for (source, target), each in sorted(links.items())
        ],
    }


def _of_paths(of: Paths, each: list[tuple[Any, int]]) -> Figure:
    found = of.rows.where(of.by, tuple(value for value, _ in each))
    return found.figure(_WAYS, sum(number for _, number in each))


def _side_by_side(by_model: dict[str, Ranking], measure: str, currency: str, amount: str) -> dict[str, Any]:
    """Per value, of all others and of everything: what each model gives, and how dark that is (0 to 5)."""
    every = next(iter(by_model.values()))
    figures = {
        model: [_measured(line, measure, currency, amount) for line in ranking.lines]
        for model, ranking in by_model.items()
    }
    rows = []
    for number, line in enumerate(every.lines):
        cells = {model: each[number] for model, each in figures.items()}
        # Of the row: models are compared, and values need not be equally large for that.
        most = max(abs(Decimal(figure.total)) for figure in cells.values())
        shades = {model: heat(Decimal(figure.total), most) for model, figure in cells.items()}
        rows.append(
            {
                "value": line.value,
                "cells": {
                    model: {"figure": figure, "heat": shades[model]} for model, figure in cells.items()
                },
            }
        )
    return {
        "rows": rows,
        "digits": max(ranking.digits("credit_nano") for ranking in by_model.values()),
        "other": {
            model: _measured(ranking.other, measure, currency, amount)
            for model, ranking in by_model.items()
            if ranking.other
        },
        "total": {
            model: _measured(ranking.total, measure, currency, amount) for model, ranking in by_model.items()
        },
    }


def heat(part: Decimal, most: Decimal) -> int:
    """How dark a figure's cell is: 0 for nothing, then five steps up to the largest."""
    if part <= 0 or not most:
        return 0
    return min(5, 1 + int(5 * part / most))


def _model_chart(
    by_model: dict[str, Ranking],
    model: str,
    default: str,
    measure: str,
    currency: str,
    units: Units,
    amount: str,
) -> dict[str, Any]:
    """The model that was chosen, beside the project's own."""
    drawn = by_model[model].lines[:DRAWN_BARS]
    several = {
        model_name(each): [
            _measured(line, measure, currency, amount) for line in by_model[each].lines[:DRAWN_BARS]
        ]
        for each in dict.fromkeys((model, default))
    }
    chart = bar_chart(
        [_named(line) for line in drawn], several, horizontal=True, unit="conversions", digits=1
    )
    return chart if measure == "conversions" else chart | money_series(several, currency, units)


def _measured(line: Line, measure: str, currency: str, amount: str) -> Figure:
    if measure == "conversions":
        return line["credit_nano"]
    count = line["credit_nano"]
    nothing = Figure(
        0, f"sum({amount})", count.of.where("currency", currency), count.but, behind=count.behind
    )
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
