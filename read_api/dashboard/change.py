"""What a figure is compared with what it was: `▲ 12.4%`, and the older figure in its title.

A change is a figure too. Its HTML names the rows of both numbers, those of the compared days as
`data-before-…`, so that it can be checked as any other; a difference has what is subtracted as `data-less-…`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from read_api.dashboard.figures import NONE, Units, count, origin, percent
from read_api.metrics import Measured, Quotient
from read_api.performance_lines import Value
from read_api.slices import Figure

MOST = 10
"""Times of the old figure: a change beyond says more of how small that was than of the new one."""

BETTER_DOWN = ("cpa",)
NEITHER = ("spend", "pending")
"""Columns whose growth is bad, and those whose growth says nothing."""


@dataclass(frozen=True)
class Change:
    """`text` is a Markup to be shown as it is; `direction` is up, down, same, new or none.

    `is_good` says whether the change is for the better, None where it is neither. `title` is the older figure
    in words, with its days.
    """

    text: str | Markup
    direction: str
    title: str
    is_good: bool | None = None


def change(
    now: Measured,
    before: Measured | None,
    units: Units | None = None,
    when: str = "",
    up_is_good: bool | None = True,
) -> Change:
    """How `now` differs from `before`, which was `when`: None where nothing is known of those days.

    The text is the relative change without its sign, which `direction` says; "new" where there was nothing.
    """
    if before is None or now.total is None or (before.total is None and not now.total):
        return Change(NONE, "none", "nothing to compare with")
    title = f"{_written(before, units)}{', ' if when else ''}{when}"
    if not before:
        # From nothing to something is no percentage.
        return Change("new", "new", title) if now else Change(NONE, "none", title)
    assert before.total is not None
    old, new = Decimal(before.total), Decimal(now.total)
    written = percent(abs(new - old), abs(old)) if abs(new - old) < MOST * abs(old) else ">999%"
    text = _traced_change(now, before, written)
    if new == old:
        return Change(text, "same", title)
    is_good = None if up_is_good is None else (new > old) is up_is_good
    return Change(text, "up" if new > old else "down", title, is_good)


def column_change(column: str, now: Value, before: Value | None, units: Units | None = None) -> Change:
    """How a cell of a table differs from that of the compared days, None where there was none."""
    if before is None:
        return Change("new", "new", "nothing to compare with") if now.number else Change("", "none", "")
    up_is_good = None if column in NEITHER else column not in BETTER_DOWN
    return change(now.measured, before.measured, units, up_is_good=up_is_good)


def traced_difference(units: Units, now: Figure, before: Figure) -> Markup:
    """The difference of two amounts of one currency, with its sign."""
    minor = now.total - before.total
    said = [*origin(now), *origin(before, "less-")]
    return _data(said, units.money(minor, now.currency, signed=True))


def measured_origin(it: Measured, prefix: str = "") -> list[tuple[str, str]]:
    """Where a figure, or both parts of a quotient, are from: names, without `data-`, and values."""
    if isinstance(it, Quotient):
        return [*origin(it.part, prefix), *origin(it.whole, f"{prefix}over-")]
    return origin(it, prefix)


def _traced_change(now: Measured, before: Measured, text: str) -> Markup:
    return _data([*measured_origin(now), *measured_origin(before, "before-")], text)


def _data(said: list[tuple[str, Any]], text: str | Markup) -> Markup:
    attributes = Markup(" ").join(Markup('data-{}="{}"').format(name, value) for name, value in said)
    return Markup("<data {}>{}</data>").format(attributes, text)


def _written(it: Measured, units: Units | None) -> str:
    """An older figure in words, for a title."""
    total = it.total
    if total is None:
        return NONE
    part = it.part if isinstance(it, Quotient) else it
    if "_minor" in part.column and not (isinstance(it, Quotient) and "_minor" in it.whole.column):
        return (units or Units({})).written(total, part.currency)
    if isinstance(it, Quotient):
        return f"{total:.2f}" if "_minor" in part.column else percent(total)
    return count(total)
