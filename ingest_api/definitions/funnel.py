"""Funnels: steps that are rules like a goal's, in an order, within a window.

Stored: `name`, `mode`, `window_days`, `unit`, `steps` (an array, in order; each has `name` and the rule of
`event_rule`).
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from ingest_api.definitions.event_rule import EventRule, flat_rule, shown_rule
from ingest_api.definitions.kind import Kind, check_slug
from ingest_api.native import NonEmpty, OwnShape, Whole


class Step(EventRule):
    """One step: a name, and the rule of the events that take it."""

    name: NonEmpty


class Funnel(OwnShape):
    """Steps 2 to 20. `window_days` counts from the first step, its end included.

    Modes: `ordered` (later steps after earlier ones), `strict` (nothing in between), `any_order`, `counts`
    (each step counted by itself).
    """

    name: NonEmpty
    mode: Literal["ordered", "strict", "any_order", "counts"] = "ordered"
    window_days: Annotated[int, Field(ge=1, le=365), Whole] = 14
    unit: Literal["person", "session"] = "person"
    steps: Annotated[list[Step], Field(min_length=2, max_length=20)]


def _stored(funnel: Funnel) -> dict[str, Any]:
    return {
        "name": funnel.name,
        "mode": funnel.mode,
        "window_days": funnel.window_days,
        "unit": funnel.unit,
        "steps": [{"name": step.name, **flat_rule(step)} for step in funnel.steps],
    }


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    steps = [{"name": step["name"], **shown_rule(step)} for step in stored["steps"]]
    return {**stored, "steps": steps}


FUNNELS = Kind(
    kind="funnel",
    path="funnels",
    plural="funnels",
    noun="funnel",
    id_name="funnel_id",
    check_id=check_slug,
    shape=Funnel,
    stored=_stored,
    shown=_shown,
    example={
        "name": "Sign-up to sale",
        "mode": "ordered",
        "window_days": 14,
        "unit": "person",
        "steps": [
            {"name": "Pricing", "match": {"type": "url_path", "operator": "prefix", "value": "/pricing"}},
            {"name": "Sign-up", "match": {"type": "event_name", "value": "signup"}},
            {"name": "Sale", "match": {"type": "any_conversion"}, "minimum_amount": 10},
        ],
    },
)
