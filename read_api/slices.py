"""Figures that know the rows they are made of: a mart, a column, and a filter as the marts' routes take it.

A `Slice` is both the condition of a query and what a page says of its result, so that they can't be about
different rows. Its filters are those of `/v1/projects/{id}/marts/{mart}`: `country=DE`,
`report_date.from=2026-05-01`, `campaign.is=null` (or `set`), `source.not=google`, `campaign.contains=sale`.
There is one more: `fct_conversions.country=DE` for the rows of conversions that have it, and likewise by
sessions, touches, … (`REACHED_BY`). Several conditions on such a mart hold of one and the same row of it;
where all ask for the lack of something (`.not`, `.is=null`), none of its rows may have that.

The same conditions can be put to other rows than the mart's, once it is said what its columns are there:
that is how a receipt finds the facts behind a report (`read_api/reports/receipt.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from read_api.parameters import REPORTING, Days
from read_api.reader import Reader
from read_api.reports.conditions import Condition

CREDIT_DIGITS = 9
"""A conversion's credit is counted in 10⁻⁹, in columns that end in `_nano`."""

REACHED_BY = {
    "fct_conversions": "conversion_id",
    "fct_attribution": "conversion_id",
    "fct_goal_completions": "conversion_id",
    "fct_sessions": "session_id",
    "fct_touches": "touch_id",
}
"""Marts whose columns other marts' rows can be chosen by, and the column that both have."""


def own_column(path: str) -> str:
    """The mart's own column that a path or a filter begins with: of one to another mart, their key."""
    name, _, _ = path.partition(".")
    return REACHED_BY.get(name, name)


_ENDS = ("is", "from", "to", "not", "contains", "search")
"""What follows a column's name where its condition is not to have a value.

`search` asks what `contains` does, and holds beside it: values of one condition are alternatives.
"""

Number = int | Decimal

PATHS = "conversion_paths"
"""A table of one request (`read_api/conversion_paths.py`)."""

PUBLISHED = ("fct_", "rpt_", "dim_", PATHS)
"""How marts are called, and what is made of them; figures of other things (a build, the outbox, what arrives)
have no rows in them."""


class NoColumnError(LookupError):
    """Rows have nothing of what a condition is about."""


@dataclass(frozen=True)
class Slice:
    """The project's rows of a mart whose columns have these values; None is null, a tuple any of several.

    With the schema `reporting` amounts are in the project's reporting currency; `slice_of` makes those.
    """

    mart: str
    project_id: str
    filters: tuple[tuple[str, Any], ...] = ()
    schema: str = ""

    @property
    def named(self) -> str:
        """The mart as a statement finds it, whatever its search path: `reporting.rpt_traffic`."""
        return f"{self.schema}.{self.mart}" if self.schema else self.mart

    def where(self, column: str, value: object) -> "Slice":
        """Those of them with this value.

        A column has one condition for its values: in an address several ones are alternatives. Of those that
        exclude each other there is no row, as there is none without a project.
        """
        for place, (name, known) in enumerate(self.filters):
            if name == column and column.rpartition(".")[2] not in _ENDS:
                both = _both(known, value)
                if not both:
                    return replace(self, filters=(*self.filters, ("project_id.is", "null")))
                narrowed = (*self.filters[:place], (name, both[0] if len(both) == 1 else both))
                return replace(self, filters=(*narrowed, *self.filters[place + 1 :]))
        return replace(self, filters=(*self.filters, (column, value)))

    def on(self, days_column: str, days: Days) -> "Slice":
        """Those of them on these days."""
        found = self
        for end, each in (("from", days.first), ("to", days.last)):
            found = found if each is None else found.where(f"{days_column}.{end}", each)
        return found

    def having(self, columns: Mapping[str, object]) -> "Slice":
        """Those of them with these values; None asks nothing of a column."""
        found = self
        for column, value in columns.items():
            found = found if value is None else found.where(column, value)
        return found

    @property
    def condition(self) -> Condition:
        """For a query; names of columns are ours, never the caller's."""
        return _holding(self.project_id, self.filters, None)

    @property
    def columns(self) -> frozenset[str]:
        """Of the mart itself, those that the condition is about; of conditions on other marts, their key."""
        return frozenset(own_column(name) for name, _ in self.filters)

    def reaching(self, mart: str) -> tuple[tuple[str, Any], ...]:
        """Its conditions on another mart, as conditions of that mart's own rows."""
        parted = ((*name.partition("."), value) for name, value in self.filters)
        return tuple((rest, value) for of, _, rest, value in parted if of == mart)

    def condition_on(self, columns: Mapping[str, str]) -> Condition:
        """The same of other rows, whose columns are these expressions. Raises NoColumnError."""
        return _holding(self.project_id, self.filters, columns)

    @cached_property
    def words(self) -> str:
        """The filter as an address would say it."""
        return urlencode([pair for name, value in self.filters for pair in _said(name, value)])

    def read(self, reader: Reader, column: str) -> "Figure":
        """What a build has in `column`, an expression of SQL, over these rows."""
        condition, values = self.condition
        ((number,),) = reader.rows(f"select {column} from {self.mart} where {condition}", values)  # noqa: S608
        return self.figure(column, number)

    def figure(self, column: str, number: Number | None) -> "Figure":
        """What a query found in `column`, an expression of SQL, over these rows."""
        return Figure(number, column, self)


def slice_of(reader: Reader, mart: str, project_id: str) -> Slice:
    """The project's rows of a mart, with their amounts as the request reads them."""
    return Slice(mart, project_id, schema=REPORTING if mart in reader.converted else "")


@dataclass(frozen=True)
class Behind:
    """Which values are listed beside a figure: the `first` by these sums, of the same rows in all currencies.

    With a `model`, the sums are those of what it credits, and the values are those of all models.
    """

    first: int
    sums: tuple[str, ...]
    model: str = ""

    def listed(self, figure: "Figure") -> Condition:
        """A query for the values that are left out of the figure, in the order of its `but`."""
        one_for_all = {"currency", "model"} if self.model else {"currency"}
        filters = tuple(each for each in figure.of.filters if each[0] not in one_for_all)
        condition, values = replace(figure.of, filters=filters).condition
        columns = figure.but.split(",")
        chosen = " filter (where model = ?)" if self.model else ""
        order = [f"coalesce({each}{chosen}, 0) desc" for each in self.sums]
        order += [f"{column} nulls last" for column in columns]
        names = ", ".join(columns)
        return (
            f"select {names} from {figure.of.mart} where {condition} group by {names} "  # noqa: S608
            f"order by {', '.join(order)} limit {self.first}",
            [*values, *([self.model] * len(self.sums) if self.model else [])],
        )


@dataclass(frozen=True)
class Figure:
    """A number, and where it is from: `column` over the rows of a slice.

    `but` names a column whose values that are listed beside it are left out; `behind` says which these are.
    `more` is what was added to it.
    """

    number: Number | None
    column: str
    of: Slice
    but: str = ""
    more: "Figure | None" = None
    behind: Behind | None = None

    @property
    def currency(self) -> str:
        """Of an amount."""
        found = dict(self.of.filters)["currency"]
        assert isinstance(found, str)
        return found

    @property
    def total(self) -> Number:
        """The number with what was added; nothing is 0."""
        return (self.number or 0) + (self.more.total if self.more else 0)

    def plus(self, more: "Figure | None") -> "Figure":
        """The sum with another figure of other rows."""
        return self if more is None else replace(self, more=more)

    def __bool__(self) -> bool:
        return bool(self.total)


def _both(known: Any, value: Any) -> tuple[Any, ...]:
    """The values that both conditions of one column leave."""
    one, other = (each if isinstance(each, tuple) else (each,) for each in (known, value))
    return tuple(each for each in other if each in one)


def _holding(
    project_id: str, filters: Iterable[tuple[str, Any]], columns: Mapping[str, str] | None
) -> Condition:
    condition = f"{_found('project_id', columns)} = ?"
    values: list[object] = [project_id]
    reached: dict[str, list[tuple[str, Any]]] = {}
    for name, value in filters:
        mart, _, column = name.partition(".")
        if mart in REACHED_BY:
            reached.setdefault(mart, []).append((column, value))
            continue
        sql, bound = _compared(_found(name.partition(".")[0], columns), name, value)
        condition += f" and {sql}"
        values += bound
    for mart, of_mart in reached.items():
        key = REACHED_BY[mart]
        here = _found(key, columns)
        if all(excludes(name, value) for name, value in of_mart):
            # None of its rows has what is excluded, perhaps because there is none: a conversion that nothing
            # is credited for has no landing page either.
            excluded = [_excluded(name, value) for name, value in of_mart]
            inner = " or ".join(sql for sql, _ in excluded)
            bound = [project_id, *(each for _, more in excluded for each in more)]
            found = f"select {key} from {mart} where project_id = ? and {key} is not null and ({inner})"  # noqa: S608
            condition += f" and ({here} is null or {here} not in ({found}))"
        else:
            inner, bound = _holding(project_id, of_mart, None)
            condition += f" and {here} in (select {key} from {mart} where {inner})"  # noqa: S608
        values += bound
    return condition, values


def excludes(name: str, value: Any) -> bool:
    """Whether a condition on a mart's own column asks for the lack of something."""
    column, _, how = name.partition(".")
    if column in REACHED_BY:
        return False
    return how == "not" or (how == "is" and value == "null") or (not how and value is None)


def _excluded(name: str, value: Any) -> tuple[str, list[Any]]:
    column, _, how = name.partition(".")
    if how != "not":
        return f"{column} is not null", []
    values = value if isinstance(value, tuple) else (value,)
    return f"{column} in ({_marks(values)})", list(values)


def _found(column: str, columns: Mapping[str, str] | None) -> str:
    if columns is None:
        return column
    if column not in columns:
        raise NoColumnError(column)
    return columns[column]


def _compared(column: str, name: str, value: Any) -> tuple[str, list[Any]]:
    _, _, how = name.partition(".")
    if how == "is":
        return f"{column} is {'null' if value == 'null' else 'not null'}", []
    if how in ("from", "to"):
        return f"{column} {'>=' if how == 'from' else '<='} ?", [value]
    if how in ("contains", "search"):
        parts = value if isinstance(value, tuple) else (value,)
        return _either(f"contains(lower({column}), lower(?))", len(parts)), list(parts)
    if how == "not":
        parts = value if isinstance(value, tuple) else (value,)
        return f"({column} is null or {column} not in ({_marks(parts)}))", list(parts)
    if how:
        raise ValueError(f"{name} is for people to read, not for a query")
    if value is None:
        return f"{column} is null", []
    if isinstance(value, tuple):
        return f"{column} in ({_marks(value)})", list(value)
    return f"{column} = ?", [value]


def _either(condition: str, times: int) -> str:
    return f"({' or '.join([condition] * times)})"


def _marks(values: tuple[Any, ...]) -> str:
    return ", ".join("?" for _ in values)


def _said(name: str, value: Any) -> Iterable[tuple[str, str]]:
    if value is None:
        yield f"{name}.is", "null"
    elif isinstance(value, tuple):
        for each in value:
            yield from _said(name, each)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif isinstance(value, date | datetime):
        yield name, value.isoformat()
    else:
        yield name, str(value)
