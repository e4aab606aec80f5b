"""A rule that picks events: what a goal is, and each step of a funnel.

Stored flat: `match_type`, `match_operator`, `match_value`, `property_key`, `property_value`,
`minimum_amount` (plain decimal text, major units).
"""

from typing import Annotated, Any

from pydantic import Field, model_validator

from ingest_api.fields import Name
from ingest_api.native import Amount, NonEmpty, OwnShape, number
from record.contract import MatchOperator, MatchType


class Match(OwnShape):
    """Which events are picked. `operator` is for url_path; a wildcard's `*` stands for anything."""

    type: MatchType
    operator: MatchOperator = "exact"
    value: Annotated[Name, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_type(self) -> "Match":
        if self.type != "url_path" and self.operator != "exact":
            raise ValueError("operator: only a match of type url_path takes prefix or wildcard")
        if self.type == "any_conversion" and self.value is not None:
            raise ValueError("value: a match of type any_conversion takes none; leave it out")
        if self.type != "any_conversion" and self.value is None:
            raise ValueError(f"value: required for a match of type {self.type}")
        return self


class PropertyRule(OwnShape):
    """A property that must equal a value."""

    key: NonEmpty
    value: Name


class EventRule(OwnShape):
    """Picks events that match, have the property, and are worth at least `minimum_amount` (major units)."""

    match: Match
    property: PropertyRule | None = None
    minimum_amount: Amount | None = None


def flat_rule(rule: EventRule) -> dict[str, Any]:
    """The rule as it is stored, every key always there."""
    return {
        "match_type": rule.match.type,
        "match_operator": rule.match.operator,
        "match_value": rule.match.value,
        "property_key": rule.property.key if rule.property else None,
        "property_value": rule.property.value if rule.property else None,
        "minimum_amount": rule.minimum_amount,
    }


def shown_rule(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored rule in the shape that PUT takes."""
    key = stored["property_key"]
    return {
        "match": {
            "type": stored["match_type"],
            "operator": stored["match_operator"],
            "value": stored["match_value"],
        },
        "property": None if key is None else {"key": key, "value": stored["property_value"]},
        "minimum_amount": number(stored["minimum_amount"]),
    }
