"""Notes on days, which people write beside charts: control data, changeable, never part of the record.

A note belongs to a project, or to the one key that wrote it: such a personal note nobody else sees.
"""

import secrets
import string
import time
from dataclasses import dataclass

from record.landing.store import LandingStore, Row

MOST_CHARACTERS = 2_000
"""Of a note."""

MOST_NOTES = 10_000
"""That a project keeps; of personal ones, that a key does."""

_COLUMNS = (
    "notes.note_id, notes.day, notes.text, notes.is_personal, notes.key_id, keys.name, notes.created_us"
)
_FROM = "FROM notes LEFT JOIN keys ON keys.key_id = notes.key_id"
# A personal note is its writer's.
_SEEN = "notes.project_id = ? AND (notes.is_personal = 0 OR notes.key_id = ?)"
_ALPHABET = string.digits + string.ascii_letters


@dataclass(frozen=True, slots=True)
class Note:
    """A note on a day (YYYY-MM-DD, in the project's time zone).

    `key_id` wrote it, `key_name` is what that key is called now; `created_us` are Unix microseconds.
    """

    note_id: str
    day: str
    text: str
    is_personal: bool
    key_id: str
    key_name: str | None
    created_us: int

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it stands among others."""
        return self.day, self.created_us, self.note_id


def new_note(day: str, text: str, is_personal: bool, key_id: str, key_name: str | None) -> Note:
    """A note as it will be kept, for `insert_note`."""
    note_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    return Note(note_id, day, text, is_personal, key_id, key_name, time.time_ns() // 1000)


def insert_note(store: LandingStore, project_id: str, note: Note) -> None:
    """Keep a new note, durably unless in a transaction. Raises LandingError."""
    store.execute(
        "INSERT INTO notes (project_id, note_id, day, text, is_personal, key_id, created_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(project_id, note.note_id, note.day, note.text, int(note.is_personal), note.key_id, note.created_us),
    )


def has_room(store: LandingStore, project_id: str, note: Note) -> bool:
    """Whether the project, or for a personal note its key, may keep one more. Raises LandingError."""
    ((kept,),) = store.query(
        "SELECT count(*) FROM notes WHERE project_id = ? AND is_personal = ?"
        " AND (is_personal = 0 OR key_id = ?)",
        *(project_id, int(note.is_personal), note.key_id),
    )
    return bool(kept < MOST_NOTES)


def find_note(store: LandingStore, project_id: str, key_id: str, note_id: str) -> Note | None:
    """A note that a key sees; None when there is none. Raises LandingError."""
    rows = store.query(
        f"SELECT {_COLUMNS} {_FROM} WHERE {_SEEN} AND notes.note_id = ?",
        *(project_id, key_id, note_id),
    )
    return _note(rows[0]) if rows else None


def list_notes(
    store: LandingStore,
    project_id: str,
    key_id: str,
    first: str,
    last: str,
    after: tuple[str, int, str] | None,
    limit: int,
) -> list[Note]:
    """Notes that a key sees on the days from first to last, by day and time, behind the place `after`.

    Raises LandingError.
    """
    behind = " AND (notes.day, notes.created_us, notes.note_id) > (?, ?, ?)" if after else ""
    rows = store.query(
        f"SELECT {_COLUMNS} {_FROM} WHERE {_SEEN} AND notes.day >= ? AND notes.day <= ?{behind}"
        " ORDER BY notes.day, notes.created_us, notes.note_id LIMIT ?",
        *(project_id, key_id, first, last, *(after or ()), limit),
    )
    return [_note(row) for row in rows]


def delete_note(store: LandingStore, project_id: str, note_id: str) -> None:
    """Forget a note; harmless when there is none. Raises LandingError."""
    store.execute("DELETE FROM notes WHERE project_id = ? AND note_id = ?", project_id, note_id)


def _note(row: Row) -> Note:
    """A note from `_COLUMNS`."""
    note_id, day, text, is_personal, key_id, key_name, created_us = row
    return Note(note_id, day, text, bool(is_personal), key_id, key_name, created_us)
