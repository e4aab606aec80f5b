"""The days that figures are compared with: `compare=previous`, `year`, or `own` with its own two days.

`none` says that there are none, where a page would compare without being asked.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from fastapi import Depends, Query

from funnelhouse.problems import Refusal
from read_api.parameters import ALL_DAYS, Days, day

NONE = "none"
COMPARISONS = {
    "previous": "Previous period",
    "year": "Previous year",
    "own": "Custom range",
    NONE: "No comparison",
}


@dataclass(frozen=True)
class Comparison:
    """What was chosen, and for `own` the two days, both included."""

    name: str
    own: Days = ALL_DAYS

    def days(self, shown: Days) -> Days | None:
        """The days to compare `shown` with; None where either end is open, or the calendar ends before."""
        if self.name == "own":
            return self.own
        if shown.first is None or shown.last is None:
            return None
        try:
            if self.name == "year":
                return Days(_year_before(shown.first), _year_before(shown.last))
            # Whole weeks back, so that each day is compared with the same day of a week.
            length = (shown.last - shown.first).days + 1
            back = timedelta(weeks=-(-length // 7))
            return Days(shown.first - back, shown.last - back)
        except (OverflowError, ValueError):
            return None


def _year_before(each: date) -> date:
    if (each.month, each.day) == (2, 29):
        return date(each.year - 1, 2, 28)
    return each.replace(year=each.year - 1)


def comparison(name: str | None, first: str | None, last: str | None) -> Comparison | None:
    """What an address asks for; None without one. Raises Refusal 400."""
    if not name:
        return None
    if name not in COMPARISONS:
        raise Refusal(400, "compare must be one of " + ", ".join(COMPARISONS))
    if name == NONE:
        return None
    if name != "own":
        return Comparison(name)
    own = Days(day("compare_from", first), day("compare_to", last))
    if own.first is None or own.last is None:
        raise Refusal(400, "compare=own needs compare_from and compare_to")
    if own.first > own.last:
        raise Refusal(400, "compare_from must not be after compare_to")
    return Comparison(name, own)


async def _comparison(
    compare: Annotated[
        str | None,
        Query(
            description="Days to compare with: `previous`, as many whole weeks before as hold the days asked "
            "for; `year`, the same dates a year before; `own`, with `compare_from` and `compare_to`; `none`."
        ),
    ] = None,
    compare_from: Annotated[
        str | None,
        Query(description="First day of compare=own, YYYY-MM-DD.", json_schema_extra={"format": "date"}),
    ] = None,
    compare_to: Annotated[
        str | None,
        Query(
            description="Last day of compare=own, included, YYYY-MM-DD.", json_schema_extra={"format": "date"}
        ),
    ] = None,
) -> Comparison | None:
    return comparison(compare, compare_from, compare_to)


AskedComparison = Annotated[Comparison | None, Depends(_comparison)]
