"""Tables of marts, as the warehouse and a publication have them, and names as SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Table:
    """A mart's table: type and comment of each column, and its own comment."""

    name: str
    columns: dict[str, tuple[str, str | None]]
    comment: str | None

    @property
    def types(self) -> dict[str, str]:
        """Of each column by name."""
        return {name: data_type for name, (data_type, _) in self.columns.items()}


def tables(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, Table]:
    """Tables of the schema `main` of an attached database by name.

    They are read at once, because DuckDB looks through all columns of everything for those of one.
    """
    comments = relation_comments(connection, database)
    found: dict[str, Table] = {}
    for table, name, data_type, comment in connection.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() "
        "where database_name = ? and schema_name = 'main' order by table_name, column_index",
        [database],
    ).fetchall():
        of = found.setdefault(table, Table(table, {}, comments.get(table)))
        of.columns[name] = (data_type, comment)
    return found


def relation_comments(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, str]:
    """Comments of the tables and views in the schema `main` of an attached database."""
    found = connection.execute(
        "select table_name, comment from duckdb_tables() "
        "where database_name = $1 and schema_name = 'main' and comment is not null "
        "union all select view_name, comment from duckdb_views() "
        "where database_name = $1 and schema_name = 'main' and comment is not null",
        [database],
    )
    return dict(found.fetchall())


def order_of(types: Mapping[str, str]) -> list[str]:
    """Columns by which the rows of a mart are sorted first, of the types of all: project, and days."""
    days = [name for name, data_type in types.items() if data_type == "DATE"]
    return [*(["project_id"] if "project_id" in types else []), *days]


def listed(names: Sequence[str]) -> str:
    """Names of columns, as SQL."""
    return ", ".join(map(identifier, names))


def identifier(name: str) -> str:
    """A name, as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A text, as SQL: ATTACH and COMMENT take no bound parameters."""
    return "'" + str(value).replace("'", "''") + "'"
