"""One published build, opened: its marts, what it says of itself, and what keeps it from being read.

Inside one process DuckDB keeps showing the old file when a path is replaced, so a build is opened by its own
real path.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

from funnelhouse.problems import Refusal
from publication.files import Sizes, find_only_files, refuse_cut_files
from publication.layout import BUILD_FILE, DERIVED, FILES, LOOKUPS, MARTS_FILE, SUMMED
from publication.tables import relation_comments
from read_api.parameters import REPORTING

# What one open build may use, whatever is asked of it.
MEMORY = "1GB"
THREADS = 2

# So many rows of a person or conversion are read alone; of more, all between the first and the last.
LOOKED_UP_ROWS = 1_000

# What DuckDB raises for a file that is none of its own, not whole, damaged, or gone.
DAMAGED = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
    # One that is not there it takes for a folder, in which it may look at nothing.
    duckdb.PermissionException,
)


class BuildGoneError(Refusal):
    """The build that was asked for is not kept any more: 410."""

    def __init__(self) -> None:
        super().__init__(410, "This build is not kept any more; leave build and cursor out.", title="Gone")


class UnusableError(Refusal):
    """Something is published, and cannot be read: 503. `file` is named from the home, `reason` says why."""

    def __init__(self, file: str, reason: str, remedy: str = "run `funnelhouse build`") -> None:
        super().__init__(503, f"{file} cannot be used: {reason}; {remedy}.")


@dataclass(frozen=True)
class Column:
    """A mart's column; `data_type` is DuckDB's name of the type."""

    name: str
    data_type: str
    description: str | None


@dataclass(frozen=True)
class Mart:
    """A published table that has rows of projects."""

    name: str
    description: str | None
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class SummedTable:
    """A table of the schema `summed`, and the columns of its mart that it has."""

    name: str
    columns: frozenset[str]


@dataclass
class OpenedBuild:
    """One open build and who uses it."""

    build_id: str
    folder: Path
    connection: duckdb.DuckDBPyConnection
    marts: dict[str, Mart]
    facts: dict[str, Any]
    """What build.json says of it."""
    lookups: frozenset[str]
    """Tables of the schema `lookup`; builds of older versions have none."""
    files: Sizes = field(default_factory=dict)
    """Of marts that are views over Parquet files, the bytes of each."""
    converted: frozenset[str] = frozenset()
    """Marts that have their amounts in the reporting currency, as views of the schema `reporting`."""
    summed: dict[str, list[SummedTable]] = field(default_factory=dict)
    """By mart, the tables in which it is summed further, that with the fewest rows first."""
    derived: frozenset[str] = frozenset()
    """Tables of the schema `derived`; builds of older versions have none."""
    users: Counter[str] = field(default_factory=Counter)
    """Requests that use it, by project."""
    remembered: dict[Hashable, Any] = field(default_factory=dict)
    """What was read once, and stays so as long as the build does; see Reader.remembered."""
    proven_until: float = 0.0
    """By the monotonic clock: until then it counts as readable."""
    is_damaged: bool = False
    """It showed itself unreadable: the next request opens the file anew."""

    def read_a_row_of_each(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Raises what DAMAGED names where the file cannot be read."""
        _refuse_cut_file(cursor, self.folder / MARTS_FILE)
        refuse_cut_files(self.folder, self.files)
        for mart in self.marts:
            cursor.execute(f"select * from {mart} limit 1").fetchall()  # noqa: S608

    def close(self) -> None:
        """Close the file; cursors of it cannot read any more."""
        self.connection.close()


def open_build(build_id: str, folder: Path, memory: str, threads: int) -> OpenedBuild:
    """Open the build of a folder, which is called so.

    Raises BuildGoneError, or UnusableError for a build that is there.
    """
    # First, so that no connection is left open when the build is pruned just then.
    facts = facts_of(folder)
    path = folder / MARTS_FILE
    files: Sizes = facts.get(FILES, {})
    try:
        connection = duckdb.connect(
            str(path),
            read_only=True,
            config={
                "memory_limit": memory,
                "threads": threads,
                "dynamic_or_filter_threshold": LOOKED_UP_ROWS,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            find_only_files(connection, folder, files)
            _refuse_cut_file(connection, path)
            refuse_cut_files(folder, files)
            return OpenedBuild(
                build_id,
                folder,
                connection,
                _marts(connection),
                facts,
                _tables(connection, LOOKUPS),
                files,
                _converted(connection),
                _summed(connection),
                _tables(connection, DERIVED),
            )
        except BaseException:
            connection.close()
            raise
    except (*DAMAGED, OSError) as error:
        if not folder.exists():
            raise BuildGoneError from error
        raise unusable_marts(folder) from error


def facts_of(folder: Path) -> dict[str, Any]:
    """What build.json says. Raises BuildGoneError, or UnusableError for a build that is there."""
    file = f"{folder.parent.name}/{folder.name}/{BUILD_FILE}"
    try:
        said = orjson.loads((folder / BUILD_FILE).read_bytes())
        datetime.fromisoformat(said["published_at"])
        return {"attribution_models": [], **said}
    except OSError as error:
        if not folder.exists():
            raise BuildGoneError from error
        raise UnusableError(file, cause(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableError(file, "it is damaged") from error


def unusable_marts(folder: Path) -> UnusableError:
    """What is said of a build whose marts cannot be read."""
    file = f"{folder.parent.name}/{folder.name}/{MARTS_FILE}"
    return UnusableError(file, "it is missing, unreadable or damaged")


def cause(error: OSError) -> str:
    """The system's reason, as it stands within a sentence."""
    return (error.strerror or "it cannot be read").lower()


def _refuse_cut_file(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raises duckdb.IOException for a file that lacks its end: DuckDB itself looks only when it reads."""
    rows = connection.execute("select sum(block_size * total_blocks) from pragma_database_size()").fetchall()
    if path.stat().st_size < int(rows[0][0]):
        raise duckdb.IOException("the file is cut")


def _marts(connection: duckdb.DuckDBPyConnection) -> dict[str, Mart]:
    """The tables with a project column, by name: what cannot be told apart by project is not shown."""
    descriptions = relation_comments(connection, "marts")
    columns: dict[str, list[Column]] = {}
    for table, name, data_type, comment in connection.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() "
        "where schema_name = 'main' and not internal order by table_name, column_index"
    ).fetchall():
        columns.setdefault(table, []).append(Column(name, data_type, comment))
    return {
        name: Mart(name, descriptions.get(name), tuple(found))
        for name, found in sorted(columns.items())
        if any(column.name == "project_id" for column in found)
    }


def _tables(connection: duckdb.DuckDBPyConnection, schema: str) -> frozenset[str]:
    tables = connection.execute(
        "select table_name from duckdb_tables() where schema_name = ?", [schema]
    ).fetchall()
    return frozenset(name for (name,) in tables)


def _converted(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    views = connection.execute(
        "select view_name from duckdb_views() where schema_name = ?", [REPORTING]
    ).fetchall()
    return frozenset(name for (name,) in views)


def _summed(connection: duckdb.DuckDBPyConnection) -> dict[str, list[SummedTable]]:
    found: dict[str, list[SummedTable]] = {}
    for table, names in connection.execute(
        "select table_name, list(column_name) from duckdb_columns() join duckdb_tables() "
        "using (database_name, schema_name, table_name) where schema_name = ? "
        "group by table_name order by max(estimated_size), table_name",
        [SUMMED],
    ).fetchall():
        mart, _, _ = table.rpartition("_")
        found.setdefault(mart, []).append(SummedTable(f"{SUMMED}.{table}", frozenset(names)))
    return found
