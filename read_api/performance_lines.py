"""Lines of the table of performance: what is asked for, what they are sums of, and what stands in cells.

Nothing is read here. A cell is a figure or one over another, in each currency; what is not known says why.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property

from read_api.filters import Filter
from read_api.metrics import Measured, Quotient
from read_api.parameters import ALL_DAYS, Days, Page
from read_api.ranking import InOrder
from read_api.slices import CREDIT_DIGITS, Figure, Slice

MOST_DIMENSIONS = 3
MOST_NAMED = 8
"""Columns of one conversion's name or one goal."""
PAGE_ROWS = 50
FIRST_ROWS = Page(PAGE_ROWS)

OF_CONVERSIONS = ("conversion", "goal")
"""Dimensions that conversions have and sessions don't: filters by them narrow conversions only."""
OF_SPEND = ("source", "medium", "campaign", "channel")
"""What ad spend is reported by."""
DAYS_OF = ("conversion", "click")

COLUMNS = {
    "sessions": "Sessions",
    "people": "People",
    "conversions": "Conversions",
    "pending": "Pending",
    "conversion_rate": "Conv. rate",
    "net_amount": "Net revenue",
    "aov": "AOV",
    "spend": "Spend",
    "cpa": "CPA",
    "roas": "ROAS",
    "profit": "Profit",
}
"""What can be chosen, and what pages call it."""
OF_MONEY = ("net_amount", "aov", "spend", "cpa", "roas", "profit")
DEFAULT_COLUMNS = (
    "sessions",
    "conversions",
    "pending",
    "conversion_rate",
    "net_amount",
    "spend",
    "cpa",
    "roas",
)
CHANGE = "_change"
"""At the end of a column: how it changed against the compared days."""


@dataclass(frozen=True)
class Asked:
    """What is asked for; `within` are the values of the branch that rows are of."""

    by: tuple[str, ...] = ("source",)
    days: Days = ALL_DAYS
    compared: Days | None = None
    filters: tuple[Filter, ...] = ()
    within: tuple[tuple[str, str | None], ...] = ()
    model: str = ""
    days_of: str = "conversion"
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    sort: str = "-sessions"
    search: str = ""
    page: Page = FIRST_ROWS

    @property
    def named(self) -> tuple[str, ...]:
        """Columns of one goal, or of conversions of one name."""
        return tuple(column for column in self.columns if ":" in column)

    @property
    def sorted_by(self) -> str:
        """The column that rows are sorted by."""
        return self.sort.removeprefix("-")


@dataclass(frozen=True)
class Measure:
    """A sum of a part: as the query has it, and as a figure says it of the rows with `of`."""

    sql: str
    column: str
    of: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Part:
    """Rows of one mart, the paths from it to what is grouped by (None: it can't be), and what is summed."""

    rows: Slice
    paths: tuple[str, ...] | None
    measures: dict[str, Measure]
    within: tuple[str, ...] = ()
    """Paths of the branch, which tell its rows from those of others."""
    has_currency: bool = True
    none: str = ""
    """What the mart calls a value that is not known, where that is not null."""


Parts = tuple[Part, ...]
Sums = dict[str | None, dict[str, int]]
"""By currency, which is None of what has none, and measure."""


@dataclass(frozen=True)
class Value:
    """A figure, or what it is over another one; `kind` says how it is written."""

    kind: str
    part: Figure
    over: Figure | None = None

    @property
    def number(self) -> Decimal | None:
        """Its value; None where there is nothing to divide by."""
        if self.over is None:
            return None if self.part.number is None else Decimal(self.part.total)
        return Decimal(self.part.total) / Decimal(self.over.total) if self.over else None

    @property
    def measured(self) -> Measured:
        """The same without how it is written."""
        return self.part if self.over is None else Quotient(self.part, self.over)

    @property
    def currency(self) -> str | None:
        """Of an amount, or of what two of them make."""
        return self.part.currency if self.kind in ("money", "each", "ratio") else None


@dataclass
class Line:
    """The figures of one value of each dimension, of all others, or of everything; `sums` by period."""

    values: tuple[str | None, ...]
    sums: list[Sums]
    parts: list[Parts]
    in_order: InOrder
    kind: str = "line"
    others: tuple[tuple[str | None, ...], ...] = ()
    """The values that are listed, of the line of all others."""
    refunds: list[dict[str, Figure]] = field(default_factory=list)
    """By period, then currency, those without a sale: they are taken off the total."""
    reached: list[Figure] = field(default_factory=list)
    """By period the sessions that conversions are compared with, where the line has none of its own."""
    known: dict[tuple[str, int, str | None], Figure | None] = field(default_factory=dict, repr=False)
    """Figures that were asked for: columns share most of them, and each says all of its rows' conditions."""
    sliced: dict[int, tuple[Slice, str]] = field(default_factory=dict, repr=False)
    """By identity of a part, its rows in this line: its figures share them."""

    def figure(self, measure: str, period: int = 0, currency: str | None = None) -> Figure | None:
        """A sum in one currency, or over all; None where it is not known of such lines."""
        asked = measure, period, currency
        if asked not in self.known:
            self.known[asked] = self._figure(*asked)
        return self.known[asked]

    def _figure(self, measure: str, period: int, currency: str | None) -> Figure | None:
        found = next((part for part in self.parts[period] if measure in part.measures), None)
        if found is None or (self.kind != "total" and found.paths is None):
            return None
        if self.kind == "other" and measure == "people":
            return None
        sums = self.sums[period]
        known = [sums.get(currency, {})] if currency else list(sums.values())
        asked = found.measures[measure]
        number: Decimal | int = sum(each.get(measure, 0) for each in known)
        if "_nano" in asked.column:
            number = Decimal(number).scaleb(-CREDIT_DIGITS)
        if id(found) not in self.sliced:
            self.sliced[id(found)] = self._rows(found)
        rows, but = self.sliced[id(found)]
        for column, value in asked.of:
            rows = rows.where(column, value)
        if currency:
            rows = rows.where("currency", currency)
        return Figure(number, asked.column, rows, but)

    def _rows(self, part: Part) -> tuple[Slice, str]:
        rows, paths = part.rows, part.paths or ()
        if self.kind == "line":
            for path, value in zip(paths, self.values, strict=True):
                rows = rows.where(path, value if value is not None or not part.none else part.none)
            return rows, ""
        if self.kind == "total":
            return rows, ""
        if len(paths) > 1 or not any("." in path for path in (*paths, *part.within)):
            return rows, ",".join((*part.within, *paths))
        # Columns of other marts are not in its rows: each value is said.
        values = [value for (value,) in self.others]
        rows = rows.where(f"{paths[0]}.not", tuple(value for value in values if value is not None))
        return rows.where(f"{paths[0]}.is", "set") if None in values else rows, ""

    def currencies(self, *measures: str, period: int = 0) -> list[str]:
        """Those in which one of the sums is not 0, as they stand on all pages."""
        sums = self.sums[period]
        found = [each for each in sums if each and any(sums[each].get(name) for name in measures)]
        return self.in_order(found)

    def cells(self, column: str, period: int = 0) -> list[Value]:
        """What stands in a column: amounts by currency; nothing where it isn't known, see `why`."""
        match column:
            case "conversions":
                return _counts(self._converted(period))
            case "conversion_rate":
                part, over = self.figure("converting", period), self._sessions(period)
                part = self.figure("credit", period) if part is None else part
                return [Value("percent", part, over)] if part is not None and over else []
            case "net_amount":
                return [Value("money", each) for each in self._net(period).values()]
            case "aov":
                return self._orders(period)
            case "spend":
                return [Value("money", each) for each in self._spent(period)]
            case "cpa":
                spent, made = self._spent(period), self._converted(period)
                return [Value("each", spent[0], made)] if len(spent) == 1 and made else []
            case "roas":
                spent = self._spent(period)
                return [Value("ratio", self._earned(each.currency, period), each) for each in spent]
            case "profit":
                return self._profits(period)
            case _:
                return _counts(self.figure(column, period))

    def why(self, column: str) -> str:
        """Why there is nothing in a column, or not everything."""
        if column == "people" and self.kind == "other":
            return "people of several rows are not added up: some are in more than one"
        if column == "sessions" and self.figure("sessions") is None:
            return "sessions have no conversion and no goal; the rate is of all sessions"
        if column in ("spend", "cpa", "roas", "profit") and self.figure("cost") is None:
            return "ad spend is known by source, medium, campaign and channel, and by landing page alone"
        spent = self._spent(0) if column in ("cpa", "roas") else []
        if column in ("cpa", "roas") and not spent:
            return "nothing was spent"
        if column == "cpa" and len(spent) > 1:
            return "the spend has several currencies"
        if column == "cpa" and not self._converted(0):
            return "no conversions"
        if column == "roas" and len(self.currencies("net", "cost")) > len(spent):
            said = " and ".join(each.currency for each in spent)
            return f"of revenue in {said} only: nothing is compared across currencies"
        if column == "conversion_rate" and not self._sessions(0):
            return "no sessions"
        if column == "aov" and not self._orders(0):
            return "no approved conversions"
        return ""

    @property
    def is_shared(self) -> bool:
        """Whether the spend is a share of that of campaigns."""
        cost = self.figure("cost")
        return cost is not None and cost.of.mart == "rpt_landing_pages"

    def change(self, column: str) -> list[tuple[Value, Value | None]]:
        """Each cell with that of the compared days; None where there was nothing."""
        if len(self.sums) < 2:
            return []
        before = {value.currency: value for value in self.cells(column, 1)}
        return [(value, before.get(value.currency)) for value in self.cells(column)]

    def _converted(self, period: int) -> Figure | None:
        """Conversions: those credited, or those of sessions."""
        found = self.figure("credit", period)
        return self.figure("made", period) if found is None else found

    def _sessions(self, period: int) -> Figure | None:
        found = self.figure("sessions", period)
        if found is None and self.reached:
            return self.reached[period]
        return found

    def _net(self, period: int) -> dict[str, Figure]:
        """Net revenue by currency; one 0 where conversions brought nothing."""
        found = self.currencies("net", period=period)
        if refunds := self._refunds(period):
            found = self.in_order({*found, *refunds})
        if not found:
            found = self.currencies("credit", "made", period=period)[:1]
        return {currency: self._earned(currency, period) for currency in found}

    def _earned(self, currency: str, period: int) -> Figure:
        net = self.figure("net", period, currency)
        assert net is not None
        return net.plus(self._refunds(period).get(currency))

    def _refunds(self, period: int) -> dict[str, Figure]:
        return self.refunds[period] if self.refunds else {}

    def _spent(self, period: int) -> list[Figure]:
        found = [self.figure("cost", period, each) for each in self.currencies("cost", period=period)]
        return [each for each in found if each is not None]

    def _orders(self, period: int) -> list[Value]:
        found = []
        for currency in self.currencies("settled", period=period):
            net, orders = self.figure("net", period, currency), self.figure("settled", period, currency)
            if net is not None and orders:
                found.append(Value("each", net, orders))
        return found

    def _profits(self, period: int) -> list[Value]:
        if self.figure("cost", period) is None:
            return []
        found = []
        for currency in self.in_order({*self._net(period), *self.currencies("cost", period=period)}):
            earned, spent = self._earned(currency, period), self.figure("cost", period, currency)
            if spent:
                taken = replace(spent, number=-spent.total, column=f"-{spent.column}")
                earned = earned.plus(taken if earned.more is None else earned.more.plus(taken))
            found.append(Value("money", earned))
        return found


def _counts(found: Figure | None) -> list[Value]:
    return [] if found is None else [Value("count", found)]


@dataclass
class Performance:
    """Lines of a page; `other` has all that is not on it, which are `others` of `values` lines."""

    asked: Asked
    lines: list[Line]
    total: Line
    other: Line | None
    values: int
    refunds: dict[str, Figure]
    """By currency: refunds without a sale, which the total of the days shown has taken off."""
    unclicked: Figure | None = None
    """Conversions that days of click leave out, because nobody knows a click."""

    @property
    def others(self) -> int:
        """How many lines are not on this page."""
        return self.values - len(self.lines)

    @property
    def following(self) -> int | None:
        """Offset of the next page."""
        last = self.asked.page.offset + len(self.lines)
        return last if last < self.values else None

    @cached_property
    def digits(self) -> int:
        """Those that conversions need: credit is shared."""
        every = [*self.lines, self.total, *([self.other] if self.other else [])]
        found = [line.figure(name) for line in every for name in ("credit", "made", *self.asked.named)]
        return int(any(each is not None and each.total % 1 for each in found))

    @cached_property
    def currencies(self) -> list[str]:
        """Of the total."""
        return self.total.in_order({*self.total.currencies("net", "cost", "credit", "made"), *self.refunds})


def plain(column: str) -> Measure:
    """A sum that a figure says as the query has it."""
    return Measure(column, column)
