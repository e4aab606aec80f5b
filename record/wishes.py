"""What somebody wants done about deliveries: rows that are only appended, and carried out by `forward`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import orjson

from record.landing.store import LandingError, LandingStore

Action = Literal["pause", "resume", "release", "test", "replay", "dismiss", "split"]

ACTIONS: tuple[Action, ...] = get_args(Action)

ReplayedState = Literal["dead", "skipped", "delivered"]
"""State of a delivery that may be sent again."""

REPLAYED_STATES: tuple[ReplayedState, ...] = get_args(ReplayedState)

MOST_IDS = 1000
"""Deliveries that one wish may name."""

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """One wish. `destination_id` is None for one that may be about several.

    Of `body`: pause, resume, release and test have `note` (text or null); replay has `delivery_ids`,
    `states`, `since_us`, `until_us`, `fresh`; dismiss has `delivery_ids`; split has `batch_id`.
    """

    id: int
    project_id: str
    destination_id: str | None
    action: Action
    body: Mapping[str, Any]
    wished_us: int


def append_wish(
    store: LandingStore,
    project_id: str,
    destination_id: str | None,
    action: Action,
    body: Mapping[str, Any] | None = None,
) -> Wish:
    """Append a wish, durably unless in a transaction. Raises LandingError."""
    wished = dict(body or {})
    now = time.time_ns() // 1000
    for _ in range(_TRIES):
        # Not a sequence: of two numbers that it gives, the higher may be committed first, and who remembers
        # how far he read would miss the lower. Here the second waits for the first, finds its number taken,
        # and tries the next.
        rows = store.query(
            "INSERT INTO forwarding_wishes (id, project_id, destination_id, action, body, wished_us)"
            " SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ?, ? FROM forwarding_wishes WHERE true"
            " ON CONFLICT DO NOTHING RETURNING id",
            *(project_id, destination_id, action, orjson.dumps(wished).decode(), now),
        )
        if rows:
            return Wish(rows[0][0], project_id, destination_id, action, wished, now)
    raise LandingError("too many wishes at a time")


def wishes_after(store: LandingStore, last_id: int, limit: int = 1000) -> list[Wish]:
    """Wishes with a higher id than this, in order: none that is committed later will be among them.

    Raises LandingError.
    """
    rows = store.query(
        "SELECT id, project_id, destination_id, action, body, wished_us FROM forwarding_wishes"
        " WHERE id > ? ORDER BY id LIMIT ?",
        *(last_id, limit),
    )
    return [Wish(row[0], row[1], row[2], row[3], orjson.loads(row[4]), row[5]) for row in rows]
