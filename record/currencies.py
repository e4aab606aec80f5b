"""Which currencies there are, how many minor units a major unit of each has, and amounts as text.

`currencies.csv` beside this file is the one list: what ISO 4217 has, or had since 2000. Reports may carry
others; a major unit of theirs is 100 minor ones. dbt's seed of that name is a link to it: what is told
outside has the point where the models put it.
"""

import csv
from decimal import Decimal
from functools import cache
from pathlib import Path


def is_currency(code: str) -> bool:
    """Whether a code, in upper case, is in the list."""
    return code in _decimals()


@cache
def _decimals() -> dict[str, int]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        return {row["currency"]: len(row["minor_per_major"]) - 1 for row in csv.DictReader(lines)}


def in_major_units(minor: int, currency: str | None) -> Decimal:
    """An amount with as many decimals as its currency has: 4990 JPY stay 4990, 4990 USD are 49.90."""
    return Decimal(minor).scaleb(-_decimals().get(currency or "", 2))
