"""What requests hold while they are not answered: their bodies, the rows made of them, the parser's time.

All of it is shared. A request is its project's as soon as its key is known; of pages, whose keys anybody may
know, and of strangers, who have shown no key (or postbacks, which have none), each address has a small share.
What the tracker sends needs no key: it is of the pages of its path's project.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from funnelhouse.auth import CALLER
from funnelhouse.problems import Refusal
from funnelhouse.proxies import TrustedProxies
from funnelhouse.shares import Shares
from ingest_api.access import tracked_project

MAX_HELD_BYTES = 64 * 1024 * 1024
"""Of all requests that are not answered yet: bodies, and what the rows of small events take beyond them."""

TOO_MUCH = "Too much is being received; try again."

_HOLDING = "funnelhouse.holding"

_T = TypeVar("_T")


class _Owner(NamedTuple):
    """Whose a request is: a project's by one of its keys or pages, or nobody's."""

    project_id: str | None
    is_public: bool
    """Whether anybody could have sent it."""


class _Multiples(NamedTuple):
    """How many times what is free an owner may hold, and how many times one address of it."""

    in_all: float
    per_address: float


_STRANGER = _Owner(None, is_public=True)

# Of 64 MB: a project 51 MB when it is alone, its pages 13 MB, all strangers together 7 MB; an address of
# either of these 2 MB, which is room for a body of the largest size.
_KNOWN = _Multiples(4, 4)
_PAGES = _Multiples(1 / 4, 1 / 32)
_STRANGERS = _Multiples(1 / 8, 1 / 32)


def _owner(scope: Scope) -> _Owner:
    key = scope.get(CALLER)
    if key is not None:
        return _Owner(key.project_id, "page" in key.scopes)
    project_id = tracked_project(scope)
    return _STRANGER if project_id is None else _Owner(project_id, is_public=True)


def is_stranger(request: Request) -> bool:
    """Whether the request has shown no key yet."""
    return CALLER not in request.scope


class HeldBodies:
    """ASGI middleware: refuses with 503 a body for which its sender has no room left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._shares = Shares(MAX_HELD_BYTES)
        self._addresses = Shares(MAX_HELD_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what it receives until it is answered."""
        holding = scope[_HOLDING] = _Holding(self._shares, self._addresses, scope)

        async def counted() -> Message:
            message = await receive()
            if size := len(message.get("body", b"")):
                holding.take(size)
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            holding.give_back()


class _Holding:
    """What one request holds."""

    def __init__(self, shares: Shares, addresses: Shares, scope: Scope) -> None:
        self._shares = shares
        self._addresses = addresses
        self._scope = scope
        self._owner = _STRANGER
        self._address: Hashable = None
        self._size = 0

    def take(self, size: int) -> None:
        """Hold more, as whose the request is by now. Raises Refusal 503, and then holds nothing."""
        owner = _owner(self._scope)
        if owner != self._owner:
            size += self._size
            self.give_back()
            self._owner = owner
        if self._address is None:
            request = Request(self._scope)
            proxies: TrustedProxies = request.app.state.proxies
            self._address = proxies.client(request)
        multiples = _KNOWN if not owner.is_public else _PAGES if owner.project_id else _STRANGERS
        if self._shares.take(owner, size, multiples.in_all):
            if self._addresses.take((owner.is_public, self._address), size, multiples.per_address):
                self._size += size
                return
            self._shares.give_back(owner, size)
        raise Refusal(503, TOO_MUCH, headers={"Retry-After": "1"})

    def give_back(self) -> None:
        """Hold nothing any more."""
        if self._size:
            self._shares.give_back(self._owner, self._size)
            self._addresses.give_back((self._owner.is_public, self._address), self._size)
            self._size = 0


def hold(request: Request, size: int = 0) -> None:
    """Hold so many bytes more until the request is answered, as whose it is by now. Raises Refusal 503."""
    holding: _Holding = request.scope[_HOLDING]
    holding.take(size)


class Parsers:
    """Threads for what would keep the event loop; each owner has one turn at a time.

    So who sends many large bodies at once waits behind itself. The running app's is in `app.state.parsers`.
    """

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[_Owner, asyncio.Lock] = WeakValueDictionary()

    async def run(self, request: Request, work: Callable[[bytes], _T], body: bytes) -> _T:
        """What `work` makes of a body, in a thread."""
        turn = self._turns.setdefault(_owner(request.scope), asyncio.Lock())
        async with turn:
            return await asyncio.to_thread(work, body)
