"""Real servers for tests, in processes of their own."""

import os
import signal
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
from forks import Fork

from funnelhouse.access import CACHE_SECONDS, Mode, set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from record.landing import Location, open_store
from record.landing.store import LandingStore

SERVE_INGEST = (
    "from funnelhouse.settings import Settings; from ingest_api.server import serve; serve(Settings())"
)
SERVE_READ = "from funnelhouse.settings import Settings; from read_api.server import serve; serve(Settings())"


@dataclass
class Server:
    """A server in processes of its own, all in one process group."""

    url: str
    settings: Settings
    process: Fork

    def key(self, project: str = "shop", scopes: str = "ingest,read,admin", **options: object) -> str:
        """A new key of the landing store that the server uses."""
        with closing(self.store()) as store:
            return create_key(store, project, scopes.split(","), **options)  # type: ignore[arg-type]

    def store(self) -> LandingStore:
        """The landing store that the server uses; the caller closes it."""
        return open_store(self.settings.landing_store)

    def set_postbacks(self, project: str, mode: Mode) -> str | None:
        """Switch a project's postbacks and wait until the server knows; returns their path."""
        return self.set_access(project, postbacks=mode)

    def set_access(self, project: str, **options: Any) -> str | None:
        """As `funnelhouse.access.set_access`, and wait until the server knows."""
        with closing(self.store()) as store:
            path = set_access(store, project, **options)
        time.sleep(CACHE_SECONDS)
        return path

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it: SIGTERM asks the main process, SIGKILL takes the whole group. Returns the exit code."""
        if self.process.poll() is None:
            if how is signal.SIGKILL:
                os.killpg(self.process.pid, how)
            else:
                self.process.send_signal(how)
        try:
            return self.process.wait(15)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_ingest(
    home: Path,
    location: Location | None = None,
    code: str = SERVE_INGEST,
    log: IO[bytes] | None = None,
    **environment: str,
) -> Server:
    """Start an ingest server and wait until it is ready; the caller stops it.

    It lands in PostgreSQL when `location` is a URL, else in `home`. `code` may plant a fault.
    `environment` is its own besides ours. What it prints goes to `log`.
    """
    settings = Settings(
        home=home, landing=location if isinstance(location, str) else "", ingest_port=free_port()
    )
    environment["FUNNELHOUSE_INGEST_PORT"] = str(settings.ingest_port)
    url = f"http://127.0.0.1:{settings.ingest_port}"
    return _started(url, settings, code, environment, "/ingest/ready", log)


def start_read(home: Path, code: str = SERVE_READ, **environment: str) -> Server:
    """Start a read server on a home, whether or not something is published; the caller stops it.

    `code` may plant a fault.
    """
    settings = Settings(home=home, read_port=free_port())
    environment["FUNNELHOUSE_READ_PORT"] = str(settings.read_port)
    url = f"http://127.0.0.1:{settings.read_port}"
    return _started(url, settings, code, environment, "/read/live")


def _started(
    url: str,
    settings: Settings,
    code: str,
    environment: dict[str, str],
    ready: str,
    log: IO[bytes] | None = None,
) -> Server:
    """The server, as soon as the path answers 200."""
    told = {"FUNNELHOUSE_HOME": str(settings.home), "FUNNELHOUSE_LANDING": settings.landing}
    process = Fork(code, {**os.environ, **environment, **told}, log.name if log else None)
    server = Server(url, settings, process)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}{ready}", timeout=1).status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.05)
    server.stop(signal.SIGKILL)
    raise RuntimeError(f"the server did not start (exit code {process.returncode})")
