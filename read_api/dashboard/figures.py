"""How figures are written on pages: grouped digits, units beside them, never more digits than they mean."""

import csv
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any

from markupsafe import Markup

from funnelhouse.settings import CHECKOUT

NONE = "\N{EN DASH}"
"""Where there is no figure, which is not 0."""

_MINUS = "\N{MINUS SIGN}"


@cache
def _minor_per_major() -> dict[str, int]:
    """Of the currencies that are not divided by a hundred."""
    seed = CHECKOUT / "dbt_project" / "seeds" / "currencies.csv"
    with seed.open(encoding="utf-8", newline="") as lines:
        return {row["currency"]: int(row["minor_per_major"]) for row in csv.DictReader(lines)}


def decimals(currency: str) -> int:
    """Digits after the point that amounts of a currency have."""
    return len(str(_minor_per_major().get(currency, 100))) - 1


def major(minor: int | Decimal, currency: str) -> Decimal:
    """Minor units as an amount."""
    return Decimal(minor).scaleb(-decimals(currency))


def amount(minor: int | Decimal, currency: str) -> str:
    """`1,234.50`, where the currency stands elsewhere."""
    return f"{major(minor, currency):,.{decimals(currency)}f}".replace("-", _MINUS)


def money(minor: int | Decimal | None, currency: str | None) -> str | Markup:
    """`1,234.50 USD`."""
    if minor is None or currency is None:
        return NONE
    return Markup('<span class="money">{}&nbsp;<span class="unit">{}</span></span>').format(
        amount(minor, currency), currency
    )


def count(value: int | Decimal | None) -> str:
    """`12,345`; parts of conversions with one digit."""
    if value is None:
        return NONE
    exact = Decimal(value)
    digits = 0 if exact == exact.to_integral_value() else 1
    return f"{exact:,.{digits}f}".replace("-", _MINUS)


def credited(value: Decimal | None) -> str:
    """Credited conversions, one digit always, so that a column stands aligned."""
    return NONE if value is None else f"{Decimal(value):,.1f}"


def percent(part: Any, whole: Any = 1, signed: bool = False) -> str:
    """`12.3 %`; small ones with two digits. None of nothing is no share."""
    if part is None or not whole:
        return NONE
    share = Decimal(part) / Decimal(whole) * 100
    digits = 2 if 0 < abs(share) < 1 else 1
    rounded = share.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    text = f"{rounded:{'+' if signed else ''},.{digits}f}".replace("-", _MINUS)
    return f"{text}\N{NO-BREAK SPACE}%"


def points(value: Decimal) -> str:
    """Percentage points with their sign: `+1.2`."""
    return f"{value:+.1f}".replace("-", _MINUS)


def duration(seconds: int | None) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds is None:
        return NONE
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            amount = Decimal(seconds) / size
            return f"{amount:.0f} {unit}" if unit != "h" else f"{amount:.1f} {unit}"
    return f"{Decimal(seconds) / 86_400:,.1f} days"


def day(value: date | None) -> str | Markup:
    """`2026-11-02`."""
    return NONE if value is None else Markup("<time>{}</time>").format(value.isoformat())


def moment(value: datetime | None, to: str = "seconds") -> str | Markup:
    """`2026-11-02 10:00:05`, as it is kept: UTC; to the `minutes` where there is little room."""
    if value is None:
        return NONE
    return Markup('<time datetime="{}">{}</time>').format(
        value.isoformat(timespec="seconds") + "Z", value.replace(tzinfo=None).isoformat(" ", to)
    )


def ago(value: datetime, now: datetime) -> str:
    """`5 minutes ago`."""
    seconds = max(0, int((now - value) / timedelta(seconds=1)))
    for limit, size, unit in (
        (90, 1, "second"),
        (5400, 60, "minute"),
        (172_800, 3600, "hour"),
        (10**12, 86_400, "day"),
    ):
        if seconds < limit:
            number = seconds // size
            return f"{number:,} {unit}{'' if number == 1 else 's'} ago"
    raise AssertionError("no time is that long ago")
