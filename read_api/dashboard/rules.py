"""Rules that pick events, as forms show them: of goals, and of each step of a funnel.

A form's fields are `match_type`, `operator`, `value`, `property_key`, `property_value` and `minimum_amount`;
in a funnel each stands once per step, in the order of the steps.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from funnelhouse.problems import Refusal
from read_api.dashboard.access import Fields
from read_api.dashboard.ingest import NotTaken

MATCH_TYPES = (
    ("event_name", "Event name"),
    ("url_path", "Page path"),
    ("event_type", "Event type"),
    ("any_conversion", "Any conversion"),
)
OPERATORS = (("exact", "is"), ("prefix", "begins with"), ("wildcard", "matches with *"))
MODES = (
    ("ordered", "In order"),
    ("strict", "In order, nothing in between"),
    ("any_order", "In any order"),
    ("counts", "Independently"),
)
UNITS = (("person", "People"), ("session", "Sessions"))

CHOICES = {"match_types": MATCH_TYPES, "operators": OPERATORS, "modes": MODES, "units": UNITS}
"""For the templates."""

_NAMES = ("match_type", "operator", "value", "property_key", "property_value", "minimum_amount")


def empty_rule() -> dict[str, str]:
    """What a new form shows."""
    return {**dict.fromkeys(_NAMES, ""), "match_type": "event_name", "operator": "exact"}


def shown_rule(rule: Mapping[str, Any]) -> dict[str, str]:
    """A rule of the API as a form's fields."""
    match, wanted = rule["match"], rule["property"] or {"key": "", "value": ""}
    amount = rule["minimum_amount"]
    return {
        "match_type": match["type"],
        "operator": match["operator"],
        "value": match["value"] or "",
        "property_key": wanted["key"],
        "property_value": wanted["value"],
        "minimum_amount": "" if amount is None else str(amount),
    }


def read_rules(form: Fields) -> list[dict[str, str]]:
    """The fields of each rule of a form. Raises Refusal 400 when the form lacks some."""
    columns = [form.all(name) for name in _NAMES]
    if len({len(column) for column in columns}) != 1 or not columns[0]:
        raise Refusal(400, "The form is not complete; open the page again.")
    return [dict(zip(_NAMES, row, strict=True)) for row in zip(*columns, strict=True)]


def api_rule(fields: dict[str, str]) -> dict[str, Any]:
    """A form's fields in the API's shape. Raises NotTaken for an amount that is no number."""
    match: dict[str, Any] = {"type": fields["match_type"]}
    if fields["match_type"] != "any_conversion":
        match["value"] = fields["value"] or None
    if fields["match_type"] == "url_path":
        match["operator"] = fields["operator"]
    key, amount = fields["property_key"], fields["minimum_amount"]
    return {
        "match": match,
        "property": {"key": key, "value": fields["property_value"]} if key else None,
        "minimum_amount": number(amount, "minimum amount") if amount else None,
    }


def conditions(fields: Mapping[str, str]) -> list[str]:
    """A form's conditions on properties and amounts in words: a goal's preview does not count them."""
    key, amount = fields.get("property_key"), fields.get("minimum_amount")
    return [
        *([f"property {key} is {fields.get('property_value', '')}"] if key else []),
        *([f"worth at least {amount}"] if amount else []),
    ]


def words(rule: dict[str, Any]) -> str:
    """A rule of the API in words."""
    match = rule["match"]
    if match["type"] == "any_conversion":
        said = "any conversion"
    elif match["type"] == "url_path":
        said = f"page path {dict(OPERATORS)[match['operator']]} {match['value']}"
    else:
        said = f"{dict(MATCH_TYPES)[match['type']].lower()} is {match['value']}"
    return ", ".join([said, *conditions(shown_rule(rule))])


def slug(name: str) -> str:
    """An id made of a name: `Sign-up to sale` is `sign-up-to-sale`; '' when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].rstrip("-")


def number(text: str, name: str) -> int | float:
    """An amount as a form has it, for the API. Raises NotTaken, naming the field."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise NotTaken(f"{name}: must be a number such as 10 or 9.99") from None
    # Beyond these no amount is meant, and a float would not be the number that was written.
    if not exact.is_finite() or not -6 <= exact.adjusted() <= 14:
        raise NotTaken(f"{name}: must be a number such as 10 or 9.99")
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def value(fields: Mapping[str, str]) -> dict[str, Any] | None:
    """What a conversion is worth, of a form's `amount` and `currency`. Raises NotTaken."""
    if not fields["amount"] and not fields["currency"]:
        return None
    return {"amount": number(fields["amount"], "amount"), "currency": fields["currency"].upper()}


def shown_value(known: Mapping[str, Any] | None) -> dict[str, str]:
    """The same of the API, as a form's fields."""
    if known is None:
        return {"amount": "", "currency": ""}
    return {"amount": str(known["amount"]), "currency": known["currency"]}


def whole(text: str) -> int | str:
    """A whole number as a form has it; what is none stays as it is, for the ingest API to name."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else text
