"""Connections are bounded: in all, per project, and per address of those that anybody could have opened.

The server accepts no more than `MAX_CONNECTIONS` at a time, and gives up half a header after ten seconds, but
it does not ask whose they are. This looks a few times a second and cuts those that are too many, the oldest
first. What waits for its client is cut, never a request that arrived whole and waits for us. Connections of
trusted proxies are left alone: a proxy bounds its own clients.
"""

import asyncio
import os
import resource
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from funnelhouse.auth import CALLER
from funnelhouse.proxies import TrustedProxies

MAX_CONNECTIONS = 2048
MAX_STRANGERS = 512
"""Connections on which no request has shown a key yet."""

MAX_PER_ADDRESS = 64
"""Those of one address that are strangers, or have shown a page key, which anybody may know."""

GRACE_SECONDS = 5
"""While there is room a connection is let be for so long: who opens hundreds at once shows keys on them soon,
though a busy server takes its time to read them."""

LOOK_SECONDS = 0.5
MOST_TIME = 0.02
"""The part of its time that the process may spend looking."""

_OTHER_FILES = 512
"""Descriptors besides those of connections: stores, publications, what is opened for a moment."""

_DESCRIPTORS = "/dev/fd"

_Peer = tuple[str, int]


def room_for_connections() -> int:
    """How many connections this process may have; raises its limit of open files as far as is of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(128, min(wanted, soft) - _OTHER_FILES)


class _Owner(NamedTuple):
    """Whose key was shown on a connection."""

    project_id: str
    is_public: bool
    """Whether it was a page key."""


@dataclass(slots=True)
class _Connection:
    peer: _Peer
    descriptor: int
    since: float
    """When it was seen first (monotonic)."""
    is_busy: bool
    """Whether a request has begun on it."""
    is_safe: bool
    """Whether it is not to be cut: it waits for us, or has come a moment ago."""
    owner: _Owner | None


class Connections:
    """ASGI middleware: notes what each connection waits for, and cuts what is too many while the app runs."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies
        self._room = room_for_connections()
        # By connection that has a request: whether it waits for us.
        self._requests: dict[_Peer, bool] = {}
        self._owners: dict[_Peer, _Owner] = {}
        self._since: dict[_Peer, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how far it is."""
        if scope["type"] == "lifespan":
            async with self._looking():
                await self._app(scope, receive, send)
            return
        if not scope.get("client"):
            await self._app(scope, receive, send)
            return
        host, port = scope["client"]
        # The server gives the port as text.
        peer = (host, int(port))
        requests = self._requests
        requests[peer] = scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS")

        def note_owner() -> None:
            key = scope.get(CALLER)
            if key is not None:
                self._owners[peer] = _Owner(key.project_id, "page" in key.scopes)

        async def receive_noted() -> Message:
            # Its key is known by now, if it stands in a header.
            note_owner()
            message = await receive()
            requests[peer] = not message.get("more_body")
            return message

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                note_owner()
                requests[peer] = False
            await send(message)

        try:
            await self._app(scope, receive_noted, send_noted)
        finally:
            requests.pop(peer, None)

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()

    async def _look(self) -> None:
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            for connection in self._too_many(self._open()):
                _cut(connection)
            pause = max(LOOK_SECONDS, (time.monotonic() - began) / MOST_TIME)

    def _open(self) -> list[_Connection]:
        """The connections of clients, the oldest first; forgets what is closed."""
        now = time.monotonic()
        sockets = _client_sockets()
        grace = GRACE_SECONDS if len(sockets) < self._room * 3 // 4 else 0
        found = [
            _Connection(
                peer=peer,
                descriptor=descriptor,
                since=(since := self._since.get(peer, now)),
                is_busy=peer in self._requests,
                is_safe=self._requests.get(peer, False) or now - since < grace,
                owner=self._owners.get(peer),
            )
            for descriptor, peer in sockets
        ]
        self._since = {connection.peer: connection.since for connection in found}
        self._owners = {peer: owner for peer, owner in self._owners.items() if peer in self._since}
        return sorted(found, key=lambda connection: connection.since)

    def _too_many(self, connections: list[_Connection]) -> list[_Connection]:
        """Those to cut, of connections in the order of their age."""
        cut: list[_Connection] = []
        by_address: dict[str, list[_Connection]] = defaultdict(list)
        strangers: list[_Connection] = []
        by_owner: dict[_Owner, list[_Connection]] = defaultdict(list)
        for connection in connections:
            address = self._proxies.counted(connection.peer[0])
            if address is None:
                continue
            if connection.owner is None or connection.owner.is_public:
                by_address[address].append(connection)
            if connection.owner is None:
                strangers.append(connection)
            else:
                by_owner[connection.owner].append(connection)
        for group in by_address.values():
            cut += _waiting(group, len(group) - MAX_PER_ADDRESS)
        gone = {connection.peer for connection in cut}
        left = [connection for connection in strangers if connection.peer not in gone]
        cut += _waiting(left, len(left) - min(MAX_STRANGERS, self._room // 4))
        free = self._room - len(connections) + len(cut)
        for group in by_owner.values():
            # Each project may have as many as are free, so that there are always some.
            group.sort(key=lambda connection: (connection.is_busy, connection.since))
            cut += _waiting(group, (len(group) - free + 1) // 2)
        return cut


def _waiting(connections: list[_Connection], count: int) -> list[_Connection]:
    """The first `count` that may be cut."""
    return [connection for connection in connections if not connection.is_safe][: max(0, count)]


def _client_sockets() -> list[tuple[int, _Peer]]:
    """Descriptors and peers of the connections that came to a port at which this process listens."""
    listening: set[int] = set()
    found: list[tuple[int, _Peer, int]] = []
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 (names are all that is wanted)
        # Nobody's descriptor is closed by looking at it; one that was closed meanwhile is passed over.
        with suppress(OSError):
            looked_at = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, int(name))
            try:
                own = looked_at.getsockname()
                if not isinstance(own, tuple):
                    continue  # A socket of this machine alone.
                if looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listening.add(own[1])
                else:
                    found.append((int(name), looked_at.getpeername()[:2], own[1]))
            finally:
                looked_at.detach()
    return [(descriptor, peer) for descriptor, peer, port in found if port in listening]


def _cut(connection: _Connection) -> None:
    """Shut a connection down; its server sees that it has ended, and closes it."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.descriptor)) as same:
        # The number may have been given to another one since.
        if same.getpeername()[:2] == connection.peer:
            same.shutdown(socket.SHUT_RDWR)
