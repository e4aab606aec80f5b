"""Behaviour: who returned, which variant did better, and what one person did."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyViewer
from read_api.dashboard.pages.traffic import heat
from read_api.dashboard.view import ALL, View, viewing
from read_api.parameters import Days, Page
from read_api.reports import cohorts, conversions, experiments, people
from read_api.slices import Figure

PATH = "/app/projects/{project_id}"

MOST_WEEKS = 12
"""After the first one, that the table of cohorts shows."""

PAGE_ROWS = 100

_VARIANT_COLUMNS = (
    *("exposed", "exposed_to_several", "converted", "rate", "rate_low", "rate_high", "uplift"),
    *("difference_low", "difference_high"),
)

_COHORT_MEASURES = (("returned", "Returned"), ("converted", "Converted"))

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/cohorts")
def cohort_table(request: Request, viewer: AnyViewer) -> Response:
    """People by the week in which they were first seen, and how many returned or converted since."""
    with viewing(request, viewer, "cohorts", default=ALL) as view:
        measure = request.query_params.get("measure", "returned")
        measure = measure if measure in dict(_COHORT_MEASURES) else "returned"
        if view.dates == ALL:
            # The first week begins on its Monday, before which there may be nothing.
            view.days = Days(view.first - timedelta(days=view.first.weekday()), view.last)
        rows = view.rows("rpt_cohorts", "cohort_week")
        weeks: dict[date, dict[str, Any]] = {}
        for monday, number, people, came in cohorts.by_week(view.reading, rows, measure, MOST_WEEKS):
            of = rows.where("cohort_week", monday).where("week_number", number)
            week = weeks.setdefault(monday, {"people": of.figure("sum(people)", people), "cells": {}})
            week["cells"][number] = {
                "share": Decimal(came) / people if people else Decimal(),
                "number": of.figure(f"sum({measure})", came),
                "people": of.figure("sum(people)", people),
                "is_unfinished": monday + timedelta(days=7 * number + 6) >= (view.known.last or date.min),
            }
        # The week itself would drown all later ones: everybody came in it.
        first = 1 if measure == "returned" else 0
        shares = [cell["share"] for week in weeks.values() for n, cell in week["cells"].items() if n >= first]
        for week in weeks.values():
            for number, cell in week["cells"].items():
                cell["heat"] = heat(cell["share"], max(shares, default=Decimal())) if number >= first else 0
        lived = [n for week in weeks.values() for n, cell in week["cells"].items() if cell["number"]]
        context = {
            "weeks": weeks,
            "numbers": range(1 + max(lived, default=0)),
            "measures": _COHORT_MEASURES,
            "measure": measure,
        }
        return view.render("cohorts.html", context)


@router.get(f"{PATH}/experiments")
def experiment_list(request: Request, viewer: AnyViewer) -> Response:
    """Each experiment's variants: rate, interval, and how they differ from the control."""
    with viewing(request, viewer, "experiments", dates=False) as view:
        rows = experiments.experiments(view.reading, view.project_id, page=Page(1000), filters=view.filters)
        found = [
            {
                "name": variants[0].experiment_name or experiment_id,
                "experiment_id": experiment_id,
                "goal_id": goal_id,
                "variants": [(each, _variant_figures(view, each)) for each in variants],
                "largest": max((each.rate_high or Decimal() for each in variants), default=Decimal()),
            }
            for (experiment_id, goal_id), each in groupby(rows, lambda row: (row.experiment_id, row.goal_id))
            for variants in [list(each)]
        ]
        return view.render("experiments.html", {"experiments": found, "verdict": verdict})


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
            moments = people.timeline(reader, view.project_id, found[0], Page(PAGE_ROWS, start))
            context |= {
                "person": people.person(reader, view.project_id, found[0]),
                "also": found[1:],
                "identifiers": people.identifiers(reader, view.project_id, found[0]),
                "moments": moments,
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
