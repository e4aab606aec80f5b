"""What the outbox tells pages, reports, metrics and commands: read only, each question within bounds.

The store is one for queries (`open_existing_outbox`). All functions raise LandingError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import orjson

from forwarding.deliveries import Delivery, DeliveryKind, Facts, Told
from forwarding.outbox.schema import NEVER_US
from forwarding.outbox.store import OutboxStore
from record.contract import DAY_US

WAITING = ("queued", "retrying", "sending")
"""States of what will be tried, as soon as nothing else is in the way."""

STATES = (
    "queued",
    "sending",
    "retrying",
    "held",
    "accepted",
    "delivered",
    "skipped",
    "dead",
    "cancelled",
)
"""All that a delivery can be in."""

TIMED = 1_000
"""Latest deliveries of a destination of which is told how long they took."""

MOST_COUNTED = 100_000
"""What waits is counted so far for metrics."""


@dataclass(frozen=True, slots=True)
class Found:
    """A delivery, without its facts. `due_us` is None for what is not tried by itself."""

    delivery_id: str
    project_id: str
    destination_id: str
    destination_version: int
    conversion_id: str
    ordinal: int
    kind: DeliveryKind
    build_id: str
    state_wanted: str | None
    value_minor: int | None
    currency: str | None
    event_us: int | None
    state: str
    reason: str | None
    due_us: int | None
    tries: int
    expires_us: int | None
    batch_id: str | None
    remote_id: str | None
    status: int | None
    error_code: str | None
    error_text: str | None
    created_us: int
    first_try_us: int | None
    done_us: int | None


@dataclass(frozen=True, slots=True)
class AttemptFound:
    """A request that carried a delivery."""

    n: int
    started_us: int
    milliseconds: int
    status: int | None
    code: str
    answer: str


@dataclass(frozen=True, slots=True)
class Whole:
    """A delivery with its facts, None where they are gone by now, and its attempts in order.

    `before` is what had been told earlier, None for a first message.
    """

    found: Found
    facts: Facts | None
    before: Told | None
    attempts: Sequence[AttemptFound]

    def delivery(self) -> Delivery:
        """It, to be rendered; only with facts."""
        found = self.found
        return Delivery(
            delivery_id=found.delivery_id,
            project_id=found.project_id,
            destination_id=found.destination_id,
            conversion_id=found.conversion_id,
            ordinal=found.ordinal,
            kind=found.kind,
            build_id=found.build_id,
            facts=self.facts or {},
            made_us=found.created_us,
            before=self.before,
        )


@dataclass(frozen=True, slots=True)
class ToldRow:
    """What a destination knows of a conversion (`state` is `retracted` for what was taken back)."""

    state: str
    value_minor: int | None
    currency: str | None
    told_us: int


@dataclass(frozen=True, slots=True)
class DestinationFound:
    """How it goes with a destination. `told_differently`: conversions of which it knows something else than
    was published, though nothing waits, died, or was skipped since.
    """

    is_paused: bool
    reason: str | None
    since_us: int | None
    is_held: bool
    is_breaker_open: bool
    planned_build: str | None
    counts: Mapping[str, int]
    """Deliveries by state."""
    skipped: Mapping[str, int]
    """Of those that were skipped: by reason, most first."""
    oldest_waiting_us: int | None
    took_us: Sequence[int]
    """From the report that decided to the delivery, of the latest; ascending."""
    told: int
    told_differently: int


_DIFFERING = """
    FROM told t
    LEFT JOIN deliveries d
        ON d.project_id = t.project_id AND d.destination_id = t.destination_id
        AND d.conversion_id = t.conversion_id AND d.ordinal = t.planned_ordinal
    WHERE coalesce(t.fingerprint, '') <> coalesce(t.planned_fingerprint, '')
        AND coalesce(d.state, 'delivered') IN ('delivered', 'cancelled')
"""
"""Conversions that are known otherwise than was planned last, though that came to its end."""

_COLUMNS = ", ".join(each.name for each in fields(Found))


def deliveries(
    store: OutboxStore,
    project_id: str,
    *,
    destination_id: str | None = None,
    state: str | None = None,
    conversion_id: str | None = None,
    since_us: int | None = None,
    after: tuple[int, str] | None = None,
    limit: int,
) -> list[Found]:
    """Newest first, ties by id; `after` is `created_us` and id of the last one that is known."""
    wanted = {"destination_id": destination_id, "state": state, "conversion_id": conversion_id}
    given = {column: value for column, value in wanted.items() if value is not None}
    if any("\0" in value for value in given.values()):
        # No id has one, and PostgreSQL takes none.
        return []
    conditions, values = ["project_id = ?"], list[Any]([project_id])
    if since_us is not None:
        conditions.append("created_us >= ?")
        values.append(since_us)
    if after is not None:
        conditions.append("(created_us, delivery_id) < (?, ?)")
        values += after
    # Messages about one conversion were planned in their order; SQLite would look through all by their age.
    order = "created_us DESC, delivery_id DESC" if conversion_id is None else "ordinal DESC"
    found: list[Found] = []
    for part in _parts(store, project_id, given):
        rows = store.query(
            f"SELECT {_COLUMNS} FROM deliveries"  # noqa: S608
            f" WHERE {' AND '.join([*conditions, *(f'{column} = ?' for column in part)])}"
            f" ORDER BY {order} LIMIT ?",
            *(*values, *part.values(), limit),
        )
        found += map(_found, rows)
    return sorted(found, key=lambda each: (each.created_us, each.delivery_id), reverse=True)[:limit]


def _parts(store: OutboxStore, project_id: str, given: Mapping[str, str]) -> list[Mapping[str, str]]:
    """What is asked for, in parts of which each is found by an index, however much there is."""
    if not given:
        return [given]
    keys = [given["destination_id"]] if "destination_id" in given else _keys(store, project_id)
    states = [given["state"]] if "state" in given else STATES
    if "conversion_id" in given:
        return [{**given, "destination_id": key} for key in keys]
    return [{"destination_id": key, "state": state} for key in keys for state in states]


def _keys(store: OutboxStore, project_id: str) -> list[str]:
    """Destinations of the project for which anything was ever planned."""
    rows = store.query("SELECT destination_id FROM destination_state WHERE project_id = ?", project_id)
    return [key for (key,) in rows]


def delivery(store: OutboxStore, project_id: str, delivery_id: str) -> Whole | None:
    """One delivery of the project; None where there is none."""
    if "\0" in delivery_id:
        return None
    rows = store.query(
        f"SELECT {_COLUMNS}, facts FROM deliveries WHERE delivery_id = ? AND project_id = ?",  # noqa: S608
        *(delivery_id, project_id),
    )
    if not rows:
        return None
    attempts = store.query(
        "SELECT n, started_us, ms, status, error_code, answer FROM attempts WHERE delivery_id = ? ORDER BY n",
        delivery_id,
    )
    *values, facts = rows[0]
    found = _found(values)
    return Whole(
        found,
        None if facts is None else orjson.loads(facts),
        _before(store, found),
        [AttemptFound(*attempt) for attempt in attempts],
    )


def _before(store: OutboxStore, found: Found) -> Told | None:
    rows = store.query(
        """
        SELECT CASE d.kind WHEN 'retract' THEN 'retracted' ELSE d.state_wanted END, d.value_minor, d.currency,
            t.known_as
        FROM deliveries d
        LEFT JOIN told t
            ON t.project_id = d.project_id AND t.destination_id = d.destination_id
            AND t.conversion_id = d.conversion_id
        WHERE d.project_id = ? AND d.destination_id = ? AND d.conversion_id = ? AND d.ordinal < ?
            AND d.state = 'delivered' AND d.state_wanted IS NOT NULL
        ORDER BY d.ordinal DESC LIMIT 1
        """,
        *(found.project_id, found.destination_id, found.conversion_id, found.ordinal),
    )
    return Told(*rows[0]) if rows else None


def told_of(store: OutboxStore, project_id: str, conversion_id: str) -> dict[str, ToldRow]:
    """What is known of a conversion, by destination."""
    found = {}
    for key in _keys(store, project_id):
        rows = store.query(
            "SELECT state, value_minor, currency, told_us FROM told"
            " WHERE project_id = ? AND destination_id = ? AND conversion_id = ? AND told_us IS NOT NULL",
            *(project_id, key, conversion_id),
        )
        if rows:
            found[key] = ToldRow(*rows[0])
    return found


def destinations(store: OutboxStore, project_id: str) -> dict[str, DestinationFound]:
    """How it goes with each destination of the project that the outbox knows."""
    counts: dict[str, dict[str, int]] = {}
    oldest: dict[str, int] = {}
    for destination_id, state, count, first_us in store.query(
        "SELECT destination_id, state, count(*), min(created_us) FROM deliveries WHERE project_id = ?"
        " GROUP BY destination_id, state",
        project_id,
    ):
        counts.setdefault(destination_id, {})[state] = count
        if state in WAITING:
            oldest[destination_id] = min(first_us, oldest.get(destination_id, first_us))
    told: dict[str, int] = dict(
        store.query(
            "SELECT destination_id, count(*) FROM told WHERE project_id = ? AND fingerprint IS NOT NULL"
            " AND state <> 'retracted' GROUP BY destination_id",
            project_id,
        )
    )
    differing: dict[str, int] = dict(
        store.query(
            f"SELECT t.destination_id, count(*) {_DIFFERING} AND t.project_id = ? GROUP BY t.destination_id",
            project_id,
        )
    )
    states = {
        destination_id: state
        for destination_id, *state in store.query(
            "SELECT destination_id, paused, reason, since_us, held_us, held_reason, breaker_us, planned_build"
            " FROM destination_state WHERE project_id = ?",
            project_id,
        )
    }
    found = {}
    for key in sorted(counts.keys() | states.keys()):
        paused, reason, since_us, held_us, held_reason, breaker_us, planned = states.get(
            key, (0, None, None, None, None, None, None)
        )
        is_held = held_us is not None
        found[key] = DestinationFound(
            is_paused=bool(paused),
            reason=reason if paused else held_reason,
            since_us=since_us if paused else held_us,
            is_held=is_held,
            is_breaker_open=breaker_us is not None,
            planned_build=planned,
            counts=counts.get(key, {}),
            skipped=_skipped(store, project_id, key) if "skipped" in counts.get(key, {}) else {},
            oldest_waiting_us=oldest.get(key),
            took_us=_took_us(store, project_id, key),
            told=told.get(key, 0),
            told_differently=differing.get(key, 0),
        )
    return found


def _skipped(store: OutboxStore, project_id: str, destination_id: str) -> dict[str, int]:
    return dict(
        store.query(
            "SELECT reason, count(*) AS skipped FROM deliveries WHERE project_id = ? AND destination_id = ?"
            " AND state = 'skipped' GROUP BY reason ORDER BY skipped DESC, reason",
            *(project_id, destination_id),
        )
    )


def _took_us(store: OutboxStore, project_id: str, destination_id: str) -> list[int]:
    rows = store.query(
        "SELECT done_us, facts FROM deliveries WHERE project_id = ? AND destination_id = ?"
        " AND state = 'delivered' AND facts IS NOT NULL AND kind <> 'test' ORDER BY created_us DESC LIMIT ?",
        *(project_id, destination_id, TIMED),
    )
    took = []
    for done_us, facts in rows:
        learnt_us = orjson.loads(facts).get("learnt_us")
        if isinstance(learnt_us, int):
            took.append(max(0, done_us - learnt_us))
    return sorted(took)


def _found(row: Sequence[Any]) -> Found:
    values = dict(zip((each.name for each in fields(Found)), row, strict=True))
    if values["due_us"] == NEVER_US or values["state"] not in (*WAITING, "accepted"):
        values["due_us"] = None
    return Found(**values)


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all projects, for metrics. `attempts`: of the last day, by the class of their status."""

    waiting: int
    oldest_waiting_us: int | None
    held: int
    paused: int
    failing: int
    told_differently: int
    attempts: Mapping[str, int]


def totals(store: OutboxStore, now_us: int) -> Totals:
    """How it goes in all: `waiting` and `held` deliveries, up to MOST_COUNTED; destinations `paused`, and
    `failing`, whose breaker is open.
    """
    ((waiting, oldest_us),) = store.query(
        "SELECT count(*), min(created_us) FROM (SELECT created_us FROM deliveries"
        " WHERE state IN ('queued', 'retrying') LIMIT ?) AS waiting",
        MOST_COUNTED,
    )
    ((sending, sending_us),) = store.query(
        "SELECT count(*), min(created_us) FROM deliveries WHERE state = 'sending'"
    )
    keys = store.query("SELECT project_id, destination_id, paused, breaker_us FROM destination_state")
    held = sum(
        store.query(
            "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE project_id = ? AND destination_id = ?"
            " AND state = 'held' LIMIT ?) AS held",
            *(project_id, destination_id, MOST_COUNTED),
        )[0][0]
        for project_id, destination_id, _, _ in keys
    )
    attempts: dict[str, int] = {}
    for status, count in store.query(
        "SELECT status / 100, count(*) FROM attempts WHERE started_us >= ? GROUP BY status / 100",
        now_us - DAY_US,
    ):
        attempts["no_answer" if status is None else f"{status}xx"] = count
    ((differing,),) = store.query(f"SELECT count(*) {_DIFFERING}")
    return Totals(
        waiting=waiting + sending,
        oldest_waiting_us=min((each for each in (oldest_us, sending_us) if each is not None), default=None),
        held=min(held, MOST_COUNTED),
        paused=sum(bool(paused) for _, _, paused, _ in keys),
        failing=sum(breaker_us is not None for *_, breaker_us in keys),
        told_differently=differing,
        attempts=attempts,
    )
