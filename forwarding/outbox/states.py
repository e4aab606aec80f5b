"""What the outbox says of destinations: paused, held, a breaker. Each function is part of a transaction."""

from dataclasses import dataclass

from forwarding.outbox.schema import DestinationKey
from forwarding.outbox.store import OutboxStore


@dataclass(frozen=True, slots=True)
class DestinationState:
    """What the outbox says of a destination."""

    is_paused: bool = False
    is_held: bool = False
    breaker_us: int | None = None
    probe_us: int = 0
    probes: int = 0


def write_pause(store: OutboxStore, key: DestinationKey, reason: str, now_us: int) -> None:
    """Pause a destination, for a reason; one that is paused already keeps its own."""
    store.execute(
        "INSERT INTO destination_state (project_id, destination_id, paused, reason, since_us)"
        " VALUES (?, ?, 1, ?, ?) ON CONFLICT (project_id, destination_id) DO UPDATE SET paused = 1,"
        " reason = CASE destination_state.paused WHEN 1 THEN destination_state.reason"
        " ELSE excluded.reason END,"
        " since_us = CASE destination_state.paused WHEN 1 THEN destination_state.since_us"
        " ELSE excluded.since_us END",
        *(*key, reason, now_us),
    )


def write_breaker(
    store: OutboxStore, key: DestinationKey, opened_us: int | None, probe_us: int | None, probes: int
) -> None:
    """Note the state of a destination's breaker, None for closed."""
    store.execute(
        "INSERT INTO destination_state (project_id, destination_id, breaker_us, probe_us, probes)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (project_id, destination_id) DO UPDATE SET"
        " breaker_us = excluded.breaker_us, probe_us = excluded.probe_us, probes = excluded.probes",
        *(*key, opened_us, probe_us, probes),
    )


def read_states(store: OutboxStore) -> dict[DestinationKey, DestinationState]:
    """What the outbox says of each destination."""
    rows = store.query(
        "SELECT project_id, destination_id, paused, held_us, breaker_us, probe_us, probes"
        " FROM destination_state"
    )
    return {
        (row[0], row[1]): DestinationState(bool(row[2]), row[3] is not None, row[4], row[5] or 0, row[6])
        for row in rows
    }
