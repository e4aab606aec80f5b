"""The table of performance in SQL: the lines of a page in their order, all others, and the total.

Parts say what is summed of which rows. Everything is summed before it is cut: lines and the line of all
others add up to the total, in each currency. Amounts are compared in one currency after the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from read_api.joined import joined
from read_api.performance_lines import CHANGE, OF_MONEY, Asked, Line, Part, Parts, Performance, Sums
from read_api.ranking import InOrder
from read_api.reader import Reader
from read_api.reports.projects import known_days
from read_api.slices import Figure, own_column
from read_api.summed import relation_of

_SORTED_CURRENCIES = 6


def table(
    reader: Reader,
    project_id: str,
    asked: Asked,
    parts: list[Parts],
    refunds: list[dict[str, Figure]],
    in_order: InOrder,
) -> Performance:
    """Lines, all others and the total of the sums of parts, which are one for each period."""
    lines, other, values, sums = _lines(reader, project_id, asked, parts, in_order)
    total = Line((), sums or _totals(reader, parts), parts, in_order, "total", refunds=refunds)
    return Performance(asked, lines, total, other, values, refunds[0])


def _totals(reader: Reader, parts: Sequence[Parts]) -> list[Sums]:
    """By a query of its own, where lines don't add up to it."""
    selects, values = _selects(reader, parts, grouped=False)
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


def _selects(reader: Reader, parts: Sequence[Parts], grouped: bool) -> tuple[str, list[object]]:
    measures = _measures(parts)
    selects, bound = [], []
    for period, of_period in enumerate(parts):
        for part in _read_together(of_period):
            if grouped and part.paths is None:
                continue
            paths = part.paths or () if grouped else ()
            conditions = [name for each in part.measures.values() for name, _ in each.of]
            named = ("currency", *map(own_column, (*paths, *conditions)))
            relation, names, values = joined(reader, part.rows, paths, relation_of(reader, part.rows, named))
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
    selects, bound = _selects(reader, parts, grouped=True)
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
    labels = ", ".join(f"placed.d{number}" for number in range(count))
    nothing = ", ".join("null" for _ in range(count))
    summed = ", ".join(f"sum({name})" for name in known.values())
    ordered = ", ".join(placed)
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
        page as (
            select * from weighed order by {ordered} limit ? offset ?
        ),
        placed as (
            select *, row_number() over (order by {ordered}) as line from page
        )
        select line, {labels}, period, currency, (select count(*) from weighed), {summed}
        from parts inner join placed on {same}
        group by line, {labels}, period, currency
        union all
        select 0, {nothing}, period, currency, (select count(*) from weighed), {summed}
        from parts
        group by period, currency
        order by line
        """,  # noqa: S608
        [*bound, asked.page.limit, asked.page.offset],
    )
    values = 0
    every: list[Sums] = [{} for _ in parts]
    rest: list[Sums] = [{} for _ in parts]
    by_line: dict[int, tuple[tuple[str | None, ...], list[Sums]]] = {}
    for line, *row in found:
        of_line, (period, currency, values, *numbers) = row[:count], row[count:]
        sums = {name: number or 0 for name, number in zip(known, numbers, strict=True)}
        if line == 0:
            every[period][currency] = sums
            rest[period][currency] = dict(sums)
            continue
        by_line.setdefault(line, (tuple(of_line), [{} for _ in parts]))[1][period][currency] = sums
        for name, number in sums.items():
            rest[period][currency][name] -= number
    lines = [Line(of_line, sums, list(parts), in_order) for of_line, sums in by_line.values()]
    overlaps = "goal" in asked.by
    other = None
    if len(lines) < values and not overlaps:
        listed = tuple(line.values for line in lines)
        other = Line((), rest, list(parts), in_order, "other", listed)
    adds_up = (
        not overlaps and "people" not in known and all(p.paths is not None for each in parts for p in each)
    )
    return lines, other, values, every if adds_up else []


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
