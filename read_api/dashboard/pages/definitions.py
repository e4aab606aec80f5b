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
from read_api.dashboard.access import AnyViewer, Editor, Fields
from read_api.dashboard.defined import FUNNELS, GOALS, Defined
from read_api.dashboard.forms import DefinitionForm, add_form
from read_api.dashboard.rendering import html
from read_api.dashboard.view import frame, has_figures, viewing
from read_api.parameters import Days, Page
from read_api.reader import Reader
from read_api.reports import funnels, goals
from read_api.slices import Figure, Slice

PATH = "/app/projects/{project_id}"

_GOAL = ("id", "name", "stage", "amount", "currency")
_FUNNEL = ("id", "name", "mode", "unit", "window_days")

FIRST_STEPS = 3
MOST_STEPS = 20
DRAWN_SOURCES = 50

router = APIRouter(include_in_schema=False)


@router.get(f"{PATH}/goals")
def goal_list(request: Request, viewer: AnyViewer) -> Response:
    """Goals with their completions; what was defined or deleted since the last build says so."""
    with viewing(request, viewer, "goals", said_when_empty=True) as view:
        filters = goals.Filters(view.days, filters=view.filters, page=Page(1000))
        published = goals.goals(view.reading, view.project_id, filters)
        rows, columns = goals.completions(view.reading, view.project_id, filters)
        defined = Defined(request, viewer).all(GOALS)
        waiting = [
            {**goal, "rule": rules.words(goal)}
            for goal in (defined or {}).values()
            if _is_after(goal["received_us"], view.reading)
        ]
        counted = {
            goal.goal_id: {
                name: rows.where("goal_id", goal.goal_id).figure(column, getattr(goal, name))
                for name, column in columns.items()
            }
            for goal in published
        }
        context = {
            "goals": published,
            "mart": rows.mart,
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
        with viewing(request, viewer, "goals", filters=False) as view:
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
        filters = funnels.Filters(view.days, chosen, filters=view.filters, page=Page(MOST_STEPS))
        steps = funnels.funnels(view.reading, view.project_id, filters) if chosen else []
        total = [_step_figures(rows, step) for step in steps]
        by_source: dict[str, list[dict[str, Figure]]] = {}
        if steps:
            first = Page(DRAWN_SOURCES * len(steps))
            filters = funnels.Filters(view.days, chosen, by_source=True, filters=view.filters, page=first)
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


@router.get(f"{PATH}/funnels/step")
def funnel_step(request: Request, viewer: Editor) -> Response:
    """The fields of one more step, as a piece of the form."""
    context = {"view": frame(request, viewer, "funnels"), "step": {"name": "", **rules.empty_rule()}}
    return html("funnel_step.html", {**context, **rules.CHOICES, "is_added": True})


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


def _read_goal(form: Fields) -> dict[str, Any]:
    """A goal as a browser sent it."""
    return {
        **{name: form.text(name) for name in _GOAL},
        "counts_as_conversion": form.has("counts_as_conversion"),
        "is_micro": form.has("is_micro"),
        "rule": rules.read_rules(form)[0],
    }


def _goal_body(fields: dict[str, Any]) -> dict[str, Any]:
    """The same in the API's shape. Raises NotTaken."""
    return {
        "name": fields["name"] or None,
        **rules.api_rule(fields["rule"]),
        "counts_as_conversion": fields["counts_as_conversion"],
        "is_micro": fields["is_micro"],
        "stage": fields["stage"] or None,
        "value": rules.value(fields),
    }


def _new_goal(_request: Request) -> dict[str, Any]:
    """A new goal as the form's fields."""
    flags = {"counts_as_conversion": False, "is_micro": False}
    return {**dict.fromkeys(_GOAL, ""), **flags, "rule": rules.empty_rule()}


def _shown_goal(goal: Mapping[str, Any]) -> dict[str, Any]:
    """A goal of the API as the form's fields."""
    return {
        "id": goal["goal_id"],
        "name": goal["name"] or "",
        "stage": goal["stage"] or "",
        "counts_as_conversion": goal["counts_as_conversion"],
        "is_micro": goal["is_micro"],
        **rules.shown_value(goal["value"]),
        "rule": rules.shown_rule(goal),
    }


def _read_funnel(form: Fields) -> dict[str, Any]:
    """A funnel as a browser sent it."""
    names = form.all("step_name")
    steps = [{"name": name, **rule} for name, rule in zip(names, rules.read_rules(form), strict=False)]
    return {**{name: form.text(name) for name in _FUNNEL}, "steps": steps}


def _funnel_body(fields: dict[str, Any]) -> dict[str, Any]:
    """The same in the API's shape. Raises NotTaken."""
    return {
        "name": fields["name"],
        "mode": fields["mode"],
        "unit": fields["unit"],
        "window_days": rules.whole(fields["window_days"]),
        "steps": [{"name": step["name"], **rules.api_rule(step)} for step in fields["steps"]],
    }


def _new_funnel(_request: Request) -> dict[str, Any]:
    """A new funnel as the form's fields."""
    steps = [{"name": "", **rules.empty_rule()} for _ in range(FIRST_STEPS)]
    blank = dict.fromkeys(_FUNNEL, "")
    return {**blank, "mode": "ordered", "unit": "person", "window_days": "14", "steps": steps}


def _shown_funnel(funnel: Mapping[str, Any]) -> dict[str, Any]:
    """A funnel of the API as the form's fields."""
    return {
        "id": funnel["funnel_id"],
        **{name: str(funnel[name]) for name in ("name", "mode", "unit", "window_days")},
        "steps": [{"name": step["name"], **rules.shown_rule(step)} for step in funnel["steps"]],
    }


add_form(
    router,
    DefinitionForm(
        kind=GOALS,
        page="goals",
        path="goals",
        new="New goal",
        template="goal_form.html",
        blank=_new_goal,
        shown=_shown_goal,
        read=_read_goal,
        body=_goal_body,
        saved=lambda view, goal_id: view.url("goals", saved=goal_id),
        more=lambda *_: rules.CHOICES,
    ),
)
add_form(
    router,
    DefinitionForm(
        kind=FUNNELS,
        page="funnels",
        path="funnels",
        new="New funnel",
        template="funnel_form.html",
        blank=_new_funnel,
        shown=_shown_funnel,
        read=_read_funnel,
        body=_funnel_body,
        saved=lambda view, funnel_id: view.url("funnels", funnel=funnel_id, saved="1"),
        deleted=lambda view, _: view.url("funnels"),
        more=lambda *_: rules.CHOICES,
    ),
)
