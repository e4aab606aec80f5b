"""One metric over the days, by hour, day, week or month, beside the days that it is compared with."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from read_api.answers import Exact, json_answer, reading
from read_api.bins import Bin, Bins, bins, counterparts, within
from read_api.comparison import AskedComparison, Comparison
from read_api.currencies import Currencies
from read_api.filters import AskedFilters
from read_api.metrics import METRICS, Measured, Metric, Scope, Sums, read_sums
from read_api.parameters import AskedBuild, AskedCurrency, AskedDays, AskedMoney, Days, one_of
from read_api.reports import PATH
from read_api.reports.projects import known_days, project

router = APIRouter(tags=["reports"])

DIGITS = 9
"""Of a rate or an average behind the point."""

_PART_OF_HOURS = ("ad_spend", "roas")


@dataclass(frozen=True)
class Span:
    """Days that are shown, cut into bins, and those to compare them with, cut alike."""

    days: Days
    over: Bins
    compared: Days | None
    compared_over: tuple[Bin | None, ...]


@dataclass(frozen=True)
class Line:
    """A metric over a span in one currency; without something to compare with, the compared ones are None."""

    metric: Metric
    currency: str
    total: Measured
    compared_total: Measured | None
    values: list[Measured | None]
    compared_values: list[Measured | None]


@dataclass(frozen=True, slots=True)
class TimelineBin:
    """A metric in one bin."""

    starts: Annotated[str, Field(description="First day, or first moment of an hour (UTC).")]
    value: Annotated[Exact | None, Field(description="Null where there is nothing to divide by.")]
    compared_starts: Annotated[
        str | None, Field(description="First day or moment of the bin that it is compared with.")
    ]
    compared_value: Exact | None


class MetricOverTime(BaseModel):
    """A metric over time."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    metric: str
    unit: str = Field(
        description="`minor` units of the currency, `count`, `share` (1 is all) or `ratio`; rates and "
        f"averages have {DIGITS} decimals."
    )
    currency: str | None = Field(description="Of an amount or ratio; null of counts.")
    size: str = Field(description="Of the bins: hour, day, week or month, by the length of the days shown.")
    first: date | None = Field(alias="from")
    last: date | None = Field(alias="to")
    compared_from: date | None = Field(description="First of the days to compare with; null without.")
    compared_to: date | None = Field(description="Last of them.")
    value: Exact | None = Field(description="Of all days.")
    compared_value: Exact | None = Field(description="Of all days to compare with.")
    is_unfinished: bool = Field(description="Whether the last bin goes on.")
    not_filtered_by: list[str] = Field(description="Dimensions of `f` that these rows know nothing of.")
    bins: list[TimelineBin]


def span(
    days: Days, known: Days, zone: str, comparison: Comparison | None, has_hours: bool = True
) -> Span | None:
    """The days of which something is known, and as many to compare them with; None where nothing is known.

    Days that are still to come are not compared. There is no comparison with days of which none is known.
    """
    shown = within(days, known)
    if shown is None:
        return None
    over = bins(shown, known, zone, has_hours)
    compared = comparison.days(shown) if comparison else None
    if comparison is None or compared is None or within(compared, known) is None:
        return Span(shown, over, None, ())
    return Span(shown, over, compared, counterparts(over, comparison, compared, zone))


def lines(scope: Scope, of: Span, metrics: Iterable[Metric], by_hour: bool) -> tuple[Sums, Sums | None]:
    """The sums of the shown and of the compared days, from which lines are made."""
    asked = list(metrics)
    shown = read_sums(scope.on(of.days), asked, by_hour)
    return shown, read_sums(scope.on(of.compared), asked, by_hour) if of.compared else None


def line(of: Span, metric: Metric, currency: str, sums: tuple[Sums, Sums | None]) -> Line:
    """One metric in one currency."""
    shown, compared = sums
    return Line(
        metric,
        currency,
        shown.total(metric, currency),
        compared.total(metric, currency) if compared else None,
        shown.series(metric, currency, of.over.bins),
        compared.series(metric, currency, of.compared_over) if compared else [],
    )


def has_hours(metric: Metric) -> bool:
    """Whether hours of it are known; spend is known by day."""
    return metric not in (METRICS[name] for name in _PART_OF_HOURS)


def main_currency(sums: Sums, metric: Metric, currencies: Currencies) -> str:
    """The first currency, in the project's order, that the metric has money in."""
    # A ratio is of what was spent.
    there = sums.currencies([metric.over] if metric.unit == "ratio" else metric.sums)
    return next(iter(currencies.in_order(there)), currencies.own)


@router.get(f"{PATH}/timeline", response_model=MetricOverTime)
def timeline(
    request: Request,
    caller: ReadCaller,
    days: AskedDays,
    build: AskedBuild,
    currency: AskedCurrency,
    filters: AskedFilters,
    comparison: AskedComparison,
    money: AskedMoney,
    metric: Annotated[
        str | None, Query(description="One of " + ", ".join(METRICS) + "; default net_revenue.")
    ] = None,
    model: Annotated[
        str | None,
        Query(description="Attribution model whose credit `f` chooses by; default the project's."),
    ] = None,
) -> Response:
    """One metric over the days, of which something is known, by hour, day, week or month.

    Up to two days are cut into hours (spend is not: it is known by day), up to 120 into days, up to two years
    into weeks. With `compare` each bin has the one that it is compared with; days that are still to come are
    not compared. Without `currency` it is the first in which there is something: the project's own, then the
    one of most conversions.
    """
    name = one_of("metric", metric, tuple(METRICS), "net_revenue")
    asked = METRICS[name]
    with reading(request, caller, build, money) as reader:
        of_project = project(reader, caller.project_id)
        known, conversions = known_days(reader, caller.project_id)
        of = span(days, known, of_project.time_zone, comparison, has_hours(asked))
        default = of_project.default_model
        by_model = one_of("model", model, tuple(reader.facts.get("attribution_models", ())), default)
        scope = Scope(reader, caller.project_id, days, filters, by_model, default)
        content: dict[str, object] = {
            "build": reader.build_id,
            "metric": name,
            "unit": asked.unit,
            "currency": currency,
            "size": "day",
            "from": days.first,
            "to": days.last,
            "compared_from": None,
            "compared_to": None,
            "value": None,
            "compared_value": None,
            "is_unfinished": False,
            "not_filtered_by": [each.dimension for each in scope.not_applied(asked)],
            "bins": [],
        }
        if of is not None:
            sums = lines(scope, of, [asked], of.over.size == "hour")
            currencies = Currencies(of_project.reporting_currency, conversions)
            chosen = currency or main_currency(sums[0], asked, currencies)
            found = line(of, asked, chosen, sums)
            content |= {
                "currency": chosen if asked.is_by_currency else None,
                "size": of.over.size,
                "compared_from": of.compared.first if of.compared else None,
                "compared_to": of.compared.last if of.compared else None,
                "value": _number(found.total),
                "compared_value": _number(found.compared_total),
                "is_unfinished": of.over.is_unfinished,
                "bins": _bins(of, found),
            }
        return json_answer(request, content, reader.build_id)


def _bins(of: Span, found: Line) -> list[TimelineBin]:
    nothing: list[None] = [None] * len(of.over.bins)
    return [
        TimelineBin(_starts(each), _number(value), _starts(before) if before else None, _number(old))
        for each, value, before, old in zip(
            of.over.bins,
            found.values,
            of.compared_over or nothing,
            found.compared_values or nothing,
            strict=True,
        )
    ]


def _starts(each: Bin) -> str:
    text = each.first.isoformat()
    return f"{text}Z" if "T" in text else text


def _number(it: Measured | None) -> Decimal | None:
    if it is None or it.total is None:
        return None
    return _short(Decimal(it.total))


def _short(number: Decimal) -> Decimal:
    rounded = round(number, DIGITS)
    whole = rounded.to_integral_value()
    return whole if whole == rounded else rounded
