"""Positions as text that says nothing: a landing id counts the events of all projects.

A cursor is a position, encrypted and then authenticated for its project with a secret that only the landing
store has: it holds after a restart and in every ingest process. Two of one position differ, so that nobody
sees whether others sent something in between.
"""

import base64
import hmac
import secrets
import struct
from dataclasses import dataclass

from record.landing.store import Position

BEGINNING = "0-0"
"""Stands before all events."""

_POSITION = struct.Struct(">QQ")
_BLOCK = _POSITION.size


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads cursors; any 32 random bytes are a secret."""

    secret: bytes

    def write(self, project_id: str, position: Position) -> str:
        """A cursor of a position: 64 characters of base64url."""
        nonce = secrets.token_bytes(_BLOCK)
        sealed = nonce + self._masked(nonce, _POSITION.pack(*position))
        return base64.urlsafe_b64encode(sealed + self._tag(project_id, sealed)).decode()

    def read(self, project_id: str, text: str) -> Position | None:
        """The position of a cursor; None when it is none of this project's."""
        if text == BEGINNING:
            return 0, 0
        try:
            sent = base64.b64decode(text, altchars=b"-_", validate=True)
        except ValueError:
            return None
        sealed, tag = sent[: 2 * _BLOCK], sent[2 * _BLOCK :]
        if not hmac.compare_digest(tag, self._tag(project_id, sealed)):
            return None
        transaction, landing_id = _POSITION.unpack(self._masked(sealed[:_BLOCK], sealed[_BLOCK:]))
        return transaction, landing_id

    def _masked(self, nonce: bytes, text: bytes) -> bytes:
        mask = self._mac(b"mask", nonce)
        return bytes(a ^ b for a, b in zip(text, mask, strict=True))

    def _tag(self, project_id: str, sealed: bytes) -> bytes:
        return self._mac(b"tag", project_id.encode() + b"\0" + sealed)

    def _mac(self, use: bytes, text: bytes) -> bytes:
        return hmac.digest(self.secret, use + b"\0" + text, "sha256")[:_BLOCK]
