"""Where the rows of one person or one conversion are: `<mart>_by_<column>` of the schema `lookup`.

The marts are sorted by day, and of the texts in a block DuckDB keeps the least and the greatest by eight
characters, the project's: it would read whole columns.
"""

from collections.abc import Mapping

import duckdb

from publication.difference import Difference
from publication.files import numbered
from publication.layout import LOOKUPS, lookup_key
from publication.prepared import Prepared

LOOKED_UP = (
    ("dim_people", "person_id"),
    ("dim_identifiers", "person_id"),
    ("dim_identifiers", "id_value"),
    ("fct_sessions", "person_id"),
    ("fct_sessions", "session_id"),
    ("fct_touches", "person_id"),
    ("fct_conversions", "person_id"),
    ("fct_conversions", "conversion_id"),
    ("fct_conversion_reports", "conversion_id"),
    ("fct_goal_completions", "person_id"),
    ("fct_forwardings", "conversion_id"),
)


def make_lookups(
    connection: duckdb.DuckDBPyConnection,
    prepared: Prepared,
    are_files: Mapping[str, bool],
    differences: Mapping[str, Difference],
) -> None:
    """Make the look-ups of published marts; `are_files` says of each whether it is a view over files."""
    stayed = {mart: found for mart, found in differences.items() if found.stayed(connection)}
    for mart, column in LOOKED_UP:
        if mart not in are_files:
            continue
        source = numbered(mart) if are_files[mart] else f"main.{mart}"

        def query(where: str, column: str = column, source: str = source) -> str:
            return (
                f"select {lookup_key(column)} as key, rowid as row_number from published.{source} "  # noqa: S608
                f"where {where} order by key, row_number"
            )

        table = f"{LOOKUPS}.{mart}_by_{column}"
        if changed := stayed.get(mart):
            removed = f"row_number in (select row_number from {changed.removed})"  # noqa: S608
            prepared.make(table, query, removed, f"rowid > {changed.last}")
        else:
            prepared.make(table, query)
