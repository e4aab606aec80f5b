"""The published marts as tables of a PostgreSQL schema, for BI tools that read nothing else.

All tables change in one transaction: readers see those of one build or of the next, and don't wait. Tables
are never replaced, so that grants, indexes and the views of analysts stay: rows are deleted and copied anew,
columns that came or went are altered. A column that somebody's view needs can't go: then nothing changes and
the error names the view. The table `publication` says which build the others are of. Texts are copied without
U+0000, which PostgreSQL does not take.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

from publication.files import find_files
from publication.layout import MARTS_FILE
from publication.tables import relation_comments

# Only one build at a time copies into a database.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('funnelhouse publish'), hashtext(%s))"

_BATCH_ROWS = 10_000

# Times are UTC without a zone in the marts. PostgreSQL's type knows that, and shows each session its own.
_TYPES = {
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp with time zone",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


class PostgresPublishError(Exception):
    """The marts could not be copied; PostgreSQL's tables are as they were. The message holds no password."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a mart; `data_type` as PostgreSQL's `format_type` spells it."""

    name: str
    data_type: str
    comment: str | None


@dataclass(frozen=True, slots=True)
class _Mart:
    name: str
    comment: str | None
    columns: tuple[_Column, ...]


def publish_to_postgres(folder: Path, url: str, schema: str) -> dict[str, int]:
    """Copy the marts of a published build, in its real folder, into a schema; returns the rows of each.

    The schema is made when it is missing. Raises PostgresPublishError.
    """
    with (
        _errors(),
        duckdb.connect(str(folder / MARTS_FILE), read_only=True) as published,
        _connect(url) as connection,
    ):
        find_files(published, folder)
        marts = _marts(published)
        with connection.transaction():
            connection.execute("SET LOCAL TIME ZONE 'UTC'")
            connection.execute(_LOCK, [schema])
            # Asked first: making what is there needs a right that the owner of a schema may not have.
            if not connection.execute("SELECT to_regnamespace(quote_ident(%s))", [schema]).fetchone()[0]:  # type: ignore[index]
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            _drop_gone(connection, schema, marts)
            rows = {mart.name: _copy(published, connection, schema, mart) for mart in marts}
            _note(connection, schema, folder.name, rows)
        for mart in marts:
            # Deleted rows leave room that the next copy uses; the planner learns what the table is now.
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(schema, mart.name)))
    return rows


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(url, autocommit=True)
    except psycopg.ProgrammingError:
        # Its message repeats the text, and with it a password.
        raise PostgresPublishError("not a PostgreSQL URL such as postgresql://user@host:5432/bi") from None


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, duckdb.Error, OSError) as error:
        raise PostgresPublishError(" ".join(str(error).split())) from error


def _marts(published: duckdb.DuckDBPyConnection) -> list[_Mart]:
    found: dict[str, list[_Column]] = {}
    for table, name, data_type, comment in published.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() "
        "where schema_name = 'main' and not internal order by table_name, column_index"
    ).fetchall():
        found.setdefault(table, []).append(_Column(name, _postgres_type(data_type), comment))
    comments = relation_comments(published, "marts")
    return [_Mart(name, comments.get(name), tuple(columns)) for name, columns in found.items()]


def _postgres_type(data_type: str) -> str:
    decimal = _DECIMAL.fullmatch(data_type)
    if decimal is not None:
        return f"numeric({decimal[1]},{decimal[2]})"
    if data_type not in _TYPES:
        raise PostgresPublishError(f"a mart has a column of type {data_type}, which has no counterpart here")
    return _TYPES[data_type]


def _drop_gone(
    connection: psycopg.Connection[tuple[object, ...]], schema: str, marts: Sequence[_Mart]
) -> None:
    """Drop what an earlier publication made and this one has not; what else is in the schema is not ours."""
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (mart text PRIMARY KEY, build_id text NOT NULL,"
            " row_count bigint NOT NULL, copied_at timestamp with time zone NOT NULL)"
        ).format(sql.Identifier(schema, "publication"))
    )
    kept = [mart.name for mart in marts]
    gone = connection.execute(
        sql.SQL("DELETE FROM {} WHERE mart <> ALL(%s) RETURNING mart").format(
            sql.Identifier(schema, "publication")
        ),
        [kept],
    ).fetchall()
    for (name,) in gone:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, str(name))))


def _copy(
    published: duckdb.DuckDBPyConnection,
    connection: psycopg.Connection[tuple[object, ...]],
    schema: str,
    mart: _Mart,
) -> int:
    table = sql.Identifier(schema, mart.name)
    _shape(connection, schema, mart)
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in mart.columns)
    ours = ", ".join(map(_read, mart.columns))
    rows = published.execute(f'select {ours} from main."{mart.name}"')  # noqa: S608 (names of its catalog)
    count = 0
    with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)) as copy:
        while batch := rows.fetchmany(_BATCH_ROWS):
            count += len(batch)
            for row in batch:
                copy.write_row(row)
    return count


def _read(column: _Column) -> str:
    """A column as it is copied, in SQL. PostgreSQL takes no U+0000 in a text: it is left out."""
    name = '"' + column.name.replace('"', '""') + '"'
    return f"replace({name}, chr(0), '')" if column.data_type == "text" else name


def _shape(connection: psycopg.Connection[tuple[object, ...]], schema: str, mart: _Mart) -> None:
    """Make the table, or give it the mart's columns; then its comments and an index on project and day."""
    table = sql.Identifier(schema, mart.name)
    connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ()").format(table))
    found = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        [table.as_string(connection)],
    ).fetchall()
    wanted = {column.name: column.data_type for column in mart.columns}
    for name, data_type in found:
        if wanted.get(str(name)) != data_type:
            connection.execute(
                sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(table, sql.Identifier(str(name)))
            )
    for column in mart.columns:
        if (column.name, column.data_type) not in found:
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    table,
                    sql.Identifier(column.name),
                    sql.SQL(column.data_type),
                )
            )
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(mart.comment)))
    for column in mart.columns:
        connection.execute(
            sql.SQL("COMMENT ON COLUMN {} IS {}").format(
                sql.Identifier(schema, mart.name, column.name), sql.Literal(column.comment)
            )
        )
    days = [column.name for column in mart.columns if column.data_type == "date"]
    if "project_id" in wanted:
        connection.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
                sql.Identifier(f"{mart.name}_by_project_and_day"),
                table,
                sql.SQL(", ").join(sql.Identifier(name) for name in ["project_id", *days[:1]]),
            )
        )


def _note(
    connection: psycopg.Connection[tuple[object, ...]], schema: str, build_id: str, rows: dict[str, int]
) -> None:
    for mart, count in rows.items():
        connection.execute(
            sql.SQL(
                "INSERT INTO {} VALUES (%s, %s, %s, now()) ON CONFLICT (mart) DO UPDATE SET"
                " (build_id, row_count, copied_at) = (excluded.build_id, excluded.row_count, now())"
            ).format(sql.Identifier(schema, "publication")),
            [mart, build_id, count],
        )
