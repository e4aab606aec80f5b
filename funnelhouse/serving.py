"""How both APIs run: granian with one worker, no redirects, nothing left behind."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pkgutil import resolve_name
from typing import Any

import granian._signals
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from funnelhouse.collector import collect_seldom
from funnelhouse.connections import room_for_connections
from funnelhouse.settings import Settings

STOP_SECONDS = 45
"""Requests that were begun have this long to be answered after SIGTERM: a body may take 30 s to arrive. Then
the worker is killed, for a client that takes no more of its answer would keep it for ever."""

READ_AHEAD_BYTES = 64 * 1024
"""Read from a connection before anybody asks for it; also the limit of headers."""

WAITING_CONNECTIONS = 4096
"""Connections that wait to be accepted; one more is not heard for a second, and longer each time."""


def run_server(app_factory: str, settings: Settings, port: int) -> None:
    """Serve `module:factory` until SIGTERM or SIGINT, answer what was begun, and return.

    From then on connections are refused, and kept ones closed after the answer that is due.
    """
    collect_seldom()
    # The worker is forked, which newer Pythons and macOS don't do by themselves: it reads its settings from
    # the environment that it inherits.
    multiprocessing.set_start_method("fork", force=True)
    os.environ["FUNNELHOUSE_HOME"] = str(settings.home_dir)
    os.environ["FUNNELHOUSE_LANDING"] = settings.landing
    Server(
        app_factory,
        factory=True,
        address=settings.host,
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        backlog=WAITING_CONNECTIONS,
        backpressure=room_for_connections(),
        websockets=False,
        # Access logs would print query strings.
        log_access=False,
        # HTTP/2 would allow many requests per connection, and with them more memory than is bounded here.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=READ_AHEAD_BYTES),
        workers_kill_timeout=STOP_SECONDS,
        # Granian's own loader looks for modules in the current folder first, which may have one of our names.
    ).serve(target_loader=lambda: resolve_name(app_factory)(), wrap_loader=False)


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


_set_loop_signals = granian._signals.set_loop_signals
_on_stop: list[Callable[[], None]] = []


@contextmanager
def on_stop_signal(call: Callable[[], None]) -> Iterator[None]:
    """While open, call this in the worker's loop as soon as the server is asked to end.

    The server tells the app only after all answers have ended; one that would go on for ever must hear of it
    before.
    """
    _on_stop.append(call)
    try:
        yield
    finally:
        _on_stop.remove(call)


def _tell_then_stop(loop: asyncio.AbstractEventLoop) -> Any:
    """The server's own signal handling, and ours before it."""
    stop = _set_loop_signals(loop)  # type: ignore[no-untyped-call]

    def on_signal() -> None:
        for call in _on_stop:
            call()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


# There is no public way in: its handler cannot be asked for once it is set.
granian._signals.set_loop_signals = _tell_then_stop
