"""Values of marts' columns as addresses say them."""

import re
from datetime import date
from decimal import Decimal

from funnelhouse.problems import Refusal
from read_api.opened_build import Column
from read_api.parameters import utc_moment

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_DECIMAL = re.compile(r"-?[0-9]{1,25}(\.[0-9]{1,12})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BIGINTS = range(-(2**63), 2**63)


def column_value(parameter: str, column: Column, text: str) -> object:
    """The text as a value of the column's type; raises Refusal 400."""
    kind = column.data_type.partition("(")[0]
    try:
        if kind == "VARCHAR":
            return text
        if kind == "BIGINT" and _INTEGER.fullmatch(text) and int(text) in _BIGINTS:
            return int(text)
        if kind == "BOOLEAN" and text in ("true", "false"):
            return text == "true"
        if kind == "DATE" and _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if kind == "TIMESTAMP":
            return utc_moment(text)
        if kind == "DECIMAL" and _DECIMAL.fullmatch(text):
            return Decimal(text)
    except (ValueError, OverflowError):
        pass
    raise Refusal(400, f"{parameter} must be a value of the type {column.data_type.lower()}")
