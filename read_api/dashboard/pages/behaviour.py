"""Behaviour: who came back, which variant did better, and what one person did."""

from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard.access import AnyHere
from read_api.dashboard.layout import by_value
from read_api.dashboard.pages.traffic import heat
from read_api.dashboard.view import ALL, viewing
from read_api.parameters import Page
from read_api.reports import cohorts, conversions, experiments, people

PATH = "/app/projects/{project_id}"

MOST_WEEKS = 12
"""After the first one, that the table of cohorts shows."""

PAGE_ROWS = 100

_COHORT_MEASURES = (("returned", "Came back"), ("converted", "Converted"))

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/cohorts")
def cohort_table(request: Request, here: AnyHere) -> Response:
    """People by the week in which they were first seen, and how many came back or converted since."""
    with viewing(request, here, "cohorts", default=ALL) as view:
        measure = request.query_params.get("measure", "returned")
        measure = measure if measure in dict(_COHORT_MEASURES) else "returned"
        rows = cohorts.cohorts(view.reading, view.project_id, cohorts.Filters(view.days, page=Page(10_000)))
        cells = by_value(
            [row for row in rows if row.week_number <= MOST_WEEKS],
            lambda row: (row.cohort_week, row.week_number),
            ("people", measure),
            "net_amount_minor",
        )
        weeks: dict[date, dict[str, Any]] = {}
        for cell in cells:
            monday, number = cell.value
            week = weeks.setdefault(monday, {"people": cell["people"], "cells": {}})
            share = cell[measure] / cell["people"] if cell["people"] else Decimal()
            week["cells"][number] = {"share": share, "number": cell[measure]}
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
def experiment_list(request: Request, here: AnyHere) -> Response:
    """Each experiment's variants: rate, interval, and how they differ from the control."""
    with viewing(request, here, "experiments", dates=False) as view:
        rows = experiments.experiments(view.reading, view.project_id, page=Page(1000))
        found = [
            {
                "name": variants[0].experiment_name or experiment_id,
                "experiment_id": experiment_id,
                "goal_id": goal_id,
                "variants": variants,
                "largest": max((each.rate_high or Decimal() for each in variants), default=Decimal()),
            }
            for (experiment_id, goal_id), each in groupby(rows, lambda row: (row.experiment_id, row.goal_id))
            for variants in [list(each)]
        ]
        return view.render("experiments.html", {"experiments": found, "verdict": verdict})


@router.get(f"{PATH}/people")
def person(request: Request, here: AnyHere) -> Response:
    """Somebody by any identifier: whose it is, what links them, and what they did."""
    with viewing(request, here, "people", dates=False) as view:
        asked = request.query_params
        wanted = asked.get("id", "").strip()
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
            filters = conversions.Filters(page=Page(30))
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
    return "not decided", ""
