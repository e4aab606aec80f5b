"""The guarded transport: tells receivers that anybody may have named, and never anything inside.

An address is judged before its request; what a name stands for is judged once, when a connection is made, and
the connection goes to what was judged, under the receiver's own name. No redirect is followed, no proxy of
the environment is asked, and no cookie is kept. Time and answers are bounded.
"""

import asyncio
import logging
import socket
import ssl
import threading
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.metadata import version
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain, zip_longest
from typing import Any, Self

import httpcore

from forwarding.addresses import Allowing, Place, in_ascii, is_listed, is_public, judged
from forwarding.deliveries import ANSWER_BYTES, Answer, Message, UndeliveredError

CONNECT_S = 5.0
"""From the question after a name to the end of the TLS handshake."""

TOTAL_S = 15.0
"""From the question after a name to the last byte of the answer that is read."""

USER_AGENT = f"Funnelhouse/{version('funnelhouse')}"

_MOST_ADDRESSES = 6
# Shorter than servers keep a connection that nobody uses: few requests meet one that just ends.
_IDLE_S = 4.0
_IDLE_CONNECTIONS = 100

# In its debug log stand headers of answers, which may repeat what they were asked with.
logging.getLogger("httpcore").setLevel(logging.WARNING)

_Ip = IPv4Address | IPv6Address


class Transport:
    """Sends messages. One instance serves all destinations; it belongs to the event loop that uses it.

    `ssl_context` is for tests, whose receivers have certificates of their own; else the system's certificate
    authorities are trusted.
    """

    def __init__(self, settings: Allowing, ssl_context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._connections = _Connections(_Dialler(settings), ssl_context or _system_trust())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the connections that no request is using."""
        await self._connections.aclose()

    async def send(self, message: Message) -> Answer:
        """Send a request; returns what was answered, whatever its status. Raises UndeliveredError.

        Of an answer whose body is cut or too slow counts what came of it: its status says what the receiver
        did.
        """
        started = time.monotonic()
        answers: list[_Answering] = []
        try:
            request = self._request(message)
            async with asyncio.timeout(TOTAL_S):
                if not await self._tried(request, answers, may_be_kept=True):
                    await self._tried(request, answers, may_be_kept=False)
        except (TimeoutError, httpcore.TimeoutException):
            failure = UndeliveredError("timeout", "The receiver took too long to answer.")
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            failure = _cut(error)
        except httpcore.LocalProtocolError:
            failure = UndeliveredError("invalid_message", "The request is not HTTP.", is_permanent=True)
        except UndeliveredError as error:
            failure = error
        if answers:
            return answers[0].given(started)
        failure.milliseconds = _milliseconds(started)
        # Without what led to it: libraries quote headers in their errors.
        raise failure from None

    async def _tried(self, request: httpcore.Request, answers: list["_Answering"], may_be_kept: bool) -> bool:
        """Send a request, and read what is answered; False where a kept connection had ended meanwhile.

        Many servers end a connection without a word before. What was lost on the way would be repeated later.
        """
        async with self._connections.one(request.url.origin, may_be_kept) as (connection, is_kept):
            try:
                response = await connection.handle_async_request(request)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
                if is_kept and _cut(error).code == "cut":
                    return False
                raise
            answers.append(_Answering(response))
            try:
                await answers[0].read()
            finally:
                await response.aclose()
            return True

    def _request(self, message: Message) -> httpcore.Request:
        try:
            place = judged(message.url, self._settings, allow_http=message.allow_http)
        except ValueError as error:
            raise UndeliveredError(
                "forbidden_address", f"The receiver's address {error}.", is_permanent=True
            ) from None
        target = in_ascii(message.url.partition("://")[2])
        start = min((at for at in map(target.find, "/?") if at >= 0), default=len(target))
        target = target[start:] if target[start:].startswith("/") else f"/{target[start:]}"
        ours = {"host": _host_header(place), "user-agent": USER_AGENT, "accept-encoding": "identity"}
        if message.method == "POST":
            ours["content-length"] = str(len(message.body))
        theirs = {name.lower(): value for name, value in message.headers.items()}
        headers = {**ours, **theirs, **ours}
        if not all(
            (name + value).isascii() and (name + value).isprintable() for name, value in headers.items()
        ):
            raise UndeliveredError("invalid_message", "A header is no line of ASCII.", is_permanent=True)
        return httpcore.Request(
            message.method,
            httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=target),
            headers=list(headers.items()),
            content=message.body if message.method == "POST" else None,
            extensions={"timeout": {"connect": CONNECT_S}},
        )


@cache
def _system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Connections:
    """Connections, kept for the next request to the same place as long as few are.

    httpcore's own pool looks through all connections of all places for each request.
    """

    def __init__(self, dialler: httpcore.AsyncNetworkBackend, ssl_context: ssl.SSLContext) -> None:
        self._dialler = dialler
        self._ssl_context = ssl_context
        self._idle: dict[tuple[bytes, bytes, int], list[httpcore.AsyncHTTPConnection]] = {}
        self._swept = time.monotonic()
        self._is_closed = False

    @asynccontextmanager
    async def one(
        self, origin: httpcore.Origin, may_be_kept: bool
    ) -> AsyncIterator[tuple[httpcore.AsyncHTTPConnection, bool]]:
        """A connection for one request, and whether it was kept from another."""
        await self._sweep()
        place = (origin.scheme, origin.host, origin.port)
        kept = self._idle.get(place, []) if may_be_kept else []
        connection = None
        while connection is None and kept:
            connection = kept.pop()
            if connection.has_expired():
                await connection.aclose()
                connection = None
        is_kept = connection is not None
        if connection is None:
            connection = httpcore.AsyncHTTPConnection(
                origin,
                ssl_context=self._ssl_context,
                keepalive_expiry=_IDLE_S,
                network_backend=self._dialler,
            )
        try:
            yield connection, is_kept
        finally:
            few = sum(map(len, self._idle.values())) < _IDLE_CONNECTIONS
            if few and connection.is_idle() and not connection.is_closed() and not self._is_closed:
                self._idle.setdefault(place, []).append(connection)
            else:
                await connection.aclose()

    async def _sweep(self) -> None:
        """End what nobody used for long."""
        now = time.monotonic()
        if now - self._swept > _IDLE_S:
            self._swept = now
            idle, self._idle = self._idle, {}
            for place, connections in idle.items():
                for connection in connections:
                    if connection.has_expired():
                        await connection.aclose()
                    else:
                        self._idle.setdefault(place, []).append(connection)

    async def aclose(self) -> None:
        """End those that are kept, and keep none from now on."""
        self._is_closed = True
        idle, self._idle = self._idle, {}
        for connection in chain.from_iterable(idle.values()):
            await connection.aclose()


class _Answering:
    """An answer while it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self._body = bytearray()

    async def read(self) -> None:
        """Read the body, as much as counts of it."""
        async for chunk in self._response.aiter_stream():
            self._body += chunk
            if len(self._body) >= ANSWER_BYTES:
                break

    def given(self, started: float) -> Answer:
        """The answer as far as it came."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._response.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name != "set-cookie":
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = bytes(self._body[:ANSWER_BYTES])
        if headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
            body = _inflated(body)
        return Answer(self._response.status, headers, body, _milliseconds(started))


def _inflated(body: bytes) -> bytes:
    """What a compressed body begins with: nobody asked for one, and a small one can be gigabytes."""
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        with suppress(zlib.error):
            return zlib.decompressobj(window).decompress(body, ANSWER_BYTES)
    return body


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _host_header(place: Place) -> str:
    usual = 443 if place.scheme == "https" else 80
    return place.written.removesuffix(f":{usual}") if place.port == usual else place.written


def _cut(error: Exception) -> UndeliveredError:
    said = str(error)
    if isinstance(error, httpcore.NetworkError) or "disconnected" in said or "closed" in said:
        return UndeliveredError("cut", "The receiver ended the connection before it answered.")
    return UndeliveredError("protocol", "The receiver answered with something that is not HTTP.")


class _Dialler(httpcore.AsyncNetworkBackend):
    """Connects to judged addresses only."""

    def __init__(self, settings: Allowing) -> None:
        self._settings = settings
        self._network = httpcore.AnyIOBackend()
        self._resolver = _Resolver()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first of a host's addresses that answers, if all of them are public."""
        deadline = time.monotonic() + (timeout or CONNECT_S)
        addresses = await self._judged_addresses(host, port, deadline)
        is_refused, is_late = False, False
        for index, address in enumerate(addresses):
            left = max(0.0, deadline - time.monotonic())
            try:
                stream = await self._network.connect_tcp(
                    str(address), port, left / (len(addresses) - index), local_address, socket_options
                )
                return _Dialled(stream, deadline)
            except httpcore.ConnectTimeout:
                is_late = True
            except httpcore.ConnectError as error:
                is_refused |= any(isinstance(each, ConnectionRefusedError) for each in _led_to(error))
        if is_refused:
            raise UndeliveredError("refused", "The receiver refused the connection.")
        if is_late:
            raise UndeliveredError("timeout", "The receiver took too long to take the connection.")
        raise UndeliveredError("unreachable", "The receiver's address can't be reached.")

    async def _judged_addresses(self, host: str, port: int, deadline: float) -> Sequence[_Ip]:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                addresses = await self._resolver.addresses(host)
        except TimeoutError:
            raise UndeliveredError("dns", "No name server said in time what the name stands for.") from None
        except (OSError, UnicodeError):
            raise UndeliveredError("dns", "No name server knows the receiver's name.") from None
        if not is_listed(host, port, self._settings) and not all(map(is_public, addresses)):
            # Which address it is belongs to nobody who is outside.
            raise UndeliveredError("forbidden_address", "The receiver's name stands for an address inside.")
        return addresses[:_MOST_ADDRESSES]


class _Dialled(httpcore.AsyncNetworkStream):
    """A connection that was made, and may become TLS until its deadline."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read."""
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """End it."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Agree on TLS with whom the certificate names."""
        left = max(0.0, min(timeout or CONNECT_S, self._deadline - time.monotonic()))
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, left)
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise
        except httpcore.ConnectTimeout:
            raise UndeliveredError("timeout", "The receiver took too long to agree on TLS.") from None
        except httpcore.ConnectError as error:
            reasons = [each for each in _led_to(error) if isinstance(each, ssl.SSLError)]
            if not reasons:
                raise UndeliveredError("cut", "The receiver ended the connection instead of TLS.") from None
            reason = getattr(reasons[0], "verify_message", None) or reasons[0].reason or "no TLS"
            raise UndeliveredError("tls", f"TLS with the receiver failed: {reason}") from None

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._stream.get_extra_info(info)


def _led_to(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from chain.from_iterable(map(_led_to, error.exceptions))
        error = error.__cause__ or error.__context__


class _Resolver:
    """Asks name servers, in threads of its own: one that never answers keeps nobody else waiting.

    Connections to one host that are made at a time share an answer.
    """

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Future[Sequence[_Ip]]] = {}

    async def addresses(self, host: str) -> Sequence[_Ip]:
        """The addresses of a host, in the order in which to try them. Raises OSError, UnicodeError."""
        with suppress(ValueError):
            return [ip_address(host)]
        asked = self._asked.get(host)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[host] = loop.create_future()
            asked.add_done_callback(lambda done: self._forget(host, done))
            threading.Thread(target=_ask, args=(host, loop, asked), daemon=True).start()
        return await asyncio.shield(asked)

    def _forget(self, host: str, done: asyncio.Future[Sequence[_Ip]]) -> None:
        del self._asked[host]
        if not done.cancelled():
            done.exception()  # Whoever asked may have stopped waiting.


def _ask(host: str, loop: asyncio.AbstractEventLoop, asked: "asyncio.Future[Sequence[_Ip]]") -> None:
    try:
        found = [ip_address(said[4][0]) for said in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        settle, outcome = asked.set_result, _in_turn(found)
    except (OSError, ValueError) as error:
        settle, outcome = asked.set_exception, error  # type: ignore[assignment]
    with suppress(RuntimeError):  # The loop may be closed by now.
        loop.call_soon_threadsafe(lambda: asked.done() or settle(outcome))


def _in_turn(found: Iterable[_Ip]) -> Sequence[_Ip]:
    """Addresses without repeats, both kinds in turn: a kind that the network lacks costs one try."""
    unique = list(dict.fromkeys(found))
    first = [address for address in unique if address.version == unique[0].version]
    second = [address for address in unique if address.version != unique[0].version]
    return [address for pair in zip_longest(first, second) for address in pair if address]
