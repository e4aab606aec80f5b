"""Runs the ingest API on granian: one process per SQLite landing store, any number per PostgreSQL."""

import fcntl
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import IO

from funnelhouse.serving import run_server
from funnelhouse.settings import Settings
from record.landing import open_store
from record.landing.store import LandingError

ORPHAN_SECONDS = 3.0
"""The worker of a server that was killed notices within half a second, answers what it has, and ends."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun and return.

    Raises SystemExit with a message when another ingest process holds this SQLite landing store, and when the
    landing store cannot be opened.
    """
    # The worker is forked and inherits the descriptor: the lock is held as long as either of the two lives.
    with nullcontext() if settings.landing else closing(_hold(settings.home_dir / "ingest.lock")):
        try:
            # The worker opens it too, but what stops that would come with a traceback.
            open_store(settings.landing_store).close()
        except LandingError as error:
            raise SystemExit(str(error)) from None
        run_server("ingest_api.app:create_app", settings, settings.ingest_port)


def _hold(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a")
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.close()
                raise SystemExit(
                    f"Another ingest server is running on {path.parent}; stop it first,"
                    " or set FUNNELHOUSE_HOME."
                ) from None
            time.sleep(0.02)
