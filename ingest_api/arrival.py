"""What the server knows about a request besides its body, and what a dialect made of it."""

import random
from dataclasses import dataclass
from typing import Any

from funnelhouse.contract import Event, Sender

SENT_KEYS = frozenset({"writeKey", "api_key"})
"""Members of an event that carry an API key: they are not kept."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One authenticated request. `user_agent` is the request's own, and only a browser's counts."""

    project_id: str
    received_us: int
    sender: Sender
    user_agent: str | None

    def new_event_id(self) -> str:
        """An id for a report that came without one: UUIDv7 of the arrival."""
        return uuid7(self.received_us)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a dialect read: the accepted events and, where items are answered one by one, their results."""

    events: list[Event]
    results: list[dict[str, Any]] | None = None


def uuid7(unix_us: int) -> str:
    """A UUID of version 7 (RFC 9562): Unix milliseconds, version, variant, and 74 random bits."""
    # An id is no secret: asking the system for randomness at each event would only cost time.
    value = unix_us // 1000 << 80 | random.getrandbits(76)
    text = f"{value & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
