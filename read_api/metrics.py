"""The metrics of a project over days: net revenue, conversions and what is divided by what.

Each metric is a sum of a mart's column, or one over another. Sums are read by day, or by hour of facts, and
every number is a `Figure` over its own rows. Reports are read where they know the filters, facts where only
these do; what neither knows is for the caller to say (`Scope.not_applied`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from read_api.bins import Bin, Bins
from read_api.filters import Filter, applied, not_applied
from read_api.parameters import Days
from read_api.reader import Reader
from read_api.slices import CREDIT_DIGITS, Figure, Number, Slice, slice_of
from read_api.summed import relation_of


@dataclass(frozen=True)
class Quotient:
    """A figure over another one: a rate, an average."""

    part: Figure
    whole: Figure

    @property
    def total(self) -> Number | None:
        """None without something to divide by."""
        return Decimal(self.part.total) / Decimal(self.whole.total) if self.whole else None

    def __bool__(self) -> bool:
        return bool(self.total)


Measured = Figure | Quotient


@dataclass(frozen=True)
class Metric:
    """`part`, with `more` added, over `over`: each is one of the sums. `unit` is of the result."""

    name: str
    unit: str
    part: str
    more: str = ""
    over: str = ""
    is_good: bool | None = True
    """Whether more of it is better; None where it is neither."""

    @property
    def sums(self) -> tuple[str, ...]:
        """The names of its sums."""
        return tuple(each for each in (self.part, self.more, self.over) if each)

    @property
    def is_by_currency(self) -> bool:
        """Whether it has one value for each currency."""
        return self.unit in ("minor", "ratio")


METRICS = {
    "net_revenue": Metric("Net revenue", "minor", "net", more="refunds"),
    "conversions": Metric("Conversions", "count", "conversions"),
    "conversion_rate": Metric("Conversion rate", "share", "conversions", over="sessions"),
    "average_order_value": Metric("Average order value", "minor", "order_value", over="approved"),
    "ad_spend": Metric("Ad spend", "minor", "spend", is_good=None),
    "roas": Metric("ROAS", "ratio", "credited", more="refunds", over="spend"),
    "pending_value": Metric("Pending value", "minor", "pending", is_good=None),
    "sessions": Metric("Sessions", "count", "sessions"),
}
"""By name, in the order of the overview."""


@dataclass(frozen=True)
class _Sum:
    """A column of a mart over the rows that have these values; `day` and `moment` are when it counts."""

    mart: str
    column: str
    day: str
    moment: str = ""
    having: tuple[tuple[str, Any], ...] = ()
    is_by_currency: bool = True
    is_of_model: bool = False


_REPORTS = {
    "sessions": _Sum("rpt_traffic", "sum(sessions)", "report_date", is_by_currency=False),
    "conversions": _Sum("rpt_traffic", "sum(credit_nano)", "report_date", is_by_currency=False),
    "net": _Sum("rpt_traffic", "sum(net_amount_minor)", "report_date"),
    "order_value": _Sum("rpt_traffic", "sum(net_amount_minor)", "report_date"),
    "approved": _Sum("rpt_traffic", "sum(credit_nano - pending_credit_nano)", "report_date"),
    "spend": _Sum("rpt_campaigns", "sum(cost_minor)", "report_date"),
    "credited": _Sum("rpt_campaigns", "sum(net_amount_minor)", "report_date"),
}

_FACTS = {
    "sessions": _Sum(
        "fct_sessions", "count(*)", "session_date", "started_at", (("is_bot", False),), is_by_currency=False
    ),
    "conversions": _Sum(
        "fct_attribution",
        "sum(credit_nano)",
        "conversion_date",
        "converted_at",
        is_by_currency=False,
        is_of_model=True,
    ),
    "net": _Sum(
        "fct_attribution",
        "sum(credited_amount_minor)",
        "conversion_date",
        "converted_at",
        is_of_model=True,
    ),
    "refunds": _Sum(
        "fct_conversion_ledger",
        "sum(amount_minor)",
        "conversion_date",
        "happened_at",
        (("conversion_id", None),),
    ),
    "order_value": _Sum(
        "fct_attribution",
        "sum(credited_amount_minor)",
        "conversion_date",
        "converted_at",
        (("state", "approved"),),
        is_of_model=True,
    ),
    "approved": _Sum(
        "fct_attribution",
        "sum(credit_nano)",
        "conversion_date",
        "converted_at",
        (("state", "approved"),),
        is_of_model=True,
    ),
    "pending": _Sum(
        "fct_conversions", "sum(amount_minor)", "conversion_date", "occurred_at", (("state", "pending"),)
    ),
}

UNATTRIBUTABLE = "refunds"
"""The sum of which no filter can choose rows: nothing is known of where these refunds came from."""


@dataclass(frozen=True)
class Scope:
    """Which figures: of a build, a project, days, and rows for which the filters hold.

    Credit, by which conversions are chosen, is that of `model`; reports have that of `default_model` only.
    """

    reader: Reader
    project_id: str
    days: Days
    filters: tuple[Filter, ...] = ()
    model: str = "last_touch"
    default_model: str = "last_touch"

    def on(self, days: Days) -> "Scope":
        """The same of other days."""
        return replace(self, days=days)

    @property
    def is_filtered(self) -> bool:
        """Whether conversions are chosen by some filter."""
        return len(not_applied("fct_attribution", self.filters, self.reader)) < len(self.filters)

    def rows(self, mart: str, day: str | None = None, **values: object) -> Slice:
        """Rows of a mart for which the filters hold, on the days where their column is named."""
        found = slice_of(self.reader, mart, self.project_id)
        if day is not None:
            found = found.on(day, self.days)
        return applied(found, self.filters, self.reader, self.model).having(values)

    def not_applied(self, metric: Metric) -> list[Filter]:
        """The filters that some rows behind a metric can't be chosen by."""
        found: dict[Filter, None] = {}
        for name in metric.sums:
            if name != UNATTRIBUTABLE:
                found |= dict.fromkeys(not_applied(self.chosen(name, False).mart, self.filters, self.reader))
        return list(found)

    def chosen(self, name: str, by_hour: bool) -> _Sum:
        """Where a sum is read: of a report, unless only facts have hours or know the filters."""
        found = self._chosen(name, by_hour)
        if name != "approved" or found.mart not in self.reader.converted:
            return found
        # An average is over those whose amounts are known in its currency.
        amount = self._chosen("order_value", by_hour).column.removeprefix("sum(").removesuffix(")")
        return replace(found, having=(*found.having, (f"{amount}.is", "set")))

    def _chosen(self, name: str, by_hour: bool) -> _Sum:
        report, fact = _REPORTS.get(name), _FACTS.get(name)
        if report is None or (by_hour and fact is not None):
            assert fact is not None
            return fact
        if fact is None or not self.filters:
            return report
        is_of_other_model = fact.is_of_model and self.model != self.default_model
        missing = {
            each.mart: len(not_applied(each.mart, self.filters, self.reader)) for each in (report, fact)
        }
        return fact if is_of_other_model or missing[fact.mart] < missing[report.mart] else report


@dataclass
class Sums:
    """What was read, by the name of a sum, its currency (None: of all) and its day or quarter of an hour."""

    scope: Scope
    by_hour: bool
    values: dict[str, dict[str | None, dict[Any, Number]]] = field(default_factory=dict)

    def currencies(self, names: Iterable[str]) -> set[str]:
        """Those in which some of these sums are not 0."""
        return {
            currency
            for name in names
            for currency, values in self.values.get(name, {}).items()
            if currency is not None and any(values.values())
        }

    def total(self, metric: Metric, currency: str) -> Measured:
        """Of all days."""
        return _measured(metric, lambda name: self.sum_of(name, currency))

    def sum_of(self, name: str, currency: str) -> Figure:
        """One sum of all days."""
        at, rows = self._rows(name, currency)
        number = sum(self._values(name, currency).values())
        return Figure(number, at.column, rows.on(at.day, self.scope.days))

    def left_out(self, currencies: Iterable[str]) -> list[Figure]:
        """Refunds without a sale that are not counted, because something is filtered."""
        if not self.scope.is_filtered:
            return []
        at, read = _FACTS[UNATTRIBUTABLE], self.values.get(UNATTRIBUTABLE, {})
        rows = _rows(self.scope, UNATTRIBUTABLE, at).on(at.day, self.scope.days)
        found = [
            rows.where("currency", currency).figure(at.column, sum(read.get(currency, {}).values()))
            for currency in currencies
        ]
        return [each for each in found if each]

    def series(self, metric: Metric, currency: str, over: Sequence[Bin | None]) -> list[Measured | None]:
        """Of each bin; None of none, and where hours are not known."""
        if self.by_hour and not all(self.scope.chosen(name, True).moment for name in metric.sums):
            return [None] * len(over)
        there = [each for each in over if each is not None]
        size = Bins("", tuple(there), False)

        def summed(name: str) -> list[Figure]:
            at, rows = self._rows(name, currency)
            return size.sum(
                rows, at.column, self._values(name, currency), at.moment if self.by_hour else at.day
            )

        parts = {name: summed(name) for name in metric.sums}

        def measured(number: int) -> Measured:
            return _measured(metric, lambda name: parts[name][number])

        found = iter([measured(number) for number in range(len(there))])
        return [None if each is None else next(found) for each in over]

    def _values(self, name: str, currency: str) -> Mapping[Any, Number]:
        if name == UNATTRIBUTABLE and self.scope.is_filtered:
            return {}
        is_by_currency = self.scope.chosen(name, self.by_hour).is_by_currency
        return self.values[name].get(currency if is_by_currency else None, {})

    def _rows(self, name: str, currency: str) -> tuple[_Sum, Slice]:
        at = self.scope.chosen(name, self.by_hour)
        rows = _rows(self.scope, name, at)
        return at, rows.where("currency", currency) if at.is_by_currency else rows


def _measured(metric: Metric, summed: Callable[[str], Figure]) -> Measured:
    part = summed(metric.part)
    if metric.more:
        more = summed(metric.more)
        part = part.plus(more if more else None)
    return Quotient(part, summed(metric.over)) if metric.over else part


def read_sums(scope: Scope, metrics: Iterable[Metric], by_hour: bool = False) -> Sums:
    """The sums of these metrics; one query for each mart and choice of rows. Raises as Reader.rows."""
    found = Sums(scope, by_hour)
    together: dict[tuple[Any, ...], list[str]] = {}
    for name in dict.fromkeys(name for metric in metrics for name in metric.sums):
        at = scope.chosen(name, by_hour)
        together.setdefault((at.mart, at.having, name == UNATTRIBUTABLE), []).append(name)
    for names in together.values():
        _read(found, names)
    return found


def _read(found: Sums, names: list[str]) -> None:
    sums = [found.scope.chosen(name, found.by_hour) for name in names]
    first = sums[0]
    column = (found.by_hour and first.moment) or first.day
    at = column if column == first.day else f"time_bucket(interval '15 minutes', {column})"
    rows = _rows(found.scope, names[0], first).on(first.day, found.scope.days)
    condition, values = rows.condition
    currency = "currency" if any(each.is_by_currency for each in sums) else "null"
    read = found.scope.reader.rows(
        f"""
        select {at} as at, {currency} as currency, {", ".join(each.column for each in sums)}
        from {relation_of(found.scope.reader, rows, (column, "currency"))}
        where {condition}
        group by all
        """,  # noqa: S608
        values,
    )
    found.values |= {name: {} for name in names}
    for when, of_currency, *numbers in read:
        for name, each, number in zip(names, sums, numbers, strict=True):
            by_day = found.values[name].setdefault(of_currency if each.is_by_currency else None, {})
            by_day[when] = by_day.get(when, 0) + _exact(each, number)


def _rows(scope: Scope, name: str, at: _Sum) -> Slice:
    is_whole = name == UNATTRIBUTABLE
    rows = slice_of(scope.reader, at.mart, scope.project_id) if is_whole else scope.rows(at.mart)
    if at.is_of_model:
        rows = rows.where("model", scope.model)
    for column, value in at.having:
        rows = rows.where(column, value)
    return rows


def _exact(at: _Sum, number: Any) -> Number:
    if "_nano" in at.column:
        return Decimal(number or 0).scaleb(-CREDIT_DIGITS)
    return number or 0
