"""Rows of reports laid out for a page: one line per value with its money by currency, and series for charts.

A chart is described in a few plain values, which `static/app.js` draws:

    kind        line, bar, waterfall (`bars`: from, to; the last one is the sum) or sankey (`nodes`, `links`)
    categories  names along the axis; `series` has `values` in the same order, and a `name`
    unit        of all values; `digits` after the point; `whole` where they are counts
    are_days    the categories are; `lying` bars go from left to right
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

from read_api.dashboard.figures import decimals, major
from read_api.parameters import Days

Row = TypeVar("Row")
Value = TypeVar("Value", bound=Hashable)

MOST_DAYS = 400
"""Of a chart by day; of more days the latest are drawn."""


@dataclass
class Line(Generic[Value]):
    """What several rows say of one value: counts added up, money by currency, most first."""

    value: Value
    counts: dict[str, Decimal] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Decimal:
        """A count, for templates."""
        return self.counts[name]

    @property
    def moneys(self) -> list[tuple[str, int]]:
        """Currencies and minor units; those without money are left out unless there is no other."""
        found = [pair for pair in self.amounts.items() if pair[1]] or [*self.amounts.items()][:1]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def by_value(
    rows: Iterable[Any], value: Callable[[Any], Value], counts: Sequence[str], amount: str
) -> list[Line[Value]]:
    """One line per value, in the order of first rows; `counts` and `amount` are attributes of the rows."""
    lines: dict[Value, Line[Value]] = {}
    for row in rows:
        line = lines.setdefault(value(row), Line(value(row), dict.fromkeys(counts, Decimal())))
        for name in counts:
            line.counts[name] += getattr(row, name)
        line.amounts[row.currency] = line.amounts.get(row.currency, 0) + getattr(row, amount)
    return list(lines.values())


def together(lines: Iterable[Line[Any]]) -> Line[None]:
    """All lines as one."""
    total: Line[None] = Line(None)
    for line in lines:
        for name, number in line.counts.items():
            total.counts[name] = total.counts.get(name, Decimal()) + number
        for currency, minor in line.amounts.items():
            total.amounts[currency] = total.amounts.get(currency, 0) + minor
    return total


def main_currency(lines: Iterable[Line[Any]], preferred: str) -> str:
    """The currency to draw: the project's own where it has money, else the one with the most."""
    amounts = together(lines).amounts
    if amounts.get(preferred) or not any(amounts.values()):
        return preferred
    return max(sorted(amounts), key=lambda currency: abs(amounts[currency]))


def each_day(days: Days) -> list[date]:
    """The days, at most `MOST_DAYS`."""
    assert days.first is not None
    assert days.last is not None
    first = max(days.first, days.last - timedelta(days=MOST_DAYS - 1))
    return [first + timedelta(days=number) for number in range((days.last - first).days + 1)]


def daily_chart(name: str, days: Days, values: Mapping[date, Decimal | int], **more: Any) -> dict[str, Any]:
    """A line over days; days that have no value have 0."""
    drawn = each_day(days)
    return {
        "kind": "line",
        "categories": [day.isoformat() for day in drawn],
        "series": [{"name": name, "values": [float(values.get(day, 0)) for day in drawn]}],
        "are_days": True,
        "legend": False,
        **more,
    }


def money_chart(name: str, days: Days, minor: Mapping[date, int], currency: str) -> dict[str, Any]:
    """As `daily_chart`, of amounts in one currency."""
    values = {day: major(amount, currency) for day, amount in minor.items()}
    return daily_chart(name, days, values, unit=currency, digits=decimals(currency))


def bar_chart(
    categories: Sequence[str], series: Mapping[str, Sequence[Decimal | int]], **more: Any
) -> dict[str, Any]:
    """Bars side by side, one group per category."""
    return {
        "kind": "bar",
        "categories": list(categories),
        "series": [
            {"name": name, "values": [float(value) for value in values]} for name, values in series.items()
        ],
        "legend": len(series) > 1,
        **more,
    }
