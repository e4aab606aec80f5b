"""Values of a column with their figures, most first: those that fit, one line for all others, and the total.

Everything is summed in SQL before anything is cut: lines and other add up to the total, in each currency.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from read_api.joined import joined
from read_api.reader import Reader
from read_api.slices import CREDIT_DIGITS, Behind, Figure, Slice, own_column
from read_api.summed import relation_of


@dataclass(frozen=True)
class Ranked:
    """What is asked of a mart: `by` a column, `counts` and one amount; lines come in the order of counts.

    The column may be another mart's, at the end of a path (`read_api/slices.py`).
    """

    by: str
    counts: tuple[str, ...]
    amount: str = "net_amount_minor"
    order: tuple[str, ...] = ()
    """Of the counts; without one, all of them."""
    labels: tuple[str, ...] = ()
    """Columns that a value has one of each, as a name."""


TRAFFIC = Ranked(
    "source", ("sessions", "credit_nano", "pending_credit_nano"), order=("sessions", "credit_nano")
)
LANDED = Ranked(
    "landing_page", ("sessions", "converting_sessions", "conversions"), order=("sessions", "conversions")
)


@dataclass
class Line:
    """The figures of one value, of all others, or of everything."""

    value: Any
    counts: dict[str, Figure] = field(default_factory=dict)
    amounts: dict[str, Figure] = field(default_factory=dict)
    """By currency, in the order in which currencies stand on all pages."""
    labels: tuple[Any, ...] = ()

    def __getitem__(self, count: str) -> Figure:
        """A count, for templates."""
        return self.counts[count]

    @property
    def moneys(self) -> list[Figure]:
        """The amounts that are not 0, or a 0 where something was converted; nothing where nothing was."""
        return [each for each in self.amounts.values() if each] or [*self.amounts.values()][:1]


@dataclass
class Ranking:
    """Lines of the first values; `other` has all that is behind them, which are `others` values."""

    lines: list[Line]
    total: Line
    other: Line | None = None
    others: Figure | int | None = None
    """A number alone, where values are those of another mart."""

    def __bool__(self) -> bool:
        return bool(self.lines)

    def digits(self, count: str) -> int:
        """Those that a column of a count needs: parts of conversions have one."""
        all_lines = [*self.lines, self.total, *([self.other] if self.other else [])]
        return int(any(line[count].total % 1 for line in all_lines))


InOrder = Callable[[Iterable[str]], list[str]]
"""Sorts currencies."""


def ranked(reader: Reader, rows: Slice, asked: Ranked, most: int, in_order: InOrder) -> Ranking:
    """The first `most` values, by one reading of the mart. Raises as Reader.rows."""
    return _rankings(_cut(reader, rows, asked, most, "null", None), rows, rows, asked, most, in_order)


def ranked_by_model(
    reader: Reader, rows: Slice, asked: Ranked, most: int, in_order: InOrder, models: Sequence[str]
) -> dict[str, Ranking]:
    """The same values, in the order of the first model, as each model credits them."""
    of_models = rows.where("model", tuple(models))
    found = _cut(reader, of_models, asked, most, "model", models[0])
    return {
        model: _rankings(
            found, of_models, rows.where("model", model), asked, most, in_order, model, models[0]
        )
        for model in models
    }


@dataclass(frozen=True)
class _Sums:
    """What a query found for a line, which is None of everything, in one currency under one model."""

    line: int | None
    value: Any
    model: str | None
    currency: str
    known: int | None
    """How many values there are, cut or not; None of a line that isn't listed."""
    numbers: tuple[Any, ...]
    labels: tuple[Any, ...]


def _cut(
    reader: Reader, rows: Slice, asked: Ranked, most: int, model: str, first_model: str | None
) -> list[_Sums]:
    source = relation_of(reader, rows, ("currency", own_column(asked.by), *asked.labels))
    relation, [by], values = joined(reader, rows, [asked.by], source)
    sums = [*asked.counts, asked.amount]
    order = asked.order or asked.counts
    chosen = "" if first_model is None else " filter (where model = ?)"
    summed = [f"sum({name}) as {name}" for name in sums] + [f"max({name}) as {name}" for name in asked.labels]
    ranks = [f"coalesce(sum({name}){chosen}, 0) as rank_{name}" for name in order]
    first = ", ".join([*[f"rank_{name} desc" for name in order], "value nulls last"])
    found = reader.rows(
        f"""
        with found as materialized (
            select {by} as value, own.currency, {model} as model, {", ".join(summed)}
            from {relation}
            group by {by}, own.currency, {model}
        ),
        listed as (
            select value, count(*) over () as known, {", ".join(ranks)}
            from found
            group by value
            order by {first}
            limit ?
        ),
        placed as (
            select *, row_number() over (order by {first}) as place
            from listed
        ),
        cut as (
            select found.*, coalesce(placed.place, ?) as line, placed.value as shown, placed.known
            from found
            left join placed on placed.value is not distinct from found.value
        )
        select line, shown, model, currency, max(known), {", ".join(summed)}
        from cut
        group by grouping sets ((line, shown, model, currency), (model, currency))
        order by line nulls last, model, currency
        """,  # noqa: S608
        [*values, *([first_model] * len(order) if first_model else []), most, most + 1],
    )
    return [
        _Sums(line, value, of, currency, known, tuple(row[: len(sums)]), tuple(row[len(sums) :]))
        for line, value, of, currency, known, *row in found
    ]


def _rankings(
    found: list[_Sums],
    every: Slice,
    rows: Slice,
    asked: Ranked,
    most: int,
    in_order: InOrder,
    model: str | None = None,
    first_model: str = "",
) -> Ranking:
    """Lines as one model has them in its `rows` of `every` row; of a value that it does not credit, zeros."""
    heads = {each.line: each for each in found}
    by_line: dict[int | None, list[_Sums]] = {line: [] for line in heads}
    for each in found:
        if each.model == model:
            by_line[each.line].append(each)
    other: Line | None = None
    others: Figure | int | None = None
    if most + 1 in heads:
        behind = max(each.known or 0 for each in found) - most
        if "." in asked.by:
            # Columns of other marts are not in its rows: each value is said.
            values = [head.value for line, head in heads.items() if line is not None and line <= most]
            left = rows.where(f"{asked.by}.not", tuple(value for value in values if value is not None))
            left = left.where(f"{asked.by}.is", "set") if None in values else left
            other, others = _line(by_line[most + 1], left, asked, in_order), behind
        else:
            sums = tuple(f"sum({name})" for name in asked.order or asked.counts)
            listed = Behind(most, sums, first_model)
            other = _behind(_line(by_line[most + 1], rows, asked, in_order, but=asked.by), listed)
            # A row of it, because nulls are not counted by themselves.
            others = Figure(behind, f"count(distinct row({asked.by}))", every, asked.by, behind=listed)
    return Ranking(
        [
            _line(by_line[line], rows.where(asked.by, head.value), asked, in_order, head)
            for line, head in heads.items()
            if line is not None and line <= most
        ],
        _line(by_line.get(None, []), rows, asked, in_order),
        other,
        others,
    )


def _line(
    found: Sequence[_Sums],
    rows: Slice,
    asked: Ranked,
    in_order: InOrder,
    head: _Sums | None = None,
    but: str = "",
) -> Line:
    line = Line(head.value if head else None, labels=head.labels if head else ())
    for number, column in enumerate(asked.counts):
        line.counts[column] = count(rows, column, sum(each.numbers[number] for each in found), but)
    amounts = {each.currency: each.numbers[-1] for each in found}
    if any(line.counts[column] for column in asked.counts if column in _CONVERTING) or any(amounts.values()):
        line.amounts = {
            currency: Figure(amounts[currency], f"sum({asked.amount})", rows.where("currency", currency), but)
            for currency in in_order(amounts)
        }
    return line


def _behind(line: Line, listed: Behind) -> Line:
    """The line with which values are left out of its figures."""
    return replace(
        line,
        counts={name: replace(figure, behind=listed) for name, figure in line.counts.items()},
        amounts={name: replace(figure, behind=listed) for name, figure in line.amounts.items()},
    )


_CONVERTING = ("conversions", "credit_nano")
"""Counts without which an amount of 0 is none."""


def count(rows: Slice, column: str, number: Any, but: str = "") -> Figure:
    """A sum of a column; of credit, in conversions."""
    exact = Decimal(number or 0)
    if column.endswith("_nano"):
        exact = exact.scaleb(-CREDIT_DIGITS)
    return Figure(exact, f"sum({column})", rows, but)
