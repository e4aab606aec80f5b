"""A metric over the days shown, beside the compared days: as a chart, as a table, and as a sparkline."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from read_api.bins import Bin
from read_api.dashboard.figures import Units, bin_name, period
from read_api.dashboard.layout import series
from read_api.metrics import Measured
from read_api.parameters import Days
from read_api.reports.timeline import Line, Span

SPARK_WIDTH, SPARK_HEIGHT = 120, 32


def chart(line: Line, of: Span, units: Units) -> dict[str, Any]:
    """A line over bins, and a dashed one for the bins that each is compared with."""
    shown = _in_unit(line, units)
    drawn = [{**series(line.metric.name, line.values, shown)}]
    if of.compared is not None:
        before = series("Compared with", line.compared_values, shown)
        drawn.append(
            {**before, "compared": True, "names": [bin_words(each, of) for each in of.compared_over]}
        )
    return {
        "kind": "line",
        "categories": [each.name for each in of.over.bins],
        "series": drawn,
        "bins": of.over.size,
        "days": [each.name[:10] if of.over.size == "hour" else str(each.first) for each in of.over.bins],
        "unfinished": of.over.is_unfinished,
        "legend": False,
        **_unit(line, units),
    }


def _in_unit(line: Line, units: Units) -> Any:
    match line.metric.unit:
        case "minor":
            return lambda number: units.major(number, line.currency)
        case "share":
            return lambda number: 100 * number
        case _:
            return lambda number: number


def _unit(line: Line, units: Units) -> dict[str, Any]:
    match line.metric.unit:
        case "minor":
            return {"before": units.before(line.currency), "digits": units.digits(line.currency)}
        case "share":
            return {"unit": "%", "digits": 2}
        case "ratio":
            return {"digits": 2}
        case _:
            return {"whole": True}


def table(line: Line, of: Span) -> list[dict[str, Any]]:
    """The figures of each bin, beside those that it is compared with."""
    nothing: list[None] = [None] * len(of.over.bins)
    return [
        {
            "name": bin_name(each.name, of.over.size),
            "value": value,
            "before": bin_words(old, of) if old else "",
            "compared": compared,
        }
        for each, value, old, compared in zip(
            of.over.bins,
            line.values,
            of.compared_over or nothing,
            line.compared_values or nothing,
            strict=True,
        )
    ]


def bin_words(each: Bin | None, of: Span) -> str:
    """A bin of the compared days, as people read it."""
    if each is None:
        return ""
    if of.over.size == "hour":
        return bin_name(each.name, "hour")
    return period(Days(_day(each.first), _day(each.last)))


def _day(at: date) -> date:
    return date(at.year, at.month, at.day)


def sparkline(values: Sequence[Measured | None], is_unfinished: bool) -> dict[str, str]:
    """Points of a line in a box of SPARK_WIDTH by SPARK_HEIGHT, and of its dashed end where that goes on."""
    totals = [None if each is None else each.total for each in values]
    there = [(number, float(total)) for number, total in enumerate(totals) if total is not None]
    if not there:
        return {"line": "", "end": ""}
    low = min(0.0, *(total for _, total in there))
    high = max(0.0, *(total for _, total in there))
    step = SPARK_WIDTH / max(1, len(totals) - 1)
    points = [
        f"{number * step:.1f},{SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * _share(total, low, high):.1f}"
        for number, total in there
    ]
    cut = len(points) - 1 if is_unfinished and there[-1][0] == len(totals) - 1 else len(points)
    return {"line": " ".join(points[:cut]), "end": " ".join(points[cut - 1 :]) if cut < len(points) else ""}


def _share(total: float, low: float, high: float) -> float:
    return (total - low) / (high - low) if high > low else 0.0
