"""Tables in which a large report is summed further, for questions that ask fewer columns than it has.

A report by day, origin, place and page has nearly as many rows as there are sessions; most questions name one
or two of its columns. The read API reads the table with the fewest rows that has them. The tables stand in
the schema `summed` of the marts file and are no marts: they say nothing that the report does not.
"""

import duckdb

from publication.layout import SUMMED

_ORIGIN = ("source", "medium", "campaign", "term", "content", "channel")

LEFT_OUT: dict[str, tuple[tuple[str, ...], ...]] = {
    "rpt_traffic": (
        ("landing_page",),
        ("landing_page", "country", "device"),
        (*_ORIGIN, "country", "device"),
    ),
}
"""Of each report, the columns that each of its tables lacks. Of ten million events, a day has 17,000 rows,
6,000 without pages, 900 by origin alone, and 3,000 by page alone."""

_KEYS = ("VARCHAR", "DATE", "BOOLEAN")


def create_summed(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables anew in the attached file `published`."""
    connection.execute(f"drop schema if exists published.{SUMMED} cascade")
    connection.execute(f"create schema published.{SUMMED}")
    for mart, each_left_out in LEFT_OUT.items():
        columns = dict(
            connection.execute(
                "select column_name, data_type from duckdb_columns() where database_name = 'published' "
                "and schema_name = 'main' and table_name = ? order by column_index",
                [mart],
            ).fetchall()
        )
        numbers = [name for name, data_type in columns.items() if _is_whole(data_type)]
        if any(data_type not in _KEYS for name, data_type in columns.items() if name not in numbers):
            # Somebody gave the report a column that can't be summed.
            continue
        source, in_source = f"main.{mart}", set(columns)
        for place, left_out in enumerate(each_left_out, start=1):
            keys = [name for name in columns if name not in numbers and name not in left_out]
            if not in_source.issuperset(keys):
                source, in_source = f"main.{mart}", set(columns)
            _sum(connection, f"{SUMMED}.{mart}_{place}", source, keys, numbers)
            source, in_source = f"{SUMMED}.{mart}_{place}", {*keys, *numbers}


def _sum(
    connection: duckdb.DuckDBPyConnection, table: str, source: str, keys: list[str], numbers: list[str]
) -> None:
    """Sum the rows of a source by its keys, ordered as marts are.

    Numbers that are null stay apart, so that conditions on them choose the same rows. Sums are of 64 bits
    where they fit: DuckDB takes a quarter of the time for them.
    """
    first = [name for name in ("project_id", "report_date") if name in keys]
    order = [*first, *(name for name in keys if name not in first)]
    grouped = [*keys, *(f"{name} is null" for name in numbers)]

    def create(data_type: str) -> None:
        summed = [f"cast(sum({name}) as {data_type}) as {name}" for name in numbers]
        connection.execute(
            f"create or replace table published.{table} as select {', '.join([*keys, *summed])} "  # noqa: S608
            f"from published.{source} group by {', '.join(grouped)} order by {', '.join(order)}"
        )

    try:
        create("bigint")
    except duckdb.ConversionException:
        create("decimal(38, 0)")


def _is_whole(data_type: str) -> bool:
    return data_type in ("BIGINT", "INTEGER", "HUGEINT") or data_type.startswith("DECIMAL(38,0")
