"""The receipt of a figure: the rows that it is made of, and whether they add up to it.

The number is the report's; the rows are the facts', as `receipt_rows.py` lists them, and summed by a query of
their own. So each proves the other. The statements are shown, never taken from outside.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import (
    AskedTable,
    Exact,
    TableAsked,
    csv_answer,
    json_answer,
    of_nano,
    opened,
    tag_answer,
)
from read_api.parameters import FIRST_PAGE, Page, cursor
from read_api.reader import Reader
from read_api.reports.projects import Project, project
from read_api.reports.receipt_asked import PARTS, Asked, Expression, asked_figure, expression
from read_api.reports.receipt_rows import (
    DISTINCT,
    SHOWN,
    Known,
    Listing,
    left_out_condition,
    listing,
    of_report,
)
from read_api.reports.receipt_words import said
from read_api.reports.statements import statement
from read_api.slices import Figure, NoColumnError

PARAMETERS = ("part", "format", "limit", "cursor", "build")
"""What is no word of the figure."""

_RATIO_DIGITS = 12

_NOT_SAID = "The facts of this build do not say what it is filtered by: these are the report's own rows."

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One line of a receipt; what is not known of it is null."""

    happened_at: Annotated[datetime | None, Field(description="When it happened, UTC.")]
    day: Annotated[date | None, Field(description="Day of the report that it counts on.")]
    name: Annotated[str | None, Field(description="Name of the conversion, landing page, campaign, …")]
    person_id: Annotated[str | None, Field(description="Whose it is.")]
    transaction_id: Annotated[str | None, Field(description="The order.")]
    source: Annotated[str | None, Field(description="Where it is credited to, or where the visit came from.")]
    share: Annotated[Exact | None, Field(description="Share of the conversion's credit.")]
    amount_minor: Annotated[int | None, Field(description="Its amount, minor units.")]
    currency: str | None
    conversion_id: Annotated[str | None, Field(description="`conversions/{conversion_id}` explains it.")]
    session_id: Annotated[str | None, Field(description="The session.")]
    counted: Annotated[
        Exact | None, Field(description="What it adds to the figure: conversions, minor units, or things.")
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """One number that a figure is made of, and what its rows add up to."""

    part: Annotated[str, Field(description="figure, more (added to it), over (divided by), over_more.")]
    words: Annotated[str, Field(description="What the number is.")]
    mart: str
    column: Annotated[str, Field(description="The expression over the mart's rows.")]
    filter: Annotated[str, Field(description="Which rows, as addresses say it.")]
    unit: Annotated[str, Field(description="minor (of `currency`), conversions, seconds, or things.")]
    currency: str | None
    number: Annotated[Exact | None, Field(description="By the report.")]
    rows: Annotated[int, Field(description="How many rows there are.")]
    sum: Annotated[Exact | None, Field(description="By these rows.")]
    agrees: Annotated[bool, Field(description="Whether both are the same, to the last digit.")]
    listed_from: Annotated[str, Field(description="facts, or report where facts can't be listed.")]
    note: Annotated[str, Field(description="Why the rows are the report's; empty where they are facts.")]
    statement: Annotated[
        str, Field(description="SQL over marts.duckdb that gives number and rows; shown, not run from here.")
    ]


class Receipt(BaseModel):
    """A figure, opened into its rows."""

    build: str = Field(description="The build that was read.")
    words: str = Field(description="What the figure is.")
    number: Exact | None = Field(description="By the report: parts added, and divided for a ratio.")
    sum: Exact | None = Field(description="By the rows.")
    agrees: bool = Field(description="Whether each part's rows add up to it.")
    parts: list[Part] = Field(description="The numbers that the figure is made of.")
    part: str = Field(description="The part that `rows` are of.")
    rows: list[ReceiptRow]
    next: str | None = Field(description="`cursor` of the next page, null at the end.")


@dataclass(frozen=True)
class Opened:
    """A figure with its parts, and a page of the rows of one of them."""

    asked: Asked
    words: str
    parts: list[Part]
    part: Part
    rows: list[ReceiptRow]
    project: Project

    @property
    def number(self) -> Decimal | None:
        """By the report."""
        return _whole({each.part: each.number for each in self.parts})

    @property
    def sum(self) -> Decimal | None:
        """By the rows."""
        return _whole({each.part: each.sum for each in self.parts})

    @property
    def agrees(self) -> bool:
        """Whether each part's rows add up to it."""
        return all(each.agrees for each in self.parts)


def receipt(
    reader: Reader, project_id: str, asked: Asked, part: str = "figure", page: Page = FIRST_PAGE
) -> Opened:
    """The receipt of a figure, with a page of the rows of one of its parts, oldest first.

    `Reader.following` is that of these rows. Raises Refusal 400 for a part that the figure has not.
    """
    known = Known(reader, project(reader, project_id))
    figures = {PARTS[begin]: figure for begin, figure in asked.parts()}
    if part not in figures:
        raise Refusal(400, "part must be one of " + ", ".join(figures))
    queries = {name: _Query.of(known, figure) for name, figure in figures.items()}
    parts = [_part(reader, name, each, known.project) for name, each in queries.items()]
    words = parts[0].words if asked.over is None else _ratio_words({each.part: each.words for each in parts})
    rows = queries[part].page(reader, page)
    chosen = next(each for each in parts if each.part == part)
    return Opened(asked, words, parts, chosen, rows, known.project)


def _ratio_words(words: dict[str, str]) -> str:
    return f"{words['figure']}, over {words['over']}"


@dataclass(frozen=True)
class _Query:
    """The queries of one part: its number, what its rows add up to, and the rows."""

    figure: Figure
    asked: Expression
    listing: Listing
    condition: str
    values: list[Any]

    @classmethod
    def of(cls, known: Known, figure: Figure) -> "_Query":
        """As the facts list it, or else the report."""
        asked = expression(figure.column)
        assert asked is not None
        if asked.column.endswith("_minor") and not asked.column.startswith("reporting_"):
            has_currency = "currency" in {each.name for each in known.reader.marts[figure.of.mart].columns}
            if has_currency and "currency" not in dict(figure.of.filters):
                raise Refusal(400, "An amount is of one currency: currency=USD")
        found = listing(known, figure, asked)
        try:
            return cls(figure, asked, found, *_condition(found, figure))
        except NoColumnError:
            # The facts of this build don't say what the figure is filtered by.
            found = replace(of_report(known, figure, asked), note=_NOT_SAID)
            return cls(figure, asked, found, *_condition(found, figure))

    @property
    def number_query(self) -> tuple[str, list[Any]]:
        """The report's number."""
        condition, values = self.figure.of.condition
        if self.figure.but:
            columns = {name: name for name in self.figure.but.split(",")}
            mart = self.figure.of.mart
            left_out, more = left_out_condition(self.figure, {name: f"{mart}.{name}" for name in columns})
            condition, values = f"{condition} and {left_out}", [*values, *more]
        return f"select {self.figure.column} from {self.figure.of.mart} where {condition}", values  # noqa: S608

    @property
    def sum_query(self) -> tuple[str, list[Any]]:
        """How many rows there are, and what they add up to."""
        of = self.listing
        weight = "sum(1)" if of.weight == "1" else f"{of.aggregate}({of.weight})"
        joins = _joins(of, [self.condition, of.weight])
        return (
            f"select count(*), {weight} from {of.base}{joins} where {self.condition}",  # noqa: S608
            self.values,
        )

    def rows_query(self, is_shown: bool = False, is_near: bool = False) -> tuple[str, list[Any]]:
        """The rows, oldest first: their day is what rows are stored by, so that others are not read.

        For people who are shown it, all of them, and without columns that have nothing. With `is_near` only
        what is close is joined, and a last column says of each row whether that missed something.
        """
        of = self.listing
        names = [name for name in SHOWN if name in of.shown or not is_shown]
        shown = [f"{of.shown.get(name, 'null')} as {name}" for name in names] + [f"{of.weight} as counted"]
        if is_near:
            shown.append(" or ".join(f"({each.is_missed})" for each in of.near.values()))
            nearer = {alias: f"{of.joins[alias]} and {near.condition}" for alias, near in of.near.items()}
            of = replace(of, joins={**of.joins, **nearer})
        limit = "" if is_shown else " limit ? offset ?"
        columns = (",\n    " if is_shown else ", ").join(shown)
        order = f"order by {of.time}, {of.key}"
        shown_joins = _joins(of, shown)
        base, joins, where, values = of.base, _joins(of, [self.condition]), self.condition, self.values
        if not shown_joins:
            return (
                f"select {columns} from {base}{joins} where {where} {order}{limit}",  # noqa: S608
                values,
            )
        # What is only shown is looked up for the rows of the page alone.
        return (
            f"select {columns} from (select {of.alias}.* from {base}{joins} where {where} "  # noqa: S608
            f"{order}{limit}) as {of.alias}{shown_joins} {order}",
            values,
        )

    def page(self, reader: Reader, page: Page) -> list[ReceiptRow]:
        """A page of the rows."""
        is_near = bool(self.listing.near)
        found = reader.page(*self.rows_query(is_near=is_near), page)
        if is_near and any(row[-1] for row in found):
            found, is_near = reader.page(*self.rows_query(), page), False
        return [self._row(row[:-1] if is_near else row) for row in found]

    def _row(self, row: Sequence[Any]) -> ReceiptRow:
        named = dict(zip((*SHOWN, "counted"), row, strict=True))
        nano, counted = named.pop("credit_nano"), named.pop("counted")
        return ReceiptRow(
            **named,
            share=None if nano is None else of_nano(int(nano)),
            counted=self.scaled(counted),
        )

    @property
    def unit(self) -> str:
        """What the number counts."""
        if "_minor" in self.figure.column:
            return "minor"
        if "_nano" in self.figure.column:
            return "conversions"
        return "seconds" if "_seconds" in self.figure.column else "things"

    def scaled(self, number: Any) -> Decimal | None:
        """A number in its unit."""
        if number is None:
            return None
        return of_nano(int(number)) if self.unit == "conversions" else Decimal(number)


def _condition(of: Listing, figure: Figure) -> tuple[str, list[Any]]:
    filters = tuple(each for each in figure.of.filters if each[0].partition(".")[0] not in of.ignored)
    condition, values = replace(figure.of, filters=filters).condition_on(of.columns)
    if figure.but and figure.behind and DISTINCT not in of.base:
        left_out, more = left_out_condition(
            figure, {name: of.columns[name] for name in figure.but.split(",")}
        )
        condition, values = f"{condition} and {left_out}", [*values, *more]
    where = "" if of.where == "true" else f"{of.where} and "
    return f"{where}{condition}", [*of.values, *values]


def _joins(of: Listing, expressions: Iterable[str]) -> str:
    """The joins that expressions need, in their order, with those that these need."""
    text = " ".join(expressions)
    needed: set[str] = set()
    for alias in reversed(list(of.joins)):
        if re.search(rf"\b{alias}\.", text):
            needed.add(alias)
            text += " " + of.joins[alias]
    return "".join(f" {join}" for alias, join in of.joins.items() if alias in needed)


def _part(reader: Reader, name: str, query: _Query, of: Project) -> Part:
    ((number,),) = reader.rows(*query.number_query)
    ((count, total),) = reader.rows(*query.sum_query)
    currency = dict(query.figure.of.filters).get("currency")
    return Part(
        name,
        said(query.figure, query.asked, of),
        query.figure.of.named,
        query.figure.column,
        query.figure.of.words,
        query.unit,
        currency if isinstance(currency, str) and query.unit == "minor" else None,
        query.scaled(number),
        count,
        query.scaled(0 if total is None and number is not None else total),
        (number or 0) == (total or 0),
        "report" if query.listing.note else "facts",
        query.listing.note,
        _shown_statement(query, reader),
    )


def _shown_statement(query: _Query, reader: Reader) -> str:
    """All three queries, as somebody would type them."""
    begin = f"{reader.search_path};\n\n" if reader.search_path else ""
    if query.figure.of.mart in reader.derived:
        made = statement(*reader.derived[query.figure.of.mart])
        begin += f"create or replace temp table {query.figure.of.mart} as{made};\n\n"
    return begin + "\n\n".join(
        f"-- {words}\n{statement(*each)};"
        for words, each in (
            ("The figure, by the report", query.number_query),
            ("The same, by its rows", query.sum_query),
            ("The rows", query.rows_query(is_shown=True)),
        )
    )


def _whole(numbers: dict[str, Decimal | None]) -> Decimal | None:
    """The number of a figure, from those of its parts."""
    if numbers["figure"] is None and "more" not in numbers:
        return None
    above = (numbers["figure"] or Decimal()) + (numbers.get("more") or Decimal())
    if "over" not in numbers:
        return above
    below = (numbers["over"] or Decimal()) + (numbers.get("over_more") or Decimal())
    return round(above / below, _RATIO_DIGITS).normalize() + 0 if below else None


@router.get("/v1/projects/{project_id}/receipt", response_model=Receipt)
def receipt_report(
    caller: ReadCaller,
    table: AskedTable,
    part: Annotated[
        str | None,
        Query(description="Whose rows: figure (default), more, over or over_more, where it has them."),
    ] = None,
    mart: Annotated[  # noqa: ARG001
        str | None, Query(description="The mart of the figure, as pages' `data-mart`.")
    ] = None,
    column: Annotated[  # noqa: ARG001
        str | None, Query(description="`sum(sessions)`, `count(*)`, …, as pages' `data-column`.")
    ] = None,
) -> Response:
    """The rows that a figure is made of, oldest first, and whether they add up to it.

    Every other parameter is a word of the figure's filter, as pages have them in `data-filter`; those of
    what is added to it begin with `more-`, of what it is divided by with `over-`.
    """
    request = table.request
    with opened(request, caller, table.asked.build_id or table.build_id) as reader:
        tag_answer(request, caller, reader.build_id)
        found = asked_receipt(reader, caller.project_id, table, part)
        return receipt_answer(table, reader, found)


def asked_receipt(reader: Reader, project_id: str, table: TableAsked, part: str | None) -> Opened:
    """What an address asks for."""
    words = [
        pair for pair in table.request.query_params.multi_items() if pair[0] not in PARAMETERS and pair[1]
    ]
    return receipt(reader, project_id, asked_figure(reader, project_id, words), part or "figure", table.page)


def receipt_answer(table: TableAsked, reader: Reader, found: Opened) -> Response:
    """As JSON, or the rows of the page as CSV."""
    following = cursor(reader.build_id, reader.following)
    if table.form == "csv":
        return csv_answer(table.request, found.rows, reader.build_id, following)
    content = {
        "build": reader.build_id,
        "words": found.words,
        "number": found.number,
        "sum": found.sum,
        "agrees": found.agrees,
        "parts": found.parts,
        "part": found.part.part,
        "rows": found.rows,
        "next": following,
    }
    return json_answer(table.request, content, reader.build_id)
