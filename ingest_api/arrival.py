"""What the server knows about a request besides its body, and what a dialect made of it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest_api import hints
from ingest_api.hints import Fields, Notices
from ingest_api.idempotency import Once
from ingest_api.strict_json import BadInput
from record.contract import Event, Kind, Sender

SENT_KEYS = hints.SENT_KEYS
"""Members of an event that carry an API key: they are not kept."""

_ONLY_SERVERS: frozenset[Kind] = frozenset({"refund", "alias", "unalias"})
"""What a page may not say: it changes what others said."""


class NotForPages(BadInput):
    """A page's key sent what only servers may say."""

    status = 403


@dataclass(slots=True)
class Arrival:
    """One authenticated request. `user_agent` is the request's own, and only a browser's counts.

    `has_page_key`: it came with a key that anybody may know.
    """

    project_id: str
    received_us: int
    sender: Sender
    user_agent: str | None
    once: Once | None = None
    """Set when the request has an Idempotency-Key."""
    has_page_key: bool = False
    sent_us: int | None = None
    """When the sender's clock says that it was sent, of what is read again without the batch that said so."""
    notices: Notices = field(default_factory=Notices)
    """What is odd about the request, though it is accepted."""
    _id_prefix: str = field(init=False)

    def __post_init__(self) -> None:
        ms = self.received_us // 1000
        self._id_prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"

    def admitted(self, event: Event, index: int, sent: Mapping[str, Any], fields: Fields) -> Event:
        """The event at `index` of the request, when the key may say it; what is odd in `sent` is noted.

        Raises NotForPages.
        """
        if self.has_page_key and (event.kind in _ONLY_SERVERS or event.status is not None):
            said = event.kind if event.kind in _ONLY_SERVERS else "status"
            raise NotForPages(f"{said}: needs a key of scope ingest, which belongs on a server")
        self.notices.look(index, sent, event, fields)
        return event

    def new_event_id(self, index: int) -> str:
        """An id for the report at `index` of the request, which came without one.

        The same in each repeat of a request with an Idempotency-Key, else UUIDv7 (RFC 9562) of the arrival.
        """
        if self.once is not None:
            return self.once.event_id(index)
        # An id is no secret: asking the system for randomness at each event would only cost time.
        bits = random.getrandbits(74)
        digits = f"{bits >> 2:018x}"
        return f"{self._id_prefix}{digits[:3]}-{'89ab'[bits & 3]}{digits[3:6]}-{digits[6:]}"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One thing that was not accepted: why, in the words of the answer, and the bytes that were sent.

    `sent_us`: when its batch was sent, where it is an item of one that says so.
    """

    reason: str
    body: bytes
    sent_us: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a dialect read: the accepted events, and what was not accepted where items stand for themselves.

    `results` tell the sender of each item, `{"index", "status", "event_id" or "error"}`, where the dialect
    has such an answer.
    """

    events: list[Event]
    results: list[dict[str, Any]] | None = None
    rejections: list[Rejection] = field(default_factory=list)
    envelope: Mapping[str, Any] = field(default_factory=dict)
    """What the request says beside its reports, where its route wants to know."""
