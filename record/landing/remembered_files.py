"""What the landing store remembers of each sealed file: enough to notice that one is gone or has changed.

A file's name is its path below the raw zone's folder of the table. Files of a version that remembered none
have no digest until `funnelhouse verify` has read them.
"""

from collections.abc import Collection
from dataclasses import dataclass

from record.landing.store import LandingStore


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file of the raw zone as it was when it was last known to be good.

    `size` is in bytes; `mtime_ns` is when it was written, in Unix nanoseconds; `sha256` is the hexadecimal
    digest of its content, None while nobody has taken it.
    """

    name: str
    size: int
    mtime_ns: int
    sha256: str | None


def remember_files(store: LandingStore, table: str, files: Collection[SealedFile]) -> None:
    """Keep what is known of files of a raw table, in place of what was. Raises LandingError."""
    for file in files:
        store.execute(
            "INSERT INTO sealed_files (raw_table, name, size, mtime_ns, sha256) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (raw_table, name) DO UPDATE SET size = excluded.size,"
            " mtime_ns = excluded.mtime_ns, sha256 = excluded.sha256",
            *(table, file.name, file.size, file.mtime_ns, file.sha256),
        )


def remembered_files(store: LandingStore, table: str) -> dict[str, SealedFile]:
    """What is known of a raw table's files, by name. Raises LandingError."""
    rows = store.query("SELECT name, size, mtime_ns, sha256 FROM sealed_files WHERE raw_table = ?", table)
    return {row[0]: SealedFile(*row) for row in rows}


def forget_files(store: LandingStore, table: str, names: Collection[str]) -> None:
    """Forget files that were deleted on purpose. Raises LandingError."""
    for name in names:
        store.execute("DELETE FROM sealed_files WHERE raw_table = ? AND name = ?", table, name)


def sealed_ranges(store: LandingStore, table: str) -> list[tuple[int, int]]:
    """First and last `seq` of the ranges of a raw table that are sealed and remembered; by first.

    The last one always is: its end is that of all that was ever sealed from this store. Raises LandingError.
    """
    rows = store.query(
        "SELECT first_seq, first_seq + row_count - 1 FROM seal_ranges"
        " WHERE raw_table = ? AND is_finished ORDER BY first_seq",
        table,
    )
    return [(first, last) for first, last in rows]
