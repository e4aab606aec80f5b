"""Behaviour: who returned, which variant did better, and what one person did."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from math import ceil, floor
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyViewer
from read_api.dashboard.view import ALL, View, viewing
from read_api.parameters import Days, Page
from read_api.reports import cohorts, conversions, experiments, people
from read_api.slices import Figure, Slice

PATH = "/app/projects/{project_id}"

MOST_WEEKS = 12
"""After the first one, that the table of cohorts shows."""

PAGE_ROWS = 100

_VARIANT_COLUMNS = (
    *("exposed", "exposed_to_several", "converted", "rate", "rate_low", "rate_high", "uplift"),
    *("difference_low", "difference_high"),
)

_COHORT_MEASURES = {"returned": "Returned", "converted": "Converted"}
_REVENUE = "revenue-"

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/cohorts")
def cohort_table(request: Request, viewer: AnyViewer) -> Response:
    """People by the week in which they were first seen, and how many returned or converted since."""
    with viewing(request, viewer, "cohorts", converts=True, default=ALL) as view:
        view.is_of_days = False
        if view.dates == ALL:
            # The first week begins on its Monday, before which there may be nothing.
            view.days = Days(view.first - timedelta(days=view.first.weekday()), view.last)
        rows = view.rows("rpt_cohorts", "cohort_week")
        amounts = {
            f"{_REVENUE}{currency}": f"Net revenue in {currency}"
            for currency in view.currencies.in_order(cohorts.currencies(view.reading, rows))
        }
        measures = {**_COHORT_MEASURES, **amounts}
        measure = request.query_params.get("measure", "returned")
        if measure.startswith(_REVENUE) and measure not in measures:
            # In one currency there is no other, and as reported not that one.
            measure = next(iter(amounts), "returned")
        measure = measure if measure in measures else "returned"
        weeks = _cohort_weeks(view, rows, measure)
        # The week itself would drown all later ones: everybody came in it.
        first = 1 if measure == "returned" else 0
        ranks = sorted(
            cell["size"]
            for week in weeks.values()
            for number, cell in week["cells"].items()
            if number >= first and cell["size"] > 0 and not cell["is_unfinished"]
        )
        for week in weeks.values():
            for number, cell in week["cells"].items():
                cell["heat"] = heat_by_rank(cell["size"], ranks) if number >= first else 0
        lived = [n for week in weeks.values() for n, cell in week["cells"].items() if cell["number"]]
        context = {
            "weeks": weeks,
            "numbers": range(1 + max(lived, default=0)),
            "measures": list(measures.items()),
            "measure": measure,
            "title": measures[measure],
            "is_money": measure in amounts,
            "largest": max((week["people"].total for week in weeks.values()), default=0),
        }
        return view.render("cohorts.html", context)


def _cohort_weeks(view: View, rows: Slice, measure: str) -> dict[date, dict[str, Any]]:
    """Cohorts by their Monday: how many people they are, and cells by week number."""
    is_money = measure.startswith(_REVENUE)
    column = "net_amount_minor" if is_money else measure
    of_measure = rows.where("currency", measure.removeprefix(_REVENUE)) if is_money else rows
    counted = cohorts.by_week(view.reading, rows, "returned" if is_money else measure, MOST_WEEKS)
    earned = cohorts.earned_by_week(view.reading, of_measure, MOST_WEEKS) if is_money else {}
    weeks: dict[date, dict[str, Any]] = {}
    for monday, number, size, came in counted:
        found = earned.get((monday, number), 0) if is_money else came
        of = rows.where("cohort_week", monday).where("week_number", number)
        cell = of_measure.where("cohort_week", monday).where("week_number", number)
        week = weeks.setdefault(monday, {"people": of.figure("sum(people)", size), "cells": {}})
        week["cells"][number] = {
            "size": Decimal(found) / size if size else Decimal(),
            "number": cell.figure(f"sum({column})", found),
            "people": of.figure("sum(people)", size),
            "is_unfinished": monday + timedelta(days=7 * number + 6) >= (view.known.last or date.min),
        }
    for monday, week in weeks.items():
        # Over the weeks shown, which are all that the cells have.
        shown = of_measure.where("cohort_week", monday).where("week_number.to", MOST_WEEKS)
        week["sum"] = shown.figure(f"sum({column})", sum(c["number"].total for c in week["cells"].values()))
    return weeks


def heat_by_rank(size: Decimal, ranks: Sequence[Decimal]) -> int:
    """How dark a cell is: 0 for nothing, then five steps of as many finished cells each.

    By size, all but the first weeks would be one tint.
    """
    if size <= 0 or not ranks:
        return 0
    return min(5, 1 + 5 * bisect_left(ranks, size) // len(ranks))


@router.get(f"{PATH}/experiments")
def experiment_list(request: Request, viewer: AnyViewer) -> Response:
    """Each experiment's variants: rate, interval, and how they differ from the control."""
    with viewing(request, viewer, "experiments", dates=False) as view:
        rows = experiments.experiments(view.reading, view.project_id, page=Page(1000), filters=view.filters)
        goals = _goal_names(view)
        found = [
            {
                "name": judged[0].experiment_name or experiment_id,
                "experiment_id": experiment_id,
                "goals": [
                    {
                        "id": goal_id,
                        "name": goals.get(goal_id, goal_id) if goal_id else "all conversions",
                        "variants": [(each, _variant_figures(view, each)) for each in variants],
                        "axis": interval_axis(variants),
                    }
                    for goal_id, of_goal in groupby(judged, lambda row: row.goal_id)
                    for variants in [list(of_goal)]
                ],
            }
            for experiment_id, each in groupby(rows, lambda row: row.experiment_id)
            for judged in [list(each)]
        ]
        return view.render("experiments.html", {"experiments": found, "verdict": verdict})


@dataclass(frozen=True)
class Axis:
    """A scale around what is drawn on it; `ticks` are shares."""

    low: Decimal
    high: Decimal
    ticks: tuple[Decimal, ...]

    def place(self, share: Decimal) -> Decimal:
        """Where a share lies, in per cent of the axis."""
        return round(100 * (share - self.low) / (self.high - self.low), 2)


MOST_TICKS = 4
_STEPS = tuple(Decimal(step).scaleb(-power) for power in range(4, 0, -1) for step in (1, 2, 5))


def interval_axis(variants: Sequence[experiments.Variant]) -> Axis | None:
    """Around the intervals of some variants, with ticks at round shares; None where there are none."""
    ends = [end for each in variants for end in (each.rate_low, each.rate_high) if end is not None]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    step = next((step for step in _STEPS if (high - low) / step <= MOST_TICKS - 1), _STEPS[-1])
    first = floor(low / step)
    last = max(ceil(high / step), first + 1)
    ticks = tuple(step * number for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def _goal_names(view: View) -> dict[str, str]:
    """Names of the project's goals by id, of those that have one."""
    named = view.reading.rows(
        "select goal_id, name from dim_goals where project_id = ? and name is not null", [view.project_id]
    )
    return dict(named)


def _variant_figures(view: View, variant: experiments.Variant) -> dict[str, Figure]:
    """The numbers of a variant, by column."""
    of = view.rows(
        "rpt_experiments", None, experiment_id=variant.experiment_id, variant_id=variant.variant_id
    )
    of = of.where("goal_id", variant.goal_id)
    return {column: of.figure(f"sum({column})", getattr(variant, column)) for column in _VARIANT_COLUMNS}


@router.get(f"{PATH}/people")
def person(request: Request, viewer: AnyViewer) -> Response:
    """Somebody by any identifier: whose it is, what links them, and what they did."""
    asked = request.query_params
    wanted = asked.get("id", "").strip()
    with viewing(request, viewer, "people", dates=False, filters=not wanted, chooses_by_credit=True) as view:
        reader = view.reading
        found = people.find_people(reader, view.project_id, wanted) if wanted else []
        offset = asked.get("offset", "")
        start = int(offset) if offset.isascii() and offset.isdigit() and len(offset) < 9 else 0
        context: dict[str, Any] = {"wanted": wanted, "person": None, "latest": []}
        if found:
            moments = people.timeline(
                reader, view.project_id, found[0], Page(PAGE_ROWS, start), are_visits_once=True
            )
            context |= {
                "person": people.person(reader, view.project_id, found[0]),
                "also": found[1:],
                "identifiers": people.identifiers(reader, view.project_id, found[0]),
                "moments": moments,
                "goals": _goal_names(view),
                "after": reader.following,
                "before": max(0, start - PAGE_ROWS) if start else None,
            }
        elif not wanted:
            filters = conversions.Filters(filters=view.filters, model=view.model, page=Page(30))
            latest = conversions.conversions(reader, view.project_id, filters)
            context["latest"] = list({row.person_id: row for row in latest}.values())[:15]
        return view.render("people.html", context)


def verdict(variant: experiments.Variant) -> tuple[str, str]:
    """A word for how a variant differs from the control, and its colour."""
    if variant.is_control:
        return "control", ""
    if variant.difference_low is None or variant.difference_high is None:
        return "no control to compare with", ""
    if variant.difference_low > 0:
        return "better", "good"
    if variant.difference_high < 0:
        return "worse", "bad"
    return "inconclusive", ""
