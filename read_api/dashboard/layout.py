"""Series for charts.

A chart is described in a few plain values, which `static/app.js` draws:

    kind        line, bar, waterfall (`bars`: from, to; the last one is the sum) or sankey (`nodes`, `links`)
    categories  names along the axis; `series` has `values` in the same order, and a `name`
    unit        of all values, `before` is written before them; `digits` after the point; `whole` for counts
    bins        hour, day, week or month, where the categories are times; `horizontal` for bars from the left
    days        of bins, the first day of each: where notes on days are marked
    unfinished  whether the last category is not over, as far as is known: its line is dashed
    sources     of each value of a series: mart, column and filter, as `data` elements have them
    compared    of a series: it is of the days that are compared with; its `names` are theirs
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from read_api.dashboard.change import measured_origin
from read_api.dashboard.figures import Units
from read_api.metrics import Measured
from read_api.slices import Figure, Number


def money_series(several: Mapping[str, Sequence[Figure]], currency: str, units: Units) -> dict[str, Any]:
    """The series of a chart of amounts."""
    return {
        "series": [
            series(name, figures, lambda number: units.major(number, currency))
            for name, figures in several.items()
        ],
        "before": units.before(currency),
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
    name: str, figures: Sequence[Measured | None], shown: Callable[[Number], Number] = lambda number: number
) -> dict[str, Any]:
    """Values of a chart, and where each is from; None where there is none, or nothing to divide by."""
    totals = [None if figure is None else figure.total for figure in figures]
    return {
        "name": name,
        "values": [None if total is None else float(shown(total)) for total in totals],
        "sources": [None if figure is None else dict(measured_origin(figure)) for figure in figures],
    }
