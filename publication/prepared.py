"""Tables beside the marts of a publication, made from their rows: look-ups, sums, paths.

A table's comment is the query that made it. Where a publication is a copy of the last one, a table of the
same query is brought up to date by what was replaced in its mart; any other is made anew.
"""

from collections.abc import Callable

import duckdb

from publication.tables import literal


class Prepared:
    """The tables that were made in the attached file `published`, and those that it has already."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, schemas: tuple[str, ...]) -> None:
        self._connection = connection
        for schema in schemas:
            connection.execute(f"create schema if not exists published.{schema}")
        marks = ", ".join(map(literal, schemas))
        self._known: dict[str, str | None] = dict(
            connection.execute(
                "select schema_name || '.' || table_name, comment from duckdb_tables() "  # noqa: S608
                f"where database_name = 'published' and schema_name in ({marks})"
            ).fetchall()
        )
        self._made: set[str] = set()

    def make(
        self,
        table: str,
        query: Callable[[str], str],
        gone: str | None = None,
        come: str | None = None,
    ) -> None:
        """Make a table, or bring it up to date.

        `query` has a condition for rows of what it reads. Rows of the table that fulfil `gone` are replaced
        by those that it gives with the condition `come`; without them it is made anew.
        """
        said = query("true")
        if gone is not None and come is not None and self._known.get(table) == said:
            self._connection.execute(f"delete from published.{table} where {gone}")  # noqa: S608
            self._connection.execute(f"insert into published.{table} {query(come)}")
        else:
            self._connection.execute(f"create or replace table published.{table} as {said}")
            self._connection.execute(f"comment on table published.{table} is {literal(said)}")
        self._made.add(table)

    def drop_others(self) -> None:
        """Drop tables that were not made this time."""
        for table in self._known.keys() - self._made:
            self._connection.execute(f"drop table published.{table}")
