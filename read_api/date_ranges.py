"""Date ranges of the funnel report: two dates, or a name for a range around today.

`last_<n>_days` are the n complete days before today, as advertising platforms count them. Weeks, months and
years are whole, from their first day to their last one; `this_week` and `last_week` begin on Monday.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

_TWO_DATES = re.compile(r"([0-9]{8}),([0-9]{8})")
_SUNDAY = 6


class DateRange(NamedTuple):
    """Days from `first` to `last`, both included."""

    first: date
    last: date


class DateRangeError(ValueError):
    """The text is no date range; the message says what would be one, and never repeats the text."""


def parse_date_range(text: str, today: Callable[[], date]) -> DateRange:
    """Read `YYYYMMDD,YYYYMMDD` or a name such as `this_month`, for which the project's day is asked.

    Raises DateRangeError.
    """
    if named := NAMED_RANGES.get(text):
        return named(today())
    two_dates = _TWO_DATES.fullmatch(text)
    if two_dates is None:
        raise DateRangeError("Invalid date_range: use YYYYMMDD,YYYYMMDD or one of " + ", ".join(NAMED_RANGES))
    first, last = (_day(digits) for digits in two_dates.groups())
    if first > last:
        raise DateRangeError("Invalid date_range: the first date is after the last one")
    return DateRange(first, last)


def _day(digits: str) -> date:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise DateRangeError("Invalid date_range: the calendar has no such day") from None


def _days_before(today: date, days: int) -> DateRange:
    return DateRange(today - timedelta(days=days), today - timedelta(days=1))


def _week(day: date, first_weekday: int = 0) -> DateRange:
    """The week that holds this day; weekdays count from Monday, 0."""
    first = day - timedelta(days=(day.weekday() - first_weekday) % 7)
    return DateRange(first, first + timedelta(days=6))


def _month(day: date) -> DateRange:
    first = day.replace(day=1)
    # Day 28 and four more is in the next month, whatever the month.
    next_month = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return DateRange(first, next_month - timedelta(days=1))


def _year(year: int) -> DateRange:
    return DateRange(date(year, 1, 1), date(year, 12, 31))


NAMED_RANGES: dict[str, Callable[[date], DateRange]] = {
    "today": lambda today: DateRange(today, today),
    "yesterday": lambda today: _days_before(today, 1),
    "last_7_days": lambda today: _days_before(today, 7),
    "last_14_days": lambda today: _days_before(today, 14),
    "last_30_days": lambda today: _days_before(today, 30),
    "last_60_days": lambda today: _days_before(today, 60),
    "last_90_days": lambda today: _days_before(today, 90),
    "this_week": _week,
    "this_week_monday_sunday": _week,
    "this_week_sunday_saturday": lambda today: _week(today, _SUNDAY),
    "last_week": lambda today: _week(today - timedelta(days=7)),
    "this_month": _month,
    "last_month": lambda today: _month(today.replace(day=1) - timedelta(days=1)),
    "this_year": lambda today: _year(today.year),
    "last_year": lambda today: _year(today.year - 1),
}
