"""Goals and funnels: their figures, and forms that define them through the ingest API.

What is published is of the last build, what the ingest API has is what holds from the next one on: pages show
both, and say of which they speak.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard import rules
from read_api.dashboard.access import AnyViewer, Editor, Fields, Form, Viewer
from read_api.dashboard.defined import FUNNELS, GOALS, Defined, see_other
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.rendering import html
from read_api.dashboard.view import View, frame, has_figures, viewing
from read_api.parameters import Days, Page
from read_api.reader import Reader
from read_api.reports import funnels, goals
from read_api.slices import Figure, Slice

PATH = "/app/projects/{project_id}"

FIRST_STEPS = 3
MOST_STEPS = 20
DRAWN_SOURCES = 50

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/goals")
def goal_list(request: Request, viewer: AnyViewer) -> Response:
    """Goals with their completions; what was defined or deleted since the last build says so."""
    with viewing(request, viewer, "goals", country=True, said_when_empty=True) as view:
        published = goals.goals(
            view.reading, view.project_id, goals.Filters(view.days, view.country, Page(1000))
        )
        defined = Defined(request, viewer).all(GOALS)
        waiting = [
            {**goal, "rule": rules.words(goal)}
            for goal in (defined or {}).values()
            if _is_after(goal["received_us"], view.reading)
        ]
        counted = {
            goal.goal_id: {
                column: view.rows("rpt_goals", goal_id=goal.goal_id, country=view.country).figure(
                    f"sum({column})", getattr(goal, column)
                )
                for column in ("completions", "sessions", "conversions")
            }
            for goal in published
        }
        context = {
            "goals": published,
            "counted": counted,
            "rule_words": _published_rule,
            "editable": set(defined or ()),
            "deleted": {
                goal.goal_id
                for goal in published
                if defined is not None and goal.defined_by == "api" and goal.goal_id not in defined
            },
            "waiting": waiting,
            "is_ingest_there": defined is not None,
            "saved": request.query_params.get("saved", ""),
        }
        return view.render("goals.html", context)


@router.get(f"{PATH}/goals/new")
def new_goal(request: Request, viewer: Editor) -> Response:
    """The form for a goal."""
    return _goal_form(frame(request, viewer, "goals", "New goal"), "", _goal_fields(None))


@router.post(f"{PATH}/goals/new")
def create_goal(request: Request, viewer: Editor, form: Form) -> Response:
    """Define a goal under a new id."""
    goal_id = form.text("id") or rules.slug(form.text("name"))
    return _save_goal(request, viewer, form, goal_id, is_new=True)


@router.get(f"{PATH}/goals/preview")
def preview_goal(request: Request, viewer: AnyViewer) -> Response:
    """How often a goal with these fields would have been completed, as a piece of its form."""
    asked = request.query_params
    kind, operator = asked.get("match_type", ""), asked.get("operator", "exact")
    value = asked.get("value", "").strip()
    context: dict[str, Any] = {"counts": None, "is_built": has_figures(request, viewer)}
    is_rule = kind in goals.MATCH_TYPES and (bool(value) or kind == "any_conversion")
    if is_rule and operator in goals.OPERATORS and context["is_built"]:
        rule = goals.Rule(kind, value, operator if kind == "url_path" else "exact")
        with viewing(request, viewer, "goals") as view:
            found = goals.preview(view.reading, view.project_id, rule, Days())
            latest = [count for count in found if view.first <= count.day <= view.last]
            rows = _picked(view.rows("rpt_event_counts", None), rule)
            of_latest = rows.on("event_date", view.days)
            context |= {
                "counts": rows.figure("sum(completions)", sum(count.completions for count in found)),
                "events": rows.figure("sum(events)", sum(count.events for count in found)),
                "first": found[0].day if found else None,
                "last": found[-1].day if found else None,
                "latest": of_latest.figure("sum(completions)", sum(count.completions for count in latest)),
                "view": view,
                "uncounted": rules.conditions(asked),
            }
    return html("goal_preview.html", context)


def _picked(rows: Slice, rule: goals.Rule) -> Slice:
    """Where the figures of a preview are from; the operator of a path stands behind its name."""
    if rule.match_type == "any_conversion":
        return rows.where("event_type", "conversion")
    if rule.match_type != "url_path":
        return rows.where("name" if rule.match_type == "event_name" else "event_type", rule.match_value)
    column = "page_path" if rule.match_operator == "exact" else f"page_path.{rule.match_operator}"
    return rows.where("event_type", "pageview").where(column, rule.match_value)


@router.get(f"{PATH}/goals/{{goal_id}}/edit")
def edit_goal(request: Request, viewer: Editor, goal_id: str) -> Response:
    """The form for an existing goal."""
    goal = Defined(request, viewer).one(GOALS, goal_id)
    view = frame(request, viewer, "goals", goal["name"] or goal_id)
    return _goal_form(view, goal_id, _goal_fields(goal))


@router.post(f"{PATH}/goals/{{goal_id}}/edit")
def update_goal(request: Request, viewer: Editor, goal_id: str, form: Form) -> Response:
    """Give a goal a new version."""
    return _save_goal(request, viewer, form, goal_id, is_new=False)


@router.post(f"{PATH}/goals/{{goal_id}}/delete")
def delete_goal(request: Request, viewer: Editor, goal_id: str, _: Form) -> Response:
    """Delete a goal."""
    Defined(request, viewer).delete(GOALS, goal_id)
    return see_other(frame(request, viewer, "goals").url("goals", saved=goal_id))


@router.get(f"{PATH}/funnels")
def funnel_page(request: Request, viewer: AnyViewer) -> Response:
    """One funnel as a picture, with who dropped out where, and by source of entry."""
    with viewing(request, viewer, "funnels", said_when_empty=True) as view:
        every = funnels.funnels(view.reading, view.project_id, funnels.Filters(view.days, page=Page(10_000)))
        defined = Defined(request, viewer).all(FUNNELS)
        names = {step.funnel_id: step.funnel_name for step in every}
        names |= {funnel_id: funnel["name"] for funnel_id, funnel in (defined or {}).items()}
        chosen = request.query_params.get("funnel", "")
        chosen = chosen if chosen in names else next(iter(names), "")
        definition = (defined or {}).get(chosen)
        rows = view.rows("rpt_funnels", "entry_date", funnel_id=chosen)
        filters = funnels.Filters(view.days, chosen, page=Page(MOST_STEPS))
        steps = funnels.funnels(view.reading, view.project_id, filters) if chosen else []
        total = [_step_figures(rows, step) for step in steps]
        by_source: dict[str, list[dict[str, Figure]]] = {}
        if steps:
            first = Page(DRAWN_SOURCES * len(steps))
            filters = funnels.Filters(view.days, chosen, by_source=True, page=first)
            for step in funnels.funnels(view.reading, view.project_id, filters):
                figures = _step_figures(rows.where("source", step.source), step)
                by_source.setdefault(step.source or "", []).append(figures)
        context = {
            "names": names,
            "chosen": chosen,
            "definition": definition,
            "words": rules.words,
            "mode_words": dict(rules.MODES),
            "unit_words": dict(rules.UNITS),
            "steps": list(zip(steps, total, strict=True)),
            "most": max((each["completed"] for each in total), key=lambda each: each.total, default=None),
            "by_source": by_source,
            "other": _other_sources(total, by_source),
            "is_waiting": definition is not None and _is_after(definition["received_us"], view.reading),
            "is_ingest_there": defined is not None,
            "saved": request.query_params.get("saved", ""),
        }
        return view.render("funnels.html", context)


def _step_figures(rows: Slice, step: funnels.Step) -> dict[str, Figure]:
    """The numbers of a step, by column."""
    of = rows.where("step_number", step.step_number)
    return {
        "median_seconds": of.figure("max(median_seconds)", step.median_seconds),
        **{
            column: of.figure(f"sum({column})", getattr(step, column))
            for column in ("entered", "completed", "dropped_off")
        },
    }


def _other_sources(
    total: list[dict[str, Figure]], by_source: dict[str, list[dict[str, Figure]]]
) -> list[Figure]:
    """Who took each step from the sources that are not listed; nothing where all are."""
    listed = [
        sum(int(each[number]["completed"].total) for each in by_source.values())
        for number in range(len(total))
    ]
    other = [
        replace(step["completed"], number=step["completed"].total - each, but="source")
        for step, each in zip(total, listed, strict=True)
    ]
    return other if any(other) else []


@router.get(f"{PATH}/funnels/new")
def new_funnel(request: Request, viewer: Editor) -> Response:
    """The form for a funnel."""
    return _funnel_form(frame(request, viewer, "funnels", "New funnel"), "", _funnel_fields(None))


@router.post(f"{PATH}/funnels/new")
def create_funnel(request: Request, viewer: Editor, form: Form) -> Response:
    """Define a funnel under a new id."""
    funnel_id = form.text("id") or rules.slug(form.text("name"))
    return _save_funnel(request, viewer, form, funnel_id, is_new=True)


@router.get(f"{PATH}/funnels/step")
def funnel_step(request: Request, viewer: Editor) -> Response:
    """The fields of one more step, as a piece of the form."""
    context = {"view": frame(request, viewer, "funnels"), "step": {"name": "", **rules.empty_rule()}}
    return html("funnel_step.html", {**context, **rules.CHOICES, "is_added": True})


@router.get(f"{PATH}/funnels/{{funnel_id}}/edit")
def edit_funnel(request: Request, viewer: Editor, funnel_id: str) -> Response:
    """The form for an existing funnel."""
    funnel = Defined(request, viewer).one(FUNNELS, funnel_id)
    return _funnel_form(frame(request, viewer, "funnels", funnel["name"]), funnel_id, _funnel_fields(funnel))


@router.post(f"{PATH}/funnels/{{funnel_id}}/edit")
def update_funnel(request: Request, viewer: Editor, funnel_id: str, form: Form) -> Response:
    """Give a funnel a new version."""
    return _save_funnel(request, viewer, form, funnel_id, is_new=False)


@router.post(f"{PATH}/funnels/{{funnel_id}}/delete")
def delete_funnel(request: Request, viewer: Editor, funnel_id: str, _: Form) -> Response:
    """Delete a funnel."""
    Defined(request, viewer).delete(FUNNELS, funnel_id)
    return see_other(frame(request, viewer, "funnels").url("funnels"))


def _save_goal(request: Request, viewer: Viewer, form: Fields, goal_id: str, is_new: bool) -> Response:
    rule = rules.read_rules(form)[0]
    worth = {name: form.text(name) for name in ("amount", "currency")}
    try:
        body = {
            "name": form.text("name") or None,
            **rules.api_rule(rule),
            "counts_as_conversion": form.has("counts_as_conversion"),
            "is_micro": form.has("is_micro"),
            "stage": form.text("stage") or None,
            "value": rules.value(worth),
        }
        Defined(request, viewer).put(GOALS, goal_id, body, is_new)
    except (NotTaken, UnreachableError) as refused:
        fields = {
            "id": form.text("id"),
            "name": form.text("name"),
            "stage": form.text("stage"),
            "counts_as_conversion": form.has("counts_as_conversion"),
            "is_micro": form.has("is_micro"),
            **worth,
            "rule": rule,
        }
        view = frame(request, viewer, "goals", "New goal" if is_new else goal_id)
        return _goal_form(view, "" if is_new else goal_id, fields, str(refused))
    return see_other(frame(request, viewer, "goals").url("goals", saved=goal_id))


def _save_funnel(request: Request, viewer: Viewer, form: Fields, funnel_id: str, is_new: bool) -> Response:
    names = form.all("step_name")
    steps = [{"name": name, **rule} for name, rule in zip(names, rules.read_rules(form), strict=False)]
    try:
        body = {
            "name": form.text("name"),
            "mode": form.text("mode"),
            "unit": form.text("unit"),
            "window_days": rules.whole(form.text("window_days")),
            "steps": [{"name": step["name"], **rules.api_rule(step)} for step in steps],
        }
        Defined(request, viewer).put(FUNNELS, funnel_id, body, is_new)
    except (NotTaken, UnreachableError) as refused:
        fields = {
            **{name: form.text(name) for name in ("id", "name", "mode", "unit", "window_days")},
            "steps": steps,
        }
        view = frame(request, viewer, "funnels", "New funnel" if is_new else funnel_id)
        return _funnel_form(view, "" if is_new else funnel_id, fields, str(refused))
    return see_other(frame(request, viewer, "funnels").url("funnels", funnel=funnel_id, saved="1"))


def _goal_form(view: View, goal_id: str, fields: Mapping[str, Any], error: str = "") -> Response:
    context = {"goal_id": goal_id, "fields": fields, "error": error, **rules.CHOICES}
    return view.render("goal_form.html", context, 422 if error else 200)


def _funnel_form(view: View, funnel_id: str, fields: Mapping[str, Any], error: str = "") -> Response:
    context = {"funnel_id": funnel_id, "fields": fields, "error": error, **rules.CHOICES}
    return view.render("funnel_form.html", context, 422 if error else 200)


def _goal_fields(goal: dict[str, Any] | None) -> dict[str, Any]:
    """A goal of the API, or a new one, as the form's fields."""
    if goal is None:
        blank = {"id": "", "name": "", "stage": "", "counts_as_conversion": False, "is_micro": False}
        return {**blank, **rules.shown_value(None), "rule": rules.empty_rule()}
    return {
        "id": goal["goal_id"],
        "name": goal["name"] or "",
        "stage": goal["stage"] or "",
        "counts_as_conversion": goal["counts_as_conversion"],
        "is_micro": goal["is_micro"],
        **rules.shown_value(goal["value"]),
        "rule": rules.shown_rule(goal),
    }


def _funnel_fields(funnel: dict[str, Any] | None) -> dict[str, Any]:
    """A funnel of the API, or a new one, as the form's fields."""
    if funnel is None:
        steps = [{"name": "", **rules.empty_rule()} for _ in range(FIRST_STEPS)]
        return {
            "id": "",
            "name": "",
            "mode": "ordered",
            "unit": "person",
            "window_days": "14",
            "steps": steps,
        }
    return {
        "id": funnel["funnel_id"],
        **{name: str(funnel[name]) for name in ("name", "mode", "unit", "window_days")},
        "steps": [{"name": step["name"], **rules.shown_rule(step)} for step in funnel["steps"]],
    }


def _is_after(received_us: int, reader: Reader) -> bool:
    """Whether something arrived after the build began, which therefore does not know it."""
    began = datetime.fromisoformat(reader.facts.get("started_at", reader.facts["published_at"]))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=received_us) > began


def _published_rule(goal: goals.Goal) -> str:
    """A published goal's rule in words."""
    if goal.match_type is None:
        return "named by reports themselves"
    condition = {"key": goal.property_key, "value": goal.property_value} if goal.property_key else None
    match = {"type": goal.match_type, "operator": goal.match_operator or "exact", "value": goal.match_value}
    return rules.words({"match": match, "property": condition, "minimum_amount": goal.minimum_amount})
