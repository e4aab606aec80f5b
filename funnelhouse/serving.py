"""How both APIs run: granian with one worker, no redirects, nothing left behind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server import Server
from starlette.types import ASGIApp, Receive, Scope, Send

from funnelhouse.settings import Settings


def run_server(app_factory: str, settings: Settings, port: int) -> None:
    """Serve `module:factory` until SIGTERM or SIGINT, finish what was begun, and return."""
    # The worker is forked: it reads its settings from the environment that it inherits.
    os.environ["FUNNELHOUSE_HOME"] = str(settings.home_dir)
    os.environ["FUNNELHOUSE_LANDING"] = settings.landing
    Server(
        app_factory,
        factory=True,
        address=settings.host,
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        websockets=False,
        # Access logs would print query strings.
        log_access=False,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
    ).serve()


class TrailingSlash:
    """Serves a path with a trailing slash as the one without: redirects would lose the caller's key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        path = scope.get("path", "")
        if path.endswith("/"):
            scope["path"] = path.rstrip("/") or "/"
        elif path.endswith("\n"):
            # To a regular expression's `$` the line break would not count, and the path be another's.
            scope["path"] = f"{path}/"
        await self._app(scope, receive, send)


@asynccontextmanager
async def ending_with_parent() -> AsyncIterator[None]:
    """While open, end this worker when the main process was killed: an orphan would keep the port."""
    task = asyncio.create_task(_end_with_parent())
    try:
        yield
    finally:
        task.cancel()


async def _end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
