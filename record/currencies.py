"""How many minor units a currency's major unit has, and amounts as text.

`currencies.csv` beside this file is the one list: it names those of which a major unit is not 100 minor ones.
dbt's seed of that name is a link to it: what is told outside has the point where the models put it.
"""

import csv
from decimal import Decimal
from functools import cache
from pathlib import Path


@cache
def _decimals() -> dict[str, int]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        return {row["currency"]: len(row["minor_per_major"]) - 1 for row in csv.DictReader(lines)}


def in_major_units(minor: int, currency: str | None) -> Decimal:
    """An amount with as many decimals as its currency has: 4990 JPY stay 4990, 4990 USD are 49.90."""
    return Decimal(minor).scaleb(-_decimals().get(currency or "", 2))
