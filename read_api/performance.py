"""Performance: sessions, conversions, money and spend by up to three dimensions, the one table of the trade.

Here is decided which rows of which mart answer what is asked. Figures come from rpt_traffic as long as it has
all that is asked for; another model, days of click, and dimensions and filters that it doesn't have are
answered from the facts.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from funnelhouse.problems import Refusal
from read_api.currencies import Currencies
from read_api.filters import Filter, applied, path_to
from read_api.parameters import ALL_DAYS, Days
from read_api.performance_lines import OF_CONVERSIONS, Asked, Measure, Part, Parts, Performance, plain
from read_api.performance_table import table
from read_api.ranking import InOrder
from read_api.reader import Reader
from read_api.reports.projects import Project, known_days, project
from read_api.slices import CREDIT_DIGITS, Figure, Slice, slice_of


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

    def refunds(self, days: Days) -> dict[str, Figure]:
        """Those that the total of these days has taken off: nothing that filters ask is known of them."""
        if self.filters or self.asked.within or self.asked.days_of == "click":
            return {}
        return refunds(self.reader, self.project_id, days)

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
    every = slice_of(reader, "fct_conversion_ledger", project_id)
    column = "sum(amount_minor)"

    def read() -> list[tuple[str, date, int | None]]:
        condition, values = every.where("conversion_id", None).condition
        return reader.rows(
            f"select currency, conversion_date, {column} from {every.mart} "  # noqa: S608
            f"where {condition} group by all order by all",
            values,
        )

    amounts: Counter[str] = Counter()
    # They are few, among all entries of the ledger.
    for currency, day, minor in reader.remembered(("refunds without a sale", project_id), read):
        amounts[currency] += (minor or 0) if day in days else 0
    rows = every.on("conversion_date", days).where("conversion_id", None)
    return {
        currency: rows.where("currency", currency).figure(column, minor)
        for currency, minor in amounts.items()
        if minor
    }


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
    taken_off = [marts.refunds(days) for days in periods]
    found = table(reader, project_id, asked, parts, taken_off, in_order)
    for line in (*found.lines, found.total, *([found.other] if found.other else [])):
        line.reached = reached
    return replace(found, unclicked=marts.unclicked())


def currency_order(reader: Reader, project_id: str) -> InOrder:
    """As all pages have it: the project's own currency, then those of most conversions."""
    _, conversions = known_days(reader, project_id)
    return Currencies(project(reader, project_id).reporting_currency, conversions).in_order
