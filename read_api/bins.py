"""A range of days cut into bins of one size, for lines over time, and the bins to compare them with."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from read_api.comparison import Comparison
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


def within(days: Days, known: Days) -> Days | None:
    """Those of the days that lie between the first and the last of which something is known."""
    firsts = [each for each in (days.first, known.first) if each is not None]
    lasts = [each for each in (days.last, known.last) if each is not None]
    if not firsts or not lasts or max(firsts) > min(lasts):
        return None
    return Days(max(firsts), min(lasts))


def bins(days: Days, known: Days, zone: str, has_hours: bool = True) -> Bins:
    """Bins of the days of which something is known: there is nothing to draw before and after.

    The last day with data goes on until another one has some, so the bin that it is in counts as unfinished;
    so does one that the range cuts.
    """
    drawn = within(days, known)
    if drawn is None:
        return Bins("day", (), False)
    first, last = drawn.bounds
    count = (last - first).days + 1
    is_last_known = last == (known.last or last)
    if count <= DAYS_BY_HOUR and has_hours:
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


def counterparts(over: Bins, comparison: Comparison, compared: Days, zone: str) -> tuple[Bin | None, ...]:
    """For each bin the one to compare it with, which lies in the compared days; None behind their end."""
    first, last = compared.bounds
    if over.size == "hour":
        hours = list(_hours(first, last, ZoneInfo(zone)))
        return tuple(hours[number] if number < len(hours) else None for number in range(len(over.bins)))
    found: list[Bin | None] = []
    begin = first
    for each in over.bins:
        end = _counterpart(each, over, comparison, compared)
        # The 28th of February is that of the 29th too, which then has nothing left.
        is_there = end is not None and begin <= min(end, last)
        found.append(Bin(begin.isoformat(), begin, min(end, last)) if is_there and end is not None else None)
        begin = begin if end is None else end + timedelta(days=1)
    return tuple(found)


def _counterpart(each: Bin, over: Bins, comparison: Comparison, compared: Days) -> date | None:
    """The last day of the bin that another one is compared with."""
    if comparison.name == "year":
        of_year = comparison.days(Days(each.first, each.last))
        return None if of_year is None else of_year.last
    return compared.bounds[0] + (each.last - over.bins[0].first)
