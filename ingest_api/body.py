"""Request bodies: read with a limit that counts what really arrives, before and after gunzip."""

import asyncio
import zlib

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from funnelhouse.problems import Refusal

MAX_BYTES = 1_048_576
DEADLINE_SECONDS = 30

MAX_HELD_BYTES = 48 * 1024 * 1024
"""Bodies of all requests that are not answered yet."""

TOO_LATE = f"The body must arrive within {DEADLINE_SECONDS} seconds."
OTHER_ENCODING = "Content-Encoding: send the body as it is, or gzip."
TOO_LARGE = f"The body must be at most {MAX_BYTES} bytes, before and after gunzip; send less at once."


class HeldBodies:
    """Refuses with 503 what would make the bodies that are held more than `MAX_HELD_BYTES` together.

    The queue of rows is bounded behind it; this bounds what is still coming in, and what waits to be parsed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what it receives until it is answered."""
        held = 0

        async def counted() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            if self._held + size > MAX_HELD_BYTES:
                raise Refusal(503, "Too much is being received; try again.", headers={"Retry-After": "1"})
            self._held += size
            held += size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= held


class UndecodableBody(Refusal):
    """A body that arrived whole and cannot be decoded; `sent` is what arrived."""

    def __init__(self, status: int, detail: str, sent: bytes) -> None:
        super().__init__(status, detail)
        self.sent = sent


async def read_body(request: Request) -> bytes:
    """The body, gunzipped where it says so. Raises Refusal 400, 408, 413, UndecodableBody 400 or 415."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    message = await request.receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect" or message.get("more_body"):
        # A body in one message, the usual case, needs no timer.
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                body = await _rest(request, body, message["type"] == "http.disconnect")
        except TimeoutError:
            raise Refusal(408, TOO_LATE) from None
    if len(body) > MAX_BYTES:
        raise Refusal(413, TOO_LARGE)
    if encoding not in ("identity", "gzip"):
        raise UndecodableBody(415, OTHER_ENCODING, body)
    return _gunzip(body) if encoding == "gzip" else body


async def _rest(request: Request, first: bytes, is_gone: bool) -> bytes:
    parts, size = [first], len(first)
    more = True
    while more and not is_gone:
        message = await request.receive()
        is_gone = message["type"] == "http.disconnect"
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > MAX_BYTES:
            raise Refusal(413, TOO_LARGE)
        parts.append(part)
    if is_gone:
        raise Refusal(400, "The connection was closed before the body was complete.")
    return b"".join(parts)


def _gunzip(sent: bytes) -> bytes:
    """All members of a gzip stream; never more than the limit is held."""
    result = bytearray()
    body = sent
    while body:
        member = zlib.decompressobj(wbits=31)
        try:
            result += member.decompress(body, MAX_BYTES + 1 - len(result))
        except zlib.error:
            raise UndecodableBody(
                400, "The body is not gzip, although Content-Encoding says so.", sent
            ) from None
        if len(result) > MAX_BYTES:
            raise Refusal(413, TOO_LARGE)
        if not member.eof:
            raise UndecodableBody(400, "The gzip body is cut off; send all of it.", sent)
        body = member.unused_data
    return bytes(result)
