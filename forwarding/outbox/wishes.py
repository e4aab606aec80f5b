"""Carries out what somebody wished: each wish once, in order, in one transaction with what it changes."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from forwarding.outbox import sends
from forwarding.outbox.schema import DestinationKey
from forwarding.outbox.store import OutboxStore
from record.wishes import Wish

WISHED = "wished"
"""Why a destination is paused whose owner wanted it so."""

DISMISSED = "dismissed"

SAMPLE_VALUE_MINOR = 100
SAMPLE_CURRENCY = "USD"

FreshFacts = Callable[[DestinationKey, list[str]], Mapping[str, dict[str, Any]]]
"""Facts of conversions in the newest publication, of those that are there."""


def carry_out(store: OutboxStore, wish: Wish, fresh: FreshFacts, now_us: int) -> str:
    """Do what a wish asks for, and remember it; returns a line about what was done.

    In the caller's transaction. A wish that was carried out already does nothing, and returns nothing.
    """
    ((last_id, created_us),) = store.query("SELECT wish_id, created_us FROM outbox WHERE id = 1")
    if wish.id <= last_id:
        return ""
    said = ""
    keys = _destinations(store, wish)
    if wish.action == "pause":
        for key in keys:
            _pause(store, key, wish.wished_us)
        said = _named("paused", keys)
    elif wish.action == "resume":
        for key in keys:
            _resume(store, key)
        said = _named("resumed", keys)
    elif wish.action == "release":
        released = sum(_release(store, key, wish.wished_us, now_us) for key in keys)
        said = f"{_named('released', keys)}: {released} deliveries"
    elif wish.action == "test":
        # An outbox that was made anew finds all wishes that ever were.
        if wish.wished_us >= created_us - _EARLIER_US:
            for key in keys:
                _test(store, key, wish, now_us)
            said = _named("testing", keys)
    elif wish.action == "replay":
        said = f"replayed: {_replay(store, wish, fresh, now_us)} deliveries"
    elif wish.action == "dismiss":
        said = f"dismissed: {_dismiss(store, wish, now_us)} deliveries"
    elif wish.action == "split":
        said = f"split: {_split(store, wish, now_us)} deliveries"
    store.execute("UPDATE outbox SET wish_id = ? WHERE id = 1", wish.id)
    return said


_EARLIER_US = 60_000_000
"""A destination can be tested before its outbox is made, which takes seconds."""


def _named(done: str, keys: list[DestinationKey]) -> str:
    return f"{done} {', '.join('/'.join(key) for key in keys) or 'nothing'}"


def _destinations(store: OutboxStore, wish: Wish) -> list[DestinationKey]:
    """The one that is named, else all of the project that the outbox knows."""
    if wish.destination_id is not None:
        return [(wish.project_id, wish.destination_id)]
    rows = store.query(
        "SELECT destination_id FROM destination_state WHERE project_id = ? ORDER BY destination_id",
        wish.project_id,
    )
    return [(wish.project_id, destination_id) for (destination_id,) in rows]


def _pause(store: OutboxStore, key: DestinationKey, wished_us: int) -> None:
    store.execute(
        "INSERT INTO destination_state (project_id, destination_id, paused, reason, since_us)"
        " VALUES (?, ?, 1, ?, ?) ON CONFLICT (project_id, destination_id) DO UPDATE SET paused = 1,"
        " reason = excluded.reason, since_us = excluded.since_us",
        *(*key, WISHED, wished_us),
    )


def _resume(store: OutboxStore, key: DestinationKey) -> None:
    store.execute(
        "UPDATE destination_state SET paused = 0, reason = NULL, since_us = NULL, breaker_us = NULL,"
        " probe_us = NULL, probes = 0 WHERE project_id = ? AND destination_id = ?",
        *key,
    )


def _release(store: OutboxStore, key: DestinationKey, wished_us: int, now_us: int) -> int:
    """Let go exactly what was held when that was wished: somebody looked at that."""
    store.execute(
        "UPDATE destination_state SET held_us = NULL, held_reason = NULL"
        " WHERE project_id = ? AND destination_id = ? AND held_us <= ?",
        *(*key, wished_us),
    )
    released = store.query(
        "UPDATE deliveries SET state = 'queued', reason = NULL, due_us = ?, held_us = NULL"
        " WHERE project_id = ? AND destination_id = ? AND state = 'held' AND held_us <= ? RETURNING 1",
        *(now_us, *key, wished_us),
    )
    return len(released)


def _test(store: OutboxStore, key: DestinationKey, wish: Wish, now_us: int) -> None:
    conversion_id = f"test-{wish.id}"
    facts = sample_facts(key, conversion_id, now_us)
    delivery_id = f"msg_test{wish.id:022d}"
    store.execute(
        "INSERT INTO deliveries (delivery_id, project_id, destination_id, destination_version, conversion_id,"
        " ordinal, kind, build_id, state_wanted, value_minor, currency, event_us, facts, state, due_us,"
        " created_us) VALUES (?, ?, ?, 0, ?, 1, 'test', '', ?, ?, ?, ?, ?, 'queued', ?, ?)"
        " ON CONFLICT DO NOTHING",
        *(delivery_id, *key, conversion_id, facts["state"], facts["value_minor"], facts["currency"]),
        *(now_us, orjson.dumps(facts).decode(), now_us, now_us),
    )


def sample_facts(key: DestinationKey, conversion_id: str, now_us: int) -> dict[str, Any]:
    """Facts of a conversion that never was."""
    return {
        "project_id": key[0],
        "destination_id": key[1],
        "conversion_id": conversion_id,
        "is_wanted": True,
        "name": "test",
        "event_name": "test",
        "occurred_us": now_us,
        "learnt_us": now_us,
        "approved_us": now_us,
        "state": "approved",
        "value_minor": SAMPLE_VALUE_MINOR,
        "currency": SAMPLE_CURRENCY,
        "dedup_id": conversion_id,
        "transaction_id": conversion_id,
        "sender": "server",
        "is_forwardable": True,
        "external_click_id": "test",
        "click_id": "test",
        "click_id_type": "external",
    }


def _chosen(store: OutboxStore, wish: Wish, states: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Deliveries that a wish's body chooses: `delivery_ids`, else by `states`, `since_us`, `until_us`."""
    body = wish.body
    conditions, values = ["project_id = ?", "kind <> 'test'"], [wish.project_id]
    if wish.destination_id is not None:
        conditions.append("destination_id = ?")
        values.append(wish.destination_id)
    if delivery_ids := body.get("delivery_ids"):
        conditions.append(f"delivery_id IN ({', '.join('?' * len(delivery_ids))})")
        values += delivery_ids
    wanted = [state for state in body.get("states") or states if state in states]
    if not wanted:
        return []
    conditions.append(f"state IN ({', '.join('?' * len(wanted))})")
    values += wanted
    for name, comparison in (("since_us", ">="), ("until_us", "<")):
        if body.get(name) is not None:
            conditions.append(f"created_us {comparison} ?")
            values.append(body[name])
    return store.query(
        "SELECT delivery_id, destination_id, conversion_id, ordinal, facts IS NOT NULL FROM deliveries"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY destination_id, conversion_id, ordinal",
        *values,
    )


def _replay(store: OutboxStore, wish: Wish, fresh: FreshFacts, now_us: int) -> int:
    """Send again what ended, under the same id: of each conversion the last message only.

    An older one would tell again what is not so any more.
    """
    # In bulk nobody means what was overtaken.
    overtaken = ("cancelled",) if wish.body.get("delivery_ids") else ()
    chosen = _chosen(store, wish, ("dead", "delivered", "skipped", *overtaken))
    facts: dict[tuple[str, str], dict[str, Any]] = {}
    if wish.body.get("fresh"):
        for destination_id in sorted({row[1] for row in chosen}):
            key = (wish.project_id, destination_id)
            found = fresh(key, [row[2] for row in chosen if row[1] == destination_id])
            facts |= {(destination_id, conversion_id): each for conversion_id, each in found.items()}
    done = 0
    for delivery_id, destination_id, conversion_id, ordinal, has_facts in chosen:
        later = store.query(
            "SELECT 1 FROM deliveries WHERE project_id = ? AND destination_id = ? AND conversion_id = ?"
            " AND ordinal > ? AND state NOT IN ('cancelled', 'skipped') LIMIT 1",
            *(wish.project_id, destination_id, conversion_id, ordinal),
        )
        anew = facts.get((destination_id, conversion_id))
        if later or not (anew or has_facts):
            continue
        if anew:
            store.execute(
                "UPDATE deliveries SET facts = ?, fingerprint = ?, state_wanted = ?, value_minor = ?,"
                " currency = ? WHERE delivery_id = ?",
                *(orjson.dumps(anew).decode(), anew["fingerprint"], anew["state"], anew["value_minor"]),
                *(anew["currency"], delivery_id),
            )
        store.execute(
            "UPDATE deliveries SET state = 'queued', reason = NULL, due_us = ?, tries = 0, checks = 0,"
            " expires_us = NULL, done_us = NULL, split_id = NULL WHERE delivery_id = ?",
            *(now_us, delivery_id),
        )
        store.execute(
            "UPDATE told SET planned_ordinal = CASE WHEN planned_ordinal > ? THEN planned_ordinal ELSE ? END,"
            " planned_fingerprint = (SELECT fingerprint FROM deliveries WHERE delivery_id = ?)"
            " WHERE project_id = ? AND destination_id = ? AND conversion_id = ?",
            *(ordinal, ordinal, delivery_id, wish.project_id, destination_id, conversion_id),
        )
        done += 1
    return done


def _dismiss(store: OutboxStore, wish: Wish, now_us: int) -> int:
    """Let dead ones be forgotten, and what waits or is held be cancelled when it is named."""
    states = ("dead", "queued", "retrying", "held") if wish.body.get("delivery_ids") else ("dead",)
    chosen = _chosen(store, wish, states)
    by_destination: dict[str, list[tuple[str, str, int, str, str]]] = {}
    for delivery_id, destination_id, conversion_id, ordinal, _ in chosen:
        by_destination.setdefault(destination_id, []).append(
            (delivery_id, conversion_id, ordinal, "cancelled", DISMISSED)
        )
    for destination_id, ended in by_destination.items():
        sends.end(store, (wish.project_id, destination_id), ended, now_us)
    return len(chosen)


def _split(store: OutboxStore, wish: Wish, now_us: int) -> int:
    """Send a batch again in halves, of which the platform had taken only some."""
    return sends.split_batch(store, wish.project_id, str(wish.body.get("batch_id") or ""), now_us)
