"""Runs the ingest API: one process per landing store, on granian."""

import fcntl
import os
from pathlib import Path
from typing import IO

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from funnelhouse.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun and return.

    Raises SystemExit with a message when another ingest process holds this landing store.
    """
    # The worker is forked and inherits the descriptor: the lock is held as long as either of the two lives.
    lock = _hold(settings.home_dir / "ingest.lock")
    os.environ["FUNNELHOUSE_HOME"] = str(settings.home_dir)
    try:
        Server(
            "ingest_api.app:create_app",
            factory=True,
            address=settings.host,
            port=settings.ingest_port,
            interface=Interfaces.ASGI,
            workers=1,
            websockets=False,
            log_access=False,
            http1_settings=HTTP1Settings(header_read_timeout=10_000),
        ).serve()
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
