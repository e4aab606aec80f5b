"""What changed: the values that moved net revenue most between the compared days and those shown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import json_answer, reading
from read_api.bins import within
from read_api.comparison import AskedComparison, Comparison
from read_api.currencies import Currencies
from read_api.filters import AskedFilters, path_to
from read_api.metrics import METRICS, Scope, read_sums
from read_api.parameters import AskedBuild, AskedDays, AskedMoney, Days, one_of, whole_number
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.projects import known_days, project
from read_api.slices import Figure, Slice
from read_api.summed import relation_of

router = APIRouter(tags=["reports"])

DIMENSIONS = (
    "source", "medium", "campaign", "term", "content", "channel", "landing_page", "country", "device",
)  # fmt: skip
DEFAULT_VALUES = 10
MOST_VALUES = 1_000

_MART = "rpt_traffic"
_AMOUNT = "sum(net_amount_minor)"


@dataclass(frozen=True)
class Moved:
    """Net revenue of a value on the shown and on the compared days; `values` are how many it stands for."""

    value: Any
    now: Figure
    before: Figure
    values: int = 1

    @property
    def minor(self) -> int:
        """The change."""
        return int(self.now.total - self.before.total)


@dataclass(frozen=True)
class Moves:
    """The values that moved most in one currency, all others, refunds that no value is known of, and all."""

    currency: str
    rows: list[Moved]
    other: Moved | None
    refunds: Moved
    total: Moved


@dataclass(frozen=True, slots=True)
class ValueChange:
    """What a value brought, in minor units."""

    value: Annotated[str | None, Field(description="Value of the dimension; null where none is known.")]
    net_amount_minor: Annotated[int, Field(description="Net revenue on the days asked for.")]
    compared_net_amount_minor: Annotated[int, Field(description="Net revenue on the compared days.")]
    change_minor: Annotated[int, Field(description="The difference.")]


@dataclass(frozen=True, slots=True)
class SumChange:
    """What several values, or all, brought, in minor units."""

    net_amount_minor: Annotated[int, Field(description="Net revenue on the days asked for.")]
    compared_net_amount_minor: Annotated[int, Field(description="Net revenue on the compared days.")]
    change_minor: Annotated[int, Field(description="The difference.")]


@dataclass(frozen=True, slots=True)
class CurrencyChanges:
    """The changes in one currency: rows, other and refunds without a sale add up to the total."""

    currency: str
    rows: Annotated[list[ValueChange], Field(description="Those that changed most, up or down.")]
    other_values: Annotated[int, Field(description="How many values are not listed.")]
    other: Annotated[SumChange, Field(description="Of the values that are not listed.")]
    refunds_without_sale: Annotated[
        SumChange, Field(description="Of refunds that found no sale, or exceed it; none with filters.")
    ]
    total: Annotated[SumChange, Field(description="Of net revenue.")]


class Changes(BaseModel):
    """What changed."""

    model_config = ConfigDict(populate_by_name=True)

    build: str
    dimension: str
    first: date | None = Field(alias="from")
    last: date | None = Field(alias="to")
    compared_from: date | None = Field(description="First of the compared days; null where nothing is known.")
    compared_to: date | None = Field(description="Last of them.")
    currencies: list[CurrencyChanges] = Field(description="Empty where there is nothing to compare with.")


def dimensions(reader: Reader) -> list[str]:
    """Those that this build has."""
    return [each for each in DIMENSIONS if path_to(_MART, each, reader) is not None]


@dataclass(frozen=True)
class ValuesMoved:
    """The values that moved most in one currency, all others, and all."""

    rows: list[Moved]
    other: Moved | None
    total: Moved


def values_moved(scope: Scope, compared: Days, by: str, most: int) -> dict[str, ValuesMoved]:
    """By currency, the values of a dimension that changed most, up or down. Raises as Reader.rows."""
    rows = scope.rows(_MART)
    shown, before = rows.on("report_date", scope.days), rows.on("report_date", compared)
    condition, values = rows.condition
    days = [*scope.days.bounds, *compared.bounds]
    found = scope.reader.rows(
        f"""
        with found as (
            select
                {by} as value,
                currency,
                coalesce({_AMOUNT} filter (where report_date between ? and ?), 0) as now,
                coalesce({_AMOUNT} filter (where report_date between ? and ?), 0) as before
            from {relation_of(scope.reader, rows, ("report_date", "currency", by))}
            where {condition} and (report_date between ? and ? or report_date between ? and ?)
            group by {by}, currency
        ),
        placed as (
            select
                *,
                row_number() over (
                    partition by currency order by abs(now - before) desc, value nulls last
                ) as place
            from found
            where now <> 0 or before <> 0
        ),
        cut as (
            select *, least(place, ?) as line, case when place < ? then value end as shown
            from placed
        )
        select currency, line, shown, count(*), sum(now), sum(before)
        from cut
        group by grouping sets ((currency, line, shown), (currency))
        order by currency, line nulls last
        """,  # noqa: S608
        [*days, *values, *days, most + 1, most + 1],
    )
    by_currency = {currency: list(each) for currency, each in groupby(found, lambda row: row[0])}
    return {
        currency: _moved(
            by, each, most, shown.where("currency", currency), before.where("currency", currency)
        )
        for currency, each in by_currency.items()
    }


def _moved(by: str, found: list[tuple[Any, ...]], most: int, shown: Slice, before: Slice) -> ValuesMoved:
    rows, other, total = [], None, Moved(None, shown.figure(_AMOUNT, 0), before.figure(_AMOUNT, 0), 0)
    for _, line, value, values, now, old in found:
        if line is None:
            total = Moved(None, shown.figure(_AMOUNT, now), before.figure(_AMOUNT, old), values)
        elif line > most:
            other = Moved(None, Figure(now, _AMOUNT, shown, by), Figure(old, _AMOUNT, before, by), values)
        else:
            of_now, of_before = shown.where(by, value), before.where(by, value)
            rows.append(Moved(value, of_now.figure(_AMOUNT, now), of_before.figure(_AMOUNT, old)))
    return ValuesMoved(rows, other, total)


def changes(
    scope: Scope, compared: Days, by: str, most: int, in_order: Callable[[Iterable[str]], list[str]]
) -> list[Moves]:
    """By currency, what moved, with refunds without a sale beside it. Raises as Reader.rows."""
    found, refunds = values_moved(scope, compared, by, most), _refunds(scope, compared)
    return [
        _with_refunds(currency, found.get(currency), refunds.get(currency), scope, compared)
        for currency in in_order([*found, *refunds])
    ]


def _with_refunds(
    currency: str, moved: ValuesMoved | None, refunds: Moved | None, scope: Scope, compared: Days
) -> Moves:
    rows = scope.rows(_MART, currency=currency)
    none_now, none_before = (
        rows.on("report_date", days).figure(_AMOUNT, 0) for days in (scope.days, compared)
    )
    nothing = Moved(None, none_now, none_before, 0)
    found = moved or ValuesMoved([], None, nothing)
    off = refunds or nothing
    total = Moved(
        None,
        found.total.now.plus(off.now if off.now else None),
        found.total.before.plus(off.before if off.before else None),
        found.total.values,
    )
    return Moves(currency, found.rows, found.other, off, total)


def _refunds(scope: Scope, compared: Days) -> dict[str, Moved]:
    """Refunds without a sale by currency, where some are counted on either days."""
    if scope.is_filtered:
        return {}
    metric = METRICS["net_revenue"]
    name = metric.more
    now, before = (read_sums(scope.on(days), [metric]) for days in (scope.days, compared))
    return {
        currency: Moved(None, now.sum_of(name, currency), before.sum_of(name, currency), 0)
        for currency in now.currencies([name]) | before.currencies([name])
    }


@router.get(f"{PATH}/changes", response_model=Changes)
def changes_report(
    request: Request,
    caller: ReadCaller,
    days: AskedDays,
    build: AskedBuild,
    filters: AskedFilters,
    comparison: AskedComparison,
    money: AskedMoney,
    dimension: Annotated[
        str | None, Query(description="What is compared: " + ", ".join(DIMENSIONS) + "; default source.")
    ] = None,
    limit: Annotated[
        str | None,
        Query(description=f"Values of a currency, 1 to {MOST_VALUES}; default {DEFAULT_VALUES}."),
    ] = None,
) -> Response:
    """The values that moved net revenue most between the compared days and those asked for, by currency.

    Without `compare` the days are compared with the previous period. Days that are still to come, or of which
    nothing is known, are not compared.
    """
    by = one_of("dimension", dimension, DIMENSIONS, "source")
    most = whole_number("limit", limit, DEFAULT_VALUES, MOST_VALUES)
    with reading(request, caller, build, money) as reader:
        if path_to(_MART, by, reader) is None:
            raise Refusal(400, f"this build does not have the dimension {by}")
        of_project = project(reader, caller.project_id)
        known, conversions = known_days(reader, caller.project_id)
        shown = within(days, known)
        compared = (comparison or Comparison("previous")).days(shown) if shown else None
        content: dict[str, Any] = {
            "build": reader.build_id,
            "dimension": by,
            "from": days.first,
            "to": days.last,
            "compared_from": None,
            "compared_to": None,
            "currencies": [],
        }
        if shown and compared and within(compared, known):
            default = of_project.default_model
            scope = Scope(reader, caller.project_id, shown, filters, default, default)
            in_order = Currencies(of_project.reporting_currency, conversions).in_order
            content |= {
                "compared_from": compared.first,
                "compared_to": compared.last,
                "currencies": [_said(each) for each in changes(scope, compared, by, most, in_order)],
            }
        return json_answer(request, content, reader.build_id)


def _said(moves: Moves) -> CurrencyChanges:
    other = moves.other
    return CurrencyChanges(
        moves.currency,
        [ValueChange(row.value, int(row.now.total), int(row.before.total), row.minor) for row in moves.rows],
        other.values if other else 0,
        _sums(other) if other else SumChange(0, 0, 0),
        _sums(moves.refunds),
        _sums(moves.total),
    )


def _sums(moved: Moved) -> SumChange:
    return SumChange(int(moved.now.total), int(moved.before.total), moved.minor)
