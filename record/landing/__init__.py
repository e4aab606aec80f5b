"""The landing store: where an accepted report is before its sender is answered.

A SQLite file below the home folder, for one ingest process; or a PostgreSQL database, for several processes
and machines. `record.landing.store` says what both can do; nobody else opens either of them.
"""

from pathlib import Path

# PostgreSQL's driver is imported only where it is used: it takes a tenth of a second.
from record.landing import sqlite
from record.landing.store import LandingError, LandingStore

Location = Path | str
"""Where a landing store is: the path of a SQLite file, or a postgresql:// URL."""


def open_store(location: Location) -> LandingStore:
    """Open a landing store for reading and writing; makes what is missing of it.

    Several processes may do so at once. Raises LandingError when it cannot be opened.
    """
    if isinstance(location, Path):
        return sqlite.open_for_writing(location)
    from record.landing import postgres

    return postgres.open_for_writing(_checked(location))


def open_existing(location: Location) -> LandingStore | None:
    """Open a landing store for queries only, and never make or change one; None while there is none.

    Raises LandingError when it cannot be opened.
    """
    if isinstance(location, Path):
        return sqlite.open_for_queries(location)
    from record.landing import postgres

    return postgres.open_for_queries(_checked(location))


def _checked(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise LandingError("FUNNELHOUSE_LANDING must be empty or a postgresql:// URL.")
    return url
