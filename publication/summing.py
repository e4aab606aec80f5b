"""Tables in which a large mart is summed further, for questions that ask fewer columns than it has.

A report by day, origin, place and page has nearly as many rows as there are sessions; most questions name one
or two of its columns. Besides, its numbers have 128 bits, which hold any sum. The read API reads the table
with the fewest rows that has what is asked. The tables stand in the schema `summed` of the marts file and are
no marts: they say nothing that the mart does not.
"""

import re
from collections.abc import Mapping

import duckdb

from publication.difference import Difference
from publication.layout import SUMMED
from publication.prepared import Prepared

_ORIGIN = ("source", "medium", "campaign", "term", "content", "channel")

LEFT_OUT: dict[str, tuple[tuple[str, ...], ...]] = {
    "rpt_traffic": (
        ("landing_page",),
        ("landing_page", *_ORIGIN),
        ("landing_page", "country", "device"),
        (*_ORIGIN, "country", "device"),
    ),
    "rpt_attribution": (("medium", "campaign"),),
    "rpt_landing_pages": ((),),
    "rpt_pages": ((),),
    "fct_attribution": (
        (
            *("attribution_id", "conversion_id", "touch_id", "person_id"),
            *("converted_at", "touched_at", "term", "content"),
        ),
    ),
}
"""Of each mart, the columns that each of its tables lacks; one that lacks none has smaller numbers."""

LEAST_ROWS = 500_000
"""Of a mart that is summed; one of fewer is read in the time that a page may take, and builds stay short."""

_KEYS = ("VARCHAR", "DATE", "BOOLEAN")
_WHOLE = re.compile(r"BIGINT|INTEGER|HUGEINT|DECIMAL\(38,0\)")
_PARTS = re.compile(r"DECIMAL\([0-9]+,[1-9][0-9]*\)")


def make_summed(
    connection: duckdb.DuckDBPyConnection, prepared: Prepared, differences: Mapping[str, Difference]
) -> None:
    """Make the tables in the attached file `published`; of marts that differ on some days, for these."""
    for mart, each_left_out in LEFT_OUT.items():
        types = dict(
            connection.execute(
                "select column_name, data_type from duckdb_columns() where database_name = 'published' "
                "and schema_name = 'main' and table_name = ? order by column_index",
                [mart],
            ).fetchall()
        )
        never = set.intersection(*map(set, each_left_out))
        keys = [name for name, data_type in types.items() if data_type in _KEYS and name not in never]
        numbers = {
            name: "bigint" if _WHOLE.fullmatch(data_type) else data_type
            for name, data_type in types.items()
            if _WHOLE.fullmatch(data_type) or _PARTS.fullmatch(data_type)
        }
        if not types or len(keys) + len(numbers) < len(types.keys() - never):
            # It is not published, or somebody gave it a column that can't be summed.
            continue
        counted = connection.execute(f"select count(*) from published.main.{mart}").fetchone()  # noqa: S608
        if any(each_left_out) and counted and counted[0] < LEAST_ROWS:
            continue
        sources = [(f"main.{mart}", set(keys))]
        for place, left_out in enumerate(each_left_out, start=1):
            grouped = [name for name in keys if name not in left_out]
            # Each from the least that has its columns.
            source = min(
                (each for each in sources if each[1].issuperset(grouped)), key=lambda each: len(each[1])
            )
            table = f"{SUMMED}.{mart}_{place}"
            changed = differences.get(mart)
            is_by_day = changed is not None and set(changed.keys) <= set(grouped)
            days = changed.on_changed_days() if changed and is_by_day else None
            _sum(prepared, table, source[0], grouped, numbers, not left_out, days)
            sources.append((table, set(grouped)))


def _sum(
    prepared: Prepared,
    table: str,
    source: str,
    keys: list[str],
    numbers: Mapping[str, str],
    is_copy: bool,
    days: str | None,
) -> None:
    """Sum the rows of a source by its keys, ordered as marts are; `numbers` have the types of their sums.

    Numbers that are null stay apart, so that conditions on them choose the same rows. Sums are of 64 bits
    where they fit: DuckDB takes a quarter of the time for them. Of a source that has no other columns, rows
    are copied as they are. `days` is the condition that a row is of a day that has changed.
    """
    first = [name for name in ("project_id", "report_date", "conversion_date") if name in keys]
    order = [*first, *(name for name in keys if name not in first)]
    apart = [*keys, *(f"{name} is null" for name in numbers)]
    grouped = "" if is_copy else f" group by {', '.join(apart)} order by {', '.join(order)}"

    def make(types: Mapping[str, str]) -> None:
        sums = {name: name if is_copy else f"sum({name})" for name in types}
        summed = [f"cast({sums[name]} as {data_type}) as {name}" for name, data_type in types.items()]
        listed = ", ".join([*keys, *summed])
        prepared.make(
            table,
            lambda where: f"select {listed} from published.{source} where {where}{grouped}",  # noqa: S608
            days,
            days,
        )

    try:
        make(numbers)
    except duckdb.ConversionException:
        make({name: "decimal(38, 0)" if of == "bigint" else of for name, of in numbers.items()})
