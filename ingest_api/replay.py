"""Replaying what was rejected: read again by today's code, and landed where that accepts it.

It appends to the landing store itself, beside a running server: no key is needed, and no second way over the
wire. A replayed event happened when its sender said or, where nothing was said, when it was first received;
it is *received* now, for that is when it was learnt. Event ids are made from the rejected row, so that the
models count an event once however often it is replayed. What is refused again leaves no new row.
"""

import uuid
from collections import Counter
from dataclasses import dataclass, field

from ingest_api.arrival import Arrival
from ingest_api.dialect import Read
from ingest_api.dialect_table import BY_PATH
from ingest_api.strict_json import BadInput
from record.contract import Event, row_values
from record.landing.store import LandingStore
from record.rejected import Kept

_NAMESPACE = uuid.UUID("c85cbf66-8357-47b8-b18c-0b12aaf8b56a")
_event_row = row_values(Event)

READERS: dict[str, Read] = {path: route.read_kept or route.read for path, route in BY_PATH.items()}
"""What reads a kept body, by the route that it was sent to: every route that takes events."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one replayed row: how many events were landed, and why the rest was not."""

    accepted: int
    reasons: list[str] = field(default_factory=list)


def replay(store: LandingStore, kept: Kept, now_us: int) -> Outcome:
    """Read a kept body again and land its events, in one transaction. Raises LandingError.

    Definitions and costs are not replayed: the newest of them holds, and an old one would replace what was
    put since.
    """
    read = READERS.get(kept.row.path)
    if read is None:
        return Outcome(0, ["definitions and costs are not replayed: send it again, if it still holds"])
    if kept.is_cut:
        return Outcome(0, ["only its first 64 KB were kept: it has to be sent again"])
    arrival = _Again(
        project_id=kept.row.project_id,
        received_us=kept.row.received_us,
        sender=kept.row.sender or "server",
        user_agent=kept.row.user_agent,
        has_page_key=bool(kept.row.has_page_key),
        sent_us=kept.row.sent_us,
    )
    try:
        reading = read(kept.body, arrival)
    except BadInput as error:
        return Outcome(0, [str(error)])
    _name(reading.events, arrival.given, kept)
    for event in reading.events:
        event.received_us = now_us
        if event.sent_us is not None:
            # What lies here tells nothing of the sender's clock.
            event.sent_us += now_us - kept.row.received_us
    if reading.events:
        store.append([("events", [_event_row(event) for event in reading.events])])
    return Outcome(len(reading.events), [rejection.reason for rejection in reading.rejections])


@dataclass(slots=True)
class _Again(Arrival):
    """The arrival of a kept body, which remembers the ids that it gave."""

    given: set[str] = field(default_factory=set)

    def new_event_id(self, index: int) -> str:
        event_id = Arrival.new_event_id(self, index)
        self.given.add(event_id)
        return event_id


def _name(events: list[Event], given: set[str], kept: Kept) -> None:
    """Replace ids that were given on arrival by ones that are the same in each replay.

    By what an event says and which one of equals it is, not by its place among the accepted: after the next
    fix others may be accepted before it.
    """
    equals: Counter[str] = Counter()
    for event in events:
        if event.event_id in given:
            nth = equals[event.payload]
            equals[event.payload] += 1
            name = "\n".join([event.project_id, kept.row.path, kept.rejected_id, str(nth), event.payload])
            event.event_id = str(uuid.uuid5(_NAMESPACE, name))
