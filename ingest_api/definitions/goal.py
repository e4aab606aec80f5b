"""Goals: stored rules that pick events, and what a picked event counts as.

Stored: `name`, the rule (`event_rule`), `counts_as_conversion`, `is_micro`, `stage`, `value_amount` (plain
decimal text, major units), `value_currency`.
"""

from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from ingest_api.definitions.event_rule import EventRule, flat_rule, shown_rule
from ingest_api.definitions.kind import Kind, check_slug
from ingest_api.fields import Currency
from ingest_api.lengths import DEFINED_NAME_BYTES, within
from ingest_api.native import Amount, OwnShape, number

_STAGE = r"^[a-z0-9][a-z0-9-]{0,62}$"
_REPORT_COLUMNS = ("clicks", "conversions", "microconversions")


class GoalValue(OwnShape):
    """What a conversion is worth that completes a goal, in major units of the currency."""

    amount: Amount
    currency: Currency


class Goal(EventRule):
    """A stored rule that picks events. `stage` is the slug of its column in the funnel report.

    `value` counts for a conversion of which neither a report nor the page says what it is worth.
    """

    name: Annotated[str, AfterValidator(partial(within, most=DEFINED_NAME_BYTES))] | None = None
    counts_as_conversion: bool = False
    is_micro: bool = False
    stage: Annotated[str, Field(pattern=_STAGE)] | None = None
    value: GoalValue | None = None

    @field_validator("stage")
    @classmethod
    def _stage_is_free(cls, stage: str | None) -> str | None:
        if stage in _REPORT_COLUMNS:
            raise ValueError(f"{', '.join(_REPORT_COLUMNS)} are columns that the report has already")
        return stage


def flat_value(value: GoalValue | None) -> dict[str, Any]:
    """The value as it is stored, every key always there."""
    return {
        "value_amount": value.amount if value else None,
        "value_currency": value.currency if value else None,
    }


def shown_value(stored: dict[str, Any]) -> dict[str, Any] | None:
    """A stored value in the shape that PUT takes; goals of older versions have none."""
    amount = stored.get("value_amount")
    return None if amount is None else {"amount": number(amount), "currency": stored["value_currency"]}


def stored_goal(goal: Goal) -> dict[str, Any]:
    """The goal as it is stored."""
    return {
        "name": goal.name,
        **flat_rule(goal),
        "counts_as_conversion": goal.counts_as_conversion,
        "is_micro": goal.is_micro,
        "stage": goal.stage,
        **flat_value(goal.value),
    }


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": stored["name"],
        **shown_rule(stored),
        "counts_as_conversion": stored["counts_as_conversion"],
        "is_micro": stored["is_micro"],
        "stage": stored["stage"],
        "value": shown_value(stored),
    }


GOALS = Kind(
    kind="goal",
    path="goals",
    plural="goals",
    noun="goal",
    id_name="goal_id",
    check_id=check_slug,
    shape=Goal,
    stored=stored_goal,
    shown=_shown,
    example={
        "name": "Checkout begun",
        "match": {"type": "url_path", "operator": "prefix", "value": "/checkout"},
        "is_micro": True,
        "stage": "checkout",
    },
)
