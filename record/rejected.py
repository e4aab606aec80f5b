"""What was rejected and is still kept, read from the landing store and the raw zone.

A row is in the landing store, then for some days in both, then in the raw zone only; it is one row all the
time. It has no number that is the same in both, so its identity is what it says, and which one of equals it
is.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from record.contract import DAY_US, Rejected, columns
from record.landing.store import LandingStore
from record.sealed_files import days_of, files_of, span_of

KEPT_BYTES = 64 * 1024
"""Of each body so much is kept."""

_COLUMNS = [column.name for column in columns(Rejected)]
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Kept:
    """One row of `rejected`, and what it is called: 16 hex digits that are the same wherever it is read."""

    rejected_id: str
    row: Rejected

    @property
    def body(self) -> bytes:
        """What was sent, as far as it was kept."""
        return base64.b64decode(self.row.body)

    @property
    def is_cut(self) -> bool:
        """Whether only the beginning was kept. A body of exactly that length counts as cut."""
        return len(self.body) >= KEPT_BYTES


def printable(body: bytes) -> str:
    """A body as text that can do no harm on a terminal: what cannot be shown is written as its code."""
    text = body.decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1]
        for character in text
    )


def kept(
    store: LandingStore, raw_dir: Path, project_id: str | None = None, since_us: int = 0
) -> Iterator[Kept]:
    """Rows of `rejected`, newest first; of one project, received at `since_us` (Unix microseconds) or later.

    Holds the rows of one day at a time. Raises LandingError or OSError.
    """
    for day in sorted(_days(store, raw_dir), reverse=True):
        # The landing store first: what has left it was in the raw zone before.
        landed = _by_identity(_landed(store, day, project_id))
        rows = landed | _by_identity(_sealed(raw_dir, day, project_id))
        for each in sorted(rows.values(), key=lambda each: each.row.received_us, reverse=True):
            if each.row.received_us < since_us:
                return
            yield each


def _days(store: LandingStore, raw_dir: Path) -> set[date]:
    landed = store.query(f"SELECT DISTINCT received_us / {DAY_US} FROM rejected")  # noqa: S608
    return {_EPOCH + timedelta(days=day) for (day,) in landed} | days_of(raw_dir / "rejected")


def _landed(store: LandingStore, day: date, project_id: str | None) -> list[Rejected]:
    start_us = (day - _EPOCH).days * DAY_US
    wanted = "received_us >= ? AND received_us < ?"
    values: list[int | str] = [start_us, start_us + DAY_US]
    if project_id is not None:
        wanted, values = f"{wanted} AND project_id = ?", [*values, project_id]
    rows = store.query(
        f"SELECT {', '.join(_COLUMNS)} FROM rejected WHERE {wanted} ORDER BY {store.row_order}",  # noqa: S608
        *values,
    )
    return [Rejected(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _sealed(raw_dir: Path, day: date, project_id: str | None) -> list[Rejected]:
    found: list[Rejected] = []
    for path in sorted(files_of(raw_dir / "rejected", day), key=span_of):
        try:
            file = pq.ParquetFile(path)
        except FileNotFoundError:
            continue  # A build forgot it just now.
        with file:
            # A file sealed before a column joined the contract does not have it.
            table = file.read(columns=[name for name in _COLUMNS if name in file.schema_arrow.names])
        found += [
            Rejected(**row)
            for row in table.to_pylist()
            if project_id is None or row["project_id"] == project_id
        ]
    return found


def _by_identity(rows: list[Rejected]) -> dict[str, Kept]:
    """Rows of one store, in order, by what tells them apart."""
    equals: Counter[str] = Counter()
    found: dict[str, Kept] = {}
    for row in rows:
        said = "\n".join([row.project_id, row.path, str(row.received_us), row.body])
        # One request may hold the same bad item twice.
        rejected_id = hashlib.sha256(f"{said}\n{equals[said]}".encode()).hexdigest()[:16]
        equals[said] += 1
        found[rejected_id] = Kept(rejected_id, row)
    return found
