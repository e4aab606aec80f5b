"""Figures laid out for a page: bins of a range of days, the order of currencies, and series for charts.

A chart is described in a few plain values, which `static/app.js` draws:

    kind        line, bar, waterfall (`bars`: from, to; the last one is the sum) or sankey (`nodes`, `links`)
    categories  names along the axis; `series` has `values` in the same order, and a `name`
    unit        of all values; `digits` after the point; `whole` where they are counts
    bins        hour, day, week or month, where the categories are times; `horizontal` for bars from the left
    unfinished  whether the last category is not over, as far as is known: its line is dashed
    sources     of each value of a series: mart, column and filter, as `data` elements have them
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from read_api.dashboard.figures import Units, origin
from read_api.parameters import Days
from read_api.slices import Figure, Number, Slice

DAYS_BY_HOUR = 2
DAYS_BY_DAY = 120
DAYS_BY_WEEK = 731
"""The longest ranges that are drawn by hour, day and week; longer ones are drawn by month."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Bin:
    """An hour, day, week or month, as far as it lies in a range: both ends are included."""

    name: str
    first: date
    last: date


@dataclass(frozen=True)
class Bins:
    """A range cut into bins of one size; the last one is `unfinished` where its end is not known yet."""

    size: str
    bins: tuple[Bin, ...]
    is_unfinished: bool

    def sum(self, rows: Slice, column: str, values: Mapping[date, Number], days_column: str) -> list[Figure]:
        """The values of days, or of moments of hours, by bin."""
        starts = [each.first for each in self.bins]
        numbers: list[Number] = [0] * len(starts)
        for at, value in values.items():
            place = bisect_right(starts, at) - 1
            if place >= 0 and at <= self.bins[place].last:
                numbers[place] += value
        return [
            Figure(number, column, rows.on(days_column, Days(each.first, each.last)))
            for number, each in zip(numbers, self.bins, strict=True)
        ]


def bins(days: Days, known: Days, zone: str) -> Bins:
    """Bins of the days of which something is known: there is nothing to draw before and after.

    The last day with data goes on until another one has some, so the bin that it is in counts as unfinished;
    so does one that the range cuts.
    """
    assert days.first is not None
    assert days.last is not None
    first = max(days.first, known.first or days.first)
    last = min(days.last, known.last or days.last)
    if first > last:
        return Bins("day", (), False)
    count = (last - first).days + 1
    is_last_known = last == (known.last or last)
    if count <= DAYS_BY_HOUR:
        return Bins("hour", tuple(_hours(first, last, ZoneInfo(zone))), is_last_known)
    if count <= DAYS_BY_DAY:
        return Bins("day", tuple(_cut(first, last, lambda day: day, "%Y-%m-%d")), is_last_known)
    if count <= DAYS_BY_WEEK:
        weeks = _cut(first, last, lambda day: day - timedelta(days=day.weekday()), "%Y-%m-%d")
        return Bins("week", tuple(weeks), is_last_known or last.weekday() < 6)
    months = _cut(first, last, lambda day: day.replace(day=1), "%Y-%m")
    return Bins("month", tuple(months), is_last_known or (last + timedelta(days=1)).day > 1)


def _cut(first: date, last: date, start: Callable[[date], date], name: str) -> Iterable[Bin]:
    """Days with the same start are one bin."""
    begin = first
    while begin <= last:
        end = begin
        while end < last and start(end + timedelta(days=1)) == start(begin):
            end += timedelta(days=1)
        yield Bin(start(begin).strftime(name), begin, end)
        begin = end + timedelta(days=1)


def _hours(first: date, last: date, zone: ZoneInfo) -> Iterable[Bin]:
    """Hours of the project's clock, between moments in UTC (naive), as marts have them."""
    begin = datetime.combine(first, time(), zone).astimezone(UTC)
    end = datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)
    while begin < end:
        following = begin + timedelta(hours=1)
        shown = begin.astimezone(zone).strftime("%Y-%m-%d %H:%M")
        yield Bin(shown, begin.replace(tzinfo=None), following.replace(tzinfo=None) - _MICROSECOND)
        begin = following


@dataclass(frozen=True)
class Currencies:
    """The order in which a project's currencies stand on all pages.

    The project's own is the first, then those of most conversions: amounts of two currencies don't compare.
    """

    own: str
    conversions: Mapping[str, Number]

    def in_order(self, currencies: Iterable[str]) -> list[str]:
        """These currencies in that order."""
        return sorted(
            set(currencies), key=lambda each: (each != self.own, -self.conversions.get(each, 0), each)
        )

    def main(self, amounts: Mapping[str, Figure]) -> str:
        """The currency to draw: the first that has money, else the first at all."""
        found = self.in_order(amounts)
        return next((each for each in found if amounts[each]), found[0] if found else self.own)


def line_chart(name: str, over: Bins, figures: Sequence[Figure], **more: Any) -> dict[str, Any]:
    """A line over bins."""
    return {
        "kind": "line",
        "categories": [each.name for each in over.bins],
        "series": [series(name, figures)],
        "bins": over.size,
        "unfinished": over.is_unfinished,
        "legend": False,
        **more,
    }


def money_chart(
    name: str, over: Bins, figures: Sequence[Figure], currency: str, units: Units
) -> dict[str, Any]:
    """As `line_chart`, of amounts in one currency."""
    return {**line_chart(name, over, []), **money_series({name: figures}, currency, units)}


def money_series(several: Mapping[str, Sequence[Figure]], currency: str, units: Units) -> dict[str, Any]:
    """The series of a chart of amounts."""
    return {
        "series": [
            series(name, figures, lambda number: units.major(number, currency))
            for name, figures in several.items()
        ],
        "unit": units.name(currency),
        "digits": units.digits(currency),
    }


def bar_chart(
    categories: Sequence[str], several: Mapping[str, Sequence[Figure]], **more: Any
) -> dict[str, Any]:
    """Bars side by side, one group per category."""
    return {
        "kind": "bar",
        "categories": list(categories),
        "series": [series(name, figures) for name, figures in several.items()],
        "legend": len(several) > 1,
        **more,
    }


def series(
    name: str, figures: Sequence[Figure], shown: Callable[[Number], Number] = lambda number: number
) -> dict[str, Any]:
    """Values of a chart, and where each is from."""
    return {
        "name": name,
        "values": [float(shown(figure.total)) for figure in figures],
        "sources": [dict(origin(figure)) for figure in figures],
    }
