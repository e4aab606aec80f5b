"""Performance: sessions, conversions, money and spend by up to three dimensions, the one table of the trade.

Figures come from rpt_traffic as long as it has all that is asked for. Another model, days of click, and
dimensions and filters that it doesn't have are answered from the facts. Everything is summed in SQL before it
is cut: lines and the line of all others add up to the total, in each currency. Nothing is compared across
currencies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from funnelhouse.problems import Refusal
from read_api.currencies import Currencies
from read_api.filters import Filter, applied, path_to
from read_api.joined import joined
from read_api.metrics import Measured, Quotient
from read_api.parameters import ALL_DAYS, Days, Page
from read_api.ranking import InOrder
from read_api.reader import Reader
from read_api.reports.projects import Project, known_days, project
from read_api.slices import CREDIT_DIGITS, Figure, Slice, slice_of

MOST_DIMENSIONS = 3
MOST_NAMED = 8
"""Columns of one conversion's name or one goal."""
PAGE_ROWS = 50
FIRST_ROWS = Page(PAGE_ROWS)
_SORTED_CURRENCIES = 6

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
    refunds: dict[str, Figure] = field(default_factory=dict)
    """By currency, those without a sale: they are taken off the total."""
    reached: list[Figure] = field(default_factory=list)
    """By period the sessions that conversions are compared with, where the line has none of its own."""

    def figure(self, measure: str, period: int = 0, currency: str | None = None) -> Figure | None:
        """A sum in one currency, or over all; None where it is not known of such lines."""
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
        rows, but = self._rows(found)
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
        if period == 0:
            found = self.in_order({*found, *self.refunds})
        if not found:
            found = self.currencies("credit", "made", period=period)[:1]
        return {currency: self._earned(currency, period) for currency in found}

    def _earned(self, currency: str, period: int) -> Figure:
        net = self.figure("net", period, currency)
        assert net is not None
        return net.plus(self.refunds.get(currency)) if period == 0 else net

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
    """By currency: refunds without a sale, which the total has taken off."""
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


class _Rows:
    """What is asked for as rows of marts: which of them answer it, decided once for both periods."""

    def __init__(self, reader: Reader, project_id: str, asked: Asked, known: Project) -> None:
        self.reader, self.project_id, self.asked = reader, project_id, asked
        self.zone = known.time_zone
        self.model = asked.model or known.default_model
        if self.model not in reader.facts["attribution_models"]:
            raise Refusal(400, "model must be one of " + ", ".join(reader.facts["attribution_models"]))
        self.searched = Filter(asked.by[0], "search", (asked.search,)) if asked.search else None
        filters = (*asked.filters, *([self.searched] if self.searched else []))
        self.filters = filters
        self.of_sessions = tuple(each for each in filters if each.dimension not in OF_CONVERSIONS)
        wanted = (
            *asked.by,
            *(name for name, _ in asked.within),
            *(each.dimension for each in filters),
        )
        plain = self.model == known.default_model and asked.days_of == "conversion"
        self.credit = "rpt_traffic" if plain and self._has("rpt_traffic", wanted) else "fct_attribution"
        sessions = tuple(name for name in wanted if name not in OF_CONVERSIONS)
        self.sessions = "rpt_traffic" if self._has("rpt_traffic", sessions) else "fct_sessions"
        for name in dict.fromkeys(wanted):
            marts = [self.credit] if name in OF_CONVERSIONS else [self.credit, self.sessions]
            if not all(self._has(mart, (name,)) for mart in marts):
                raise Refusal(
                    400, f"{name} is not known here, by this build or under this model and these days"
                )

    def _has(self, mart: str, dimensions: Iterable[str]) -> bool:
        return mart in self.reader.marts and all(self._path(mart, each) for each in dimensions)

    def _path(self, mart: str, dimension: str) -> str | None:
        found = path_to(mart, dimension, self.reader)
        # A goal that rows are by is another than one that they are filtered by.
        return "fct_goal_completions.goal_id" if found and dimension == "goal" else found

    def parts(self, days: Days) -> Parts:
        """Where each sum of these days comes from."""
        asked = self.asked
        found = [*self._credited(days), *self._visited(days), *self._spent(days)]
        for name in asked.named:
            kind, _, value = name.partition(":")
            column = "fct_conversions.name" if kind == "conversion" else "fct_goal_completions.goal_id"
            rows = self._credit(days).where(column, value)
            found.append(self._part(rows, {name: plain("sum(credit_nano)")}))
        return tuple(found)

    def reached(self, days: Days) -> Figure | None:
        """The sessions of the branch, where rows have none of their own."""
        if not any(name in OF_CONVERSIONS for name in self.asked.by) or len(self.asked.by) > 1:
            return None
        rows, measure = self._session_rows(days)
        return self._branch(rows).read(self.reader, measure)

    def unclicked(self) -> Figure | None:
        """Conversions that no click is known of, on days of conversion."""
        if self.asked.days_of != "click":
            return None
        rows = slice_of(self.reader, "fct_attribution", self.project_id)
        rows = rows.where("model", self.model).where("touched_at", None)
        rows = applied(rows.on("conversion_date", self.asked.days), self.filters, self.reader, self.model)
        read = self._branch(rows).read(self.reader, "sum(credit_nano)")
        return replace(read, number=Decimal(read.total).scaleb(-CREDIT_DIGITS))

    def refunds(self) -> dict[str, Figure]:
        """Those that the total has taken off: nothing that one could filter by is known of them."""
        if self.filters or self.asked.within or self.asked.days_of == "click":
            return {}
        return refunds(self.reader, self.project_id, self.asked.days)

    def _credit(self, days: Days, mart: str = "fct_attribution") -> Slice:
        rows = slice_of(self.reader, mart, self.project_id)
        if mart == "rpt_traffic":
            return applied(rows.on("report_date", days), self.filters, self.reader, self.model)
        rows = rows.where("model", self.model)
        if self.asked.days_of == "conversion":
            rows = rows.on("conversion_date", days)
        elif days == ALL_DAYS:
            rows = rows.where("touched_at.is", "set")
        else:
            for end, moment in _moments(days, self.zone):
                rows = rows.where(f"touched_at.{end}", moment)
        return applied(rows, self.filters, self.reader, self.model)

    def _credited(self, days: Days) -> list[Part]:
        rows = self._credit(days, self.credit)
        if self.credit == "rpt_traffic":
            measures = {
                "credit": plain("sum(credit_nano)"),
                "pending": plain("sum(pending_credit_nano)"),
                "settled": _of_known(
                    plain("sum(credit_nano - pending_credit_nano)"), rows, "net_amount_minor"
                ),
                "net": plain("sum(net_amount_minor)"),
            }
        else:
            credit = "sum(credit_nano)"
            measures = {
                "credit": plain(credit),
                "pending": _of_state("pending"),
                "settled": _of_known(_of_state("approved"), rows, "credited_amount_minor"),
                "net": plain("sum(credited_amount_minor)"),
            }
        return [self._part(rows, measures)]

    def _session_rows(self, days: Days, mart: str = "") -> tuple[Slice, str]:
        rows = slice_of(self.reader, mart or self.sessions, self.project_id)
        if rows.mart == "rpt_traffic":
            return applied(rows.on("report_date", days), self.of_sessions, self.reader, ""), "sum(sessions)"
        rows = rows.on("session_date", days).where("is_bot", False)
        return applied(rows, self.of_sessions, self.reader, ""), "count(*)"

    def _visited(self, days: Days) -> list[Part]:
        rows, counted = self._session_rows(days)
        found = [self._part(rows, {"sessions": plain(counted)}, rows.mart == "rpt_traffic")]
        if "people" in self.asked.columns:
            rows, _ = self._session_rows(days, "fct_sessions")
            people = plain("count(distinct person_id)")
            found.append(self._part(rows, {"people": people}, has_currency=False))
        return found

    def _spent(self, days: Days) -> list[Part]:
        dimensions = {each.dimension for each in self.of_sessions}
        outer = {name for name, _ in self.asked.within if name not in OF_CONVERSIONS}
        if self.asked.by == ("landing_page",) and not outer and dimensions <= {"landing_page"}:
            mart, days_column, column = "rpt_landing_pages", "report_date", "shared_cost_minor"
            if column not in {each.name for each in self.reader.marts[mart].columns}:
                return []
        else:
            mart, days_column, column = "fct_costs", "cost_date", "amount_minor"
        if not self._has(mart, dimensions | outer):
            return []
        rows = slice_of(self.reader, mart, self.project_id).on(days_column, days)
        rows = applied(rows, self.of_sessions, self.reader, "")
        part = self._part(rows, {"cost": plain(f"sum({column})")})
        return [replace(part, none="(none)") if mart == "rpt_landing_pages" else part]

    def _part(self, rows: Slice, measures: dict[str, Measure], has_currency: bool = True) -> Part:
        outer = tuple(name for name, _ in self.asked.within)
        paths = [self._path(rows.mart, name) for name in self.asked.by]
        known = None if None in paths else tuple(str(path) for path in paths)
        if known is not None and any(self._path(rows.mart, name) is None for name in outer):
            known = None
        within = tuple(path for name in outer if (path := self._path(rows.mart, name)))
        return Part(self._branch(rows), known, measures, within, has_currency)

    def _branch(self, rows: Slice) -> Slice:
        for name, value in self.asked.within:
            path = self._path(rows.mart, name)
            rows = rows.where(path, value) if path else rows
        return rows


def refunds(reader: Reader, project_id: str, days: Days) -> dict[str, Figure]:
    """Refunds without a sale, by currency."""
    rows = slice_of(reader, "fct_conversion_ledger", project_id)
    rows = rows.on("conversion_date", days).where("conversion_id", None)
    condition, values = rows.condition
    column = "sum(amount_minor)"
    found = reader.rows(
        f"select currency, {column} from {rows.mart} where {condition} group by currency",  # noqa: S608
        values,
    )
    return {
        currency: rows.where("currency", currency).figure(column, minor) for currency, minor in found if minor
    }


def plain(column: str) -> Measure:
    """A sum that a figure says as the query has it."""
    return Measure(column, column)


def _of_state(state: str) -> Measure:
    sql = f"sum(case when state = '{state}' then credit_nano else 0 end)"
    return Measure(sql, "sum(credit_nano)", (("state", state),))


def _of_known(measure: Measure, rows: Slice, amount: str) -> Measure:
    """Without rows whose amount can't be converted: an average is over those that it is the average of."""
    if not rows.schema:
        return measure
    sql = f"{measure.sql} filter (where {amount} is not null)"
    return Measure(sql, measure.column, (*measure.of, (f"{amount}.is", "set")))


def _moments(days: Days, zone: str) -> Iterable[tuple[str, datetime]]:
    """The first and the last moment of days of the project, in UTC and naive, as marts have them."""
    clock = ZoneInfo(zone)
    try:
        if days.first is not None:
            yield "from", datetime.combine(days.first, time(), clock).astimezone(UTC).replace(tzinfo=None)
        if days.last is not None:
            following = datetime.combine(days.last + timedelta(days=1), time(), clock)
            yield "to", (following.astimezone(UTC) - timedelta(microseconds=1)).replace(tzinfo=None)
    except OverflowError:
        # Before the first or after the last day of the calendar: no bound.
        return


def performance(
    reader: Reader, project_id: str, asked: Asked, in_order: InOrder | None = None
) -> Performance:
    """The lines of a page, in the order asked for, all others, and the total.

    Raises Refusal 400 for a dimension that the build does not know, or not under this model and these days.
    """
    in_order = in_order or currency_order(reader, project_id)
    marts = _Rows(reader, project_id, asked, project(reader, project_id))
    periods = [asked.days, *([asked.compared] if asked.compared else [])]
    parts = [marts.parts(days) for days in periods]
    reached = [each for days in periods if (each := marts.reached(days)) is not None]
    found = table(reader, project_id, asked, parts, marts.refunds(), in_order)
    for line in (*found.lines, found.total, *([found.other] if found.other else [])):
        line.reached = reached
    return replace(found, unclicked=marts.unclicked())


def table(
    reader: Reader,
    project_id: str,
    asked: Asked,
    parts: list[Parts],
    refunds: dict[str, Figure],
    in_order: InOrder,
) -> Performance:
    """Lines, all others and the total of the sums of parts, which are one for each period."""
    lines, other, values, sums = _lines(reader, project_id, asked, parts, in_order)
    total = Line((), sums or _totals(reader, parts), parts, in_order, "total", refunds=refunds)
    return Performance(asked, lines, total, other, values, refunds)


def _totals(reader: Reader, parts: Sequence[Parts]) -> list[Sums]:
    """By a query of its own, where lines don't add up to it."""
    selects, values = _selects(parts, grouped=False)
    measures = _measures(parts)
    summed = ", ".join(f"sum({name})" for name in measures.values())
    found = reader.rows(
        f"with parts as ({selects}) select period, currency, {summed} from parts group by period, currency",  # noqa: S608
        values,
    )
    sums: list[Sums] = [{} for _ in parts]
    for period, currency, *numbers in found:
        sums[period][currency] = {n: v or 0 for n, v in zip(measures, numbers, strict=True)}
    return sums


def _measures(parts: Sequence[Parts]) -> dict[str, str]:
    """Names in SQL of all sums: those of goals and names of conversions are numbered."""
    names = dict.fromkeys(name for of_period in parts for part in of_period for name in part.measures)
    return {name: f"m{number}" for number, name in enumerate(names)}


def _selects(parts: Sequence[Parts], grouped: bool) -> tuple[str, list[object]]:
    measures = _measures(parts)
    selects, bound = [], []
    for period, of_period in enumerate(parts):
        for part in _read_together(of_period):
            if grouped and part.paths is None:
                continue
            relation, names, values = joined(part.rows, part.paths or () if grouped else ())
            if part.none:
                names = [f"nullif({name}, '{part.none}')" for name in names]
            listed = [
                *(f"{name} as d{number}" for number, name in enumerate(names)),
                f"{period} as period",
                f"{'own.currency' if part.has_currency else 'null::varchar'} as currency",
                *(f"{each.sql} as {measures[name]}" for name, each in part.measures.items()),
            ]
            selects.append(f"select {', '.join(listed)} from {relation} group by all")  # noqa: S608
            bound += values
    return " union all by name ".join(selects), bound


def _read_together(parts: Parts) -> Iterable[Part]:
    """Parts of the same rows as one: they are read once."""
    found: dict[object, Part] = {}
    for part in parts:
        key = (part.rows, part.paths, part.within, part.has_currency, part.none)
        known = found.get(key)
        found[key] = part if known is None else replace(known, measures=known.measures | part.measures)
    return found.values()


def _lines(
    reader: Reader, project_id: str, asked: Asked, parts: Sequence[Parts], in_order: InOrder
) -> tuple[list[Line], Line | None, int, list[Sums]]:
    """Lines, the one of all others, how many values there are, and the sums of all of them.

    No sums where values don't add up: goals overlap, people are in several, and spend has other dimensions.
    """
    count = len(asked.by)
    selects, bound = _selects(parts, grouped=True)
    measures = _measures(parts)
    there = {name for part in parts[0] if part.paths is not None for name in part.measures}
    known = {name: sql for name, sql in measures.items() if name in there}
    converted = "credit" if "credit" in known else "made"
    order = _Order(known, _known_currencies(reader, project_id, in_order))
    keys = order.keys(asked)
    by = ", ".join(f"d{number}" for number in range(count))
    direction = "desc" if asked.sort.startswith("-") else "asc"
    placed = [f"k{number} {direction} nulls last" for number in range(len(keys))]
    placed += ["by_sessions desc", "by_credit desc", *(f"d{number} nulls last" for number in range(count))]
    keyed = "".join(f"{key} as k{number}, " for number, key in enumerate(keys))
    same = " and ".join(f"parts.d{number} is not distinct from placed.d{number}" for number in range(count))
    shown = ", ".join(f"case when line > 0 then d{number} end as s{number}" for number in range(count))
    cuts = ", ".join(f"s{number}" for number in range(count))
    summed = ", ".join(f"sum({name})" for name in known.values())
    overlaps = "goal" in asked.by
    found = reader.rows(
        f"""
        with parts as ({selects}),
        weighed as (
            select {by}, {keyed}
                coalesce(sum({known["sessions"] if "sessions" in known else known[converted]})
                    filter (where period = 0), 0) as by_sessions,
                coalesce(sum({known[converted]}) filter (where period = 0), 0) as by_credit
            from parts
            group by {by}
        ),
        placed as (
            select *, row_number() over (order by {", ".join(placed)}) as place, count(*) over () as places
            from weighed
        ),
        cut as (
            select parts.*, placed.places,
                case when place > ? and place <= ? then place else 0 end as line
            from parts inner join placed on {same}
        ),
        labelled as (
            select *, {shown} from cut
        )
        select line, {cuts}, period, currency, max(places), {summed}
        from labelled
        group by line, {cuts}, period, currency
        order by line
        """,  # noqa: S608
        [*bound, asked.page.offset, asked.page.offset + asked.page.limit],
    )
    by_line: dict[int, tuple[tuple[str | None, ...], list[Sums]]] = {}
    values = 0
    in_all: list[Sums] = [{} for _ in parts]
    for line, *row in found:
        labels, (period, currency, values, *numbers) = row[:count], row[count:]
        _, sums = by_line.setdefault(line, (tuple(labels), [{} for _ in parts]))
        of_currency = {name: number or 0 for name, number in zip(known, numbers, strict=True)}
        sums[period][currency] = of_currency
        before = in_all[period].get(currency, {})
        in_all[period][currency] = {name: before.get(name, 0) + of_currency[name] for name in known}
    adds_up = (
        not overlaps and "people" not in known and all(p.paths is not None for each in parts for p in each)
    )
    rest = by_line.pop(0, None)
    lines = [Line(labels, sums, list(parts), in_order) for labels, sums in by_line.values()]
    listed = tuple(line.values for line in lines)
    other = None
    if rest is not None and not overlaps:
        other = Line((), rest[1], list(parts), in_order, "other", listed)
    return lines, other, values, in_all if adds_up else []


class _Order:
    """What rows are sorted by, in SQL."""

    def __init__(self, measures: dict[str, str], currencies: Sequence[str]) -> None:
        self.measures, self.currencies = measures, currencies[:_SORTED_CURRENCIES]
        self.converted = "credit" if "credit" in measures else "made"

    def keys(self, asked: Asked) -> list[str]:
        """The first decides; amounts are compared in one currency after the other."""
        column = asked.sorted_by
        if column in asked.by:
            return [f"d{asked.by.index(column)}"]
        if column.endswith(CHANGE):
            column = column.removesuffix(CHANGE)
            return [self._change(column, each) for each in self._currencies(column)] if asked.compared else []
        return [self._key(column, 0, currency) for currency in self._currencies(column)]

    def _change(self, column: str, currency: str | None) -> str:
        """What is new comes before all that grew."""
        now, was = (self._key(column, period, currency) for period in (0, 1))
        new = f"case when {now} > 0 then 'infinity'::double end"
        return f"case when coalesce({was}, 0) = 0 then {new} else {now} / {was} - 1 end"

    def _currencies(self, column: str) -> Sequence[str | None]:
        return self.currencies if column in OF_MONEY else (None,)

    def _sum(self, measure: str, period: int, currency: str | None = None) -> str:
        if measure not in self.measures:
            return "null::double"
        condition = f"period = {period}"
        if currency is not None:
            condition += f" and currency = '{_quoted(currency)}'"
        return f"coalesce(sum({self.measures[measure]}) filter (where {condition}), 0)::double"

    def _key(self, column: str, period: int, currency: str | None) -> str:
        def of(measure: str, money: bool = True) -> str:
            return self._sum(measure, period, currency if money else None)

        match column:
            case "conversions":
                return of(self.converted)
            case "conversion_rate" if "sessions" not in self.measures:
                return of(self.converted)
            case "conversion_rate":
                part = "converting" if "converting" in self.measures else self.converted
                return f"{of(part)} / nullif({of('sessions')}, 0)"
            case "net_amount":
                return of("net")
            case "aov":
                return f"{of('net')} / nullif({of('settled')}, 0)"
            case "spend":
                return of("cost")
            case "cpa":
                return f"nullif({of('cost')}, 0) / nullif({of(self.converted, money=False)}, 0)"
            case "roas":
                return f"{of('net')} / nullif({of('cost')}, 0)"
            case "profit":
                return f"{of('net')} - {of('cost')}"
            case _:
                return of(column)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _known_currencies(reader: Reader, project_id: str, in_order: InOrder) -> list[str]:
    """Those of the project's conversions and costs."""

    def read() -> tuple[str, ...]:
        _, conversions = known_days(reader, project_id)
        spent = reader.rows("select distinct currency from fct_costs where project_id = ?", [project_id])
        return (*conversions, *(currency for (currency,) in spent))

    return in_order(reader.remembered(("currencies", project_id), read))


def currency_order(reader: Reader, project_id: str) -> InOrder:
    """As all pages have it: the project's own currency, then those of most conversions."""
    _, conversions = known_days(reader, project_id)
    return Currencies(project(reader, project_id).reporting_currency, conversions).in_order
