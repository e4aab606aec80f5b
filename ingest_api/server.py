"""Runs the ingest API: one process per landing store, on granian."""

import fcntl
from pathlib import Path
from typing import IO

from funnelhouse.serving import run_server
from funnelhouse.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun and return.

    Raises SystemExit with a message when another ingest process holds this landing store.
    """
    # The worker is forked and inherits the descriptor: the lock is held as long as either of the two lives.
    lock = _hold(settings.home_dir / "ingest.lock")
    try:
        run_server("ingest_api.app:create_app", settings, settings.ingest_port)
    finally:
        lock.close()


def _hold(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SystemExit(
            f"Another ingest server is running on {path.parent}; stop it first, or set FUNNELHOUSE_HOME."
        ) from None
    return lock
