"""The warehouse as a file: private to builds and disposable; a damaged one is set aside and built anew."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import duckdb

LOCK_PATIENCE_S = 10.0
"""How long a build waits for another process that has the warehouse open, such as somebody's look into it."""

_LOCKED = "Could not set lock on file"

_OF_THE_FILE = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)

# What the system refuses says nothing of the file's content.
_REFUSED = (
    "No space left on device",
    "Permission denied",
    "Read-only file system",
    "Is a directory",
    "Too many open files",
)

_SIGNS = ("IO Error", "INTERNAL Error", "FATAL Error", "Serialization Error", "ended with exit code")


class WarehouseError(Exception):
    """The warehouse cannot be used, and is not known to be damaged; the message names file and remedy."""


def heal(path: Path, is_suspect: bool = False) -> str | None:
    """Set a damaged warehouse aside, so that dbt makes it anew; returns what was done, as a sentence.

    It is opened, as dbt would; read to its end, too, when it is suspect or holds a build that was not
    published. One set aside before goes when a warehouse is found good. The caller holds the build lock.
    Raises WarehouseError.
    """
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.damaged")
    damage = _damage(path, is_suspect)
    if damage is None:
        for file in (aside, _wal(aside)):
            file.unlink(missing_ok=True)
        return None
    _wal(aside).unlink(missing_ok=True)
    path.replace(aside)
    if _wal(path).exists():
        _wal(path).replace(_wal(aside))
    shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)
    return f"{path} was damaged ({damage}). It is now {aside.name}; everything is rebuilt from the record."


def show_damage(failures: Iterable[str]) -> bool:
    """Whether what a build failed with may come from a damaged warehouse."""
    return any(sign in failure for failure in failures for sign in _SIGNS)


def currency_decimals(path: Path) -> dict[str, int]:
    """Digits after the point of the currencies that are not divided by a hundred, as the models know them."""
    with duckdb.connect(str(path), read_only=True) as warehouse:
        found = warehouse.execute("select currency, minor_per_major from currencies order by currency")
        return {currency: len(str(minor_per_major)) - 1 for currency, minor_per_major in found.fetchall()}


def _damage(path: Path, is_suspect: bool) -> str | None:
    """What is wrong with the file; None when nothing was found. Raises WarehouseError."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            with duckdb.connect(str(path)) as warehouse:
                if is_suspect or not _is_published(warehouse):
                    _read_everything(warehouse)
            return None
        except _OF_THE_FILE as error:
            message = _first_line(error)
            if any(refused in message for refused in _REFUSED):
                raise WarehouseError(
                    f"{path} cannot be opened: {message}. Fix its owner and permissions, or free space; it "
                    "may also be moved away, since builds recreate it."
                ) from error
            if _LOCKED not in message:
                return message
            if time.monotonic() > deadline:
                raise WarehouseError(
                    f"Another process has {path} open; end it, and build again. {message}"
                ) from error
            time.sleep(0.2)
        except duckdb.Error as error:
            raise WarehouseError(f"{path} could not be inspected: {_first_line(error)}") from error


def _is_published(warehouse: duckdb.DuckDBPyConnection) -> bool:
    """Whether the build that the tables are of came to its end: all of what it read and wrote was good."""
    if not warehouse.execute("select 1 from duckdb_tables() where table_name = 'publication'").fetchall():
        return False
    found = warehouse.execute("select coalesce(bool_and(is_latest_build), false) from publication").fetchone()
    return bool(found and found[0])


def _read_everything(warehouse: duckdb.DuckDBPyConnection) -> None:
    tables = warehouse.execute(
        "select schema_name, table_name from duckdb_tables() where not internal and not temporary"
    ).fetchall()
    for schema, table in tables:
        # A count would read no more than the statistics; each block is checked when it is read.
        warehouse.execute(f'select bit_xor(hash(read)) from "{schema}"."{table}" as read').fetchall()  # noqa: S608


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
