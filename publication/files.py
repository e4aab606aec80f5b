"""Marts whose rows stay in the Parquet files that another engine wrote; marts.duckdb shows them as views.

A view names its files from the folder of all publications, `<build id>/<mart>.parquet/part-00000.parquet`: a
home may be moved, and no two builds have files of one name. DuckDB looks for such a path below the folders of
its setting `file_search_path`, which every reader sets (`find_files`).

A view has no `rowid`. The view of the same name in the schema `lookup` has one, made of the file's number and
the row's number in it, and these two beside it: DuckDB skips files and row groups by them, and not by what is
computed.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb

from publication.layout import LOOKUPS
from publication.tables import literal

_FILE_BITS = 40
"""Rows of one file have numbers below 2 to this power."""

Sizes = Mapping[str, Sequence[int]]
"""Of each mart that is a view, the bytes of its files, as build.json has them."""


def part(mart: str, number: int) -> str:
    """Path of one file of a mart, from the build's folder."""
    return f"{mart}.parquet/part-{number:05}.parquet"


def take_files(source: Path, folder: Path, mart: str) -> list[int]:
    """Move a mart's files, in the order of their names, to where a build has them; returns their bytes."""
    found = sorted(source.glob("*.parquet"))
    (folder / part(mart, 0)).parent.mkdir()
    for number, file in enumerate(found):
        shutil.move(file, folder / part(mart, number))
    return [(folder / part(mart, number)).stat().st_size for number in range(len(found))]


def typed(name: str, stored: str, wanted: str) -> str:
    """A column of Parquet files in the type that it should have, as SQL; both are DuckDB's names of types."""
    if stored == "TIMESTAMP WITH TIME ZONE" and wanted == "TIMESTAMP":
        # A cast would be to the time zone of whoever reads.
        return f'make_timestamp(epoch_us("{name}")) as "{name}"'
    # What has its type already is no expression: rows are skipped by it.
    return f'"{name}"' if stored == wanted else f'cast("{name}" as {wanted}) as "{name}"'


def stored_types(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> dict[str, str]:
    """Types of the columns of Parquet files, as DuckDB reads them."""
    found = connection.execute(f"describe select * from {reading(map(str, files))}")  # noqa: S608
    return {name: data_type for name, data_type, *_ in found.fetchall()}


def reading(paths: Iterable[str]) -> str:
    """Rows of Parquet files, as SQL."""
    # A folder above may be called `a=b`, which would be another column.
    return f"read_parquet([{', '.join(map(literal, paths))}], hive_partitioning = false)"


def views_over_files(
    mart: str, build_id: str, files: int, stored: Mapping[str, str], wanted: Mapping[str, str]
) -> tuple[str, str]:
    """The queries of the two views of a mart: what it shows, and the same with numbers of rows.

    Types are given by the name of the column, as they are in the files and as they should be.
    """
    shown = ", ".join(typed(name, stored[name], data_type) for name, data_type in wanted.items())
    rowid = f"(file_index::bigint << {_FILE_BITS}) + file_row_number as rowid"
    source = reading(f"{build_id}/{part(mart, number)}" for number in range(files))
    return (
        f"select {shown} from {source}",  # noqa: S608 (names of our columns)
        f"select {shown}, file_index, file_row_number, {rowid} from {source}",  # noqa: S608
    )


def rows_numbered(query: str) -> str:
    """The condition that a row of the second view has one of the numbers that a query returns, as SQL."""
    return (
        f"(file_index, file_row_number) in (select number >> {_FILE_BITS}, number & {(1 << _FILE_BITS) - 1} "  # noqa: S608
        f"from ({query}) as numbers (number))"
    )


def rows_from(number: str) -> str:
    """The condition that a row of the second view has this number or a higher one, as SQL."""
    return f"file_index >= ({number} >> {_FILE_BITS}) and rowid >= {number}"


def find_files(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Let a connection find the files of the build of a folder, which is its real one."""
    connection.execute(f"set global file_search_path = {literal(folder.parent)}")


def find_only_files(connection: duckdb.DuckDBPyConnection, folder: Path, sizes: Sizes) -> None:
    """Let a connection read these files, and nothing else outside of its database. For good.

    DuckDB asks whether a path is allowed as the view has it, and once more as it was found.
    """
    if connection.execute("select current_setting('lock_configuration')").fetchone() == (True,):
        # Whoever opened the file before in this process has said it, and shares it with us.
        return
    find_files(connection, folder)
    paths = [
        f"{folder.name}/{part(mart, number)}" for mart, found in sizes.items() for number in range(len(found))
    ]
    listed = ", ".join(literal(path) for each in paths for path in (each, folder.parent / each))
    if listed:
        connection.execute(f"set global allowed_paths = [{listed}]")
    # A build's files never change.
    connection.execute("set global parquet_metadata_cache = true")
    connection.execute("set global enable_external_access = false")
    connection.execute("set global lock_configuration = true")


def refuse_cut_files(folder: Path, sizes: Sizes) -> None:
    """Raises duckdb.IOException where a file of a build lacks its end, or is not there."""
    for mart, found in sizes.items():
        for number, size in enumerate(found):
            path = folder / part(mart, number)
            if not path.exists() or path.stat().st_size != size:
                raise duckdb.IOException(f"the file {path} is missing or cut")


def numbered(mart: str) -> str:
    """The view in which rows have numbers."""
    return f"{LOOKUPS}.{mart}"


def can_be_searched(published_dir: Path) -> bool:
    """Whether DuckDB's setting can name the folder: it takes a comma for the next one's beginning."""
    return "," not in str(published_dir)
