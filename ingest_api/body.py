"""Request bodies: read with a limit that counts what really arrives, before and after gunzip."""

import asyncio
import zlib

from fastapi import Request

from funnelhouse.problems import Refusal
from ingest_api.holding import Parsers, hold, is_stranger

MAX_BYTES = 1_048_576
MAX_MEMBERS = 1000
"""Members of a gzip body; an empty one takes 20 bytes."""

DEADLINE_SECONDS = 30
STRANGERS_SECONDS = 10
"""For bodies of senders that have shown no key."""

TOO_LATE = f"The body must arrive within {DEADLINE_SECONDS} seconds."
TOO_LATE_FOR_STRANGERS = (
    f"The body must arrive within {STRANGERS_SECONDS} seconds; send the key in a header for more time."
)
OTHER_ENCODING = "Content-Encoding: send the body as it is, or gzip."
TOO_LARGE = f"The body must be at most {MAX_BYTES} bytes, before and after gunzip; send less at once."
NO_GZIP = "The body is not gzip, although Content-Encoding says so."
CUT_OFF = "The gzip body is cut off; send all of it."
TOO_MANY_MEMBERS = f"The gzip body has more than {MAX_MEMBERS} members; compress it as one."

_PIECE = 4096
"""Bytes that are unpacked at once: what follows the end of a member is copied."""


class UndecodableBody(Refusal):
    """A body that arrived whole and cannot be decoded; `sent` is what arrived."""

    def __init__(self, status: int, detail: str, sent: bytes) -> None:
        super().__init__(status, detail)
        self.sent = sent


async def read_body(request: Request) -> bytes:
    """The body, gunzipped where it says so. Raises Refusal 400, 408, 413, UndecodableBody 400 or 415."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    is_hasty = is_stranger(request)
    seconds = min(DEADLINE_SECONDS, STRANGERS_SECONDS) if is_hasty else DEADLINE_SECONDS
    try:
        async with asyncio.timeout(seconds):
            body = await _received(request)
    except TimeoutError:
        raise Refusal(408, TOO_LATE_FOR_STRANGERS if is_hasty else TOO_LATE) from None
    if encoding not in ("identity", "gzip"):
        raise UndecodableBody(415, OTHER_ENCODING, body)
    if encoding == "identity":
        return body
    parsers: Parsers = request.app.state.parsers
    unpacked = await parsers.run(request, gunzip, body)
    hold(request, max(0, len(unpacked) - len(body)))
    return unpacked


async def _received(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The connection was closed before the body was complete.")
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > MAX_BYTES:
            raise Refusal(413, TOO_LARGE)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def gunzip(sent: bytes) -> bytes:
    """All members of a gzip stream; never more than the limit is held. Raises as `read_body`."""
    result = bytearray()
    view = memoryview(sent)
    at = members = 0
    while at < len(sent):
        if members == MAX_MEMBERS:
            raise UndecodableBody(400, TOO_MANY_MEMBERS, sent)
        member = zlib.decompressobj(wbits=31)
        members += 1
        while not member.eof:
            if at == len(sent):
                raise UndecodableBody(400, CUT_OFF, sent)
            piece = view[at : at + _PIECE]
            try:
                result += member.decompress(piece, MAX_BYTES + 1 - len(result))
            except zlib.error:
                raise UndecodableBody(400, NO_GZIP, sent) from None
            if len(result) > MAX_BYTES:
                raise Refusal(413, TOO_LARGE)
            at += len(piece) - len(member.unconsumed_tail) - len(member.unused_data)
    return bytes(result)
