"""Plans deliveries: what the newest publication says that a destination should know, less what it was told.

A plan is made per destination, in transactions of 10,000 rows at most. Each writes deliveries together with
what they will have told, so a plan that was killed goes on where it stopped, and nothing is planned twice.
"""

import base64
import hashlib
import logging
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from forwarding.deliveries import Delivery, DeliveryKind, Destination, Platform, Told
from forwarding.outbox.installation import NEW_OUTBOX, hold
from forwarding.outbox.schema import NEVER_US, UNDERWAY, WAITING, DestinationKey
from forwarding.outbox.store import Lease, OutboxStore
from forwarding.publications import RETRACTED, Forwardings, Row, opened
from record.contract import DAY_US

_log = logging.getLogger("funnelhouse.forward")

COMPARED_AT_ONCE = 100_000

SURGE = "surge"
"""Reason of the hold: the plan is larger than its destination is used to."""

SUPERSEDED = "superseded"
NOT_WANTED = "not_wanted"

LEAST_SURGE = 1000
SURGE_DAYS = 5
"""A plan of more deliveries than this, and than so many median days, is held."""

LEAST_RETRACTED = 20
MOST_RETRACTED = 0.05
"""A plan that retracts more than this part of what was told is held; a few may always be retracted."""

MEDIAN_OF_DAYS = 28

MISSING = ("no_click_id", "no_identifier", "no_currency")
"""Reasons to skip that a later build may do away with, though what is to be told stays the same."""

SECOND_LOOK_DAYS = 3
MOST_SECOND_LOOKS = 2000


@dataclass(slots=True)
class Planned:
    """Deliveries that were planned for one destination; of these, `held` wait for release."""

    key: DestinationKey
    deliveries: int = 0
    held: int = 0
    skipped: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """What the outbox has of a conversion.

    `last_…`: of the newest delivery. `underway_…`: of one that can't be taken back any more, and has not come
    to its end; what is planned waits for that.
    """

    told: Told | None
    told_ordinal: int | None
    told_fingerprint: str | None
    planned_ordinal: int
    last_id: str | None = None
    last_state: str | None = None
    last_reason: str | None = None
    last_due_us: int | None = None
    underway_fingerprint: str | None = None
    underway_ordinal: int | None = None
    underway_id: str | None = None

    @property
    def is_unsent(self) -> bool:
        return self.last_state in WAITING and self.last_id != self.underway_id

    @property
    def is_underway(self) -> bool:
        return self.underway_ordinal is not None


_UNKNOWN = _Known(None, None, None, 0)


_KIND, _STATE = 6, 14
"""Places in a row of `_Changes.deliveries`."""


@dataclass(slots=True)
class _Changes:
    """Rows of one transaction."""

    deliveries: list[tuple[Any, ...]] = field(default_factory=list)
    cancelled: list[tuple[Any, ...]] = field(default_factory=list)
    told: list[tuple[Any, ...]] = field(default_factory=list)


def delivery_id(project_id: str, destination_id: str, conversion_id: str, ordinal: int) -> str:
    """The id of a delivery: the same on any machine, whatever became of the outbox."""
    said = orjson.dumps([project_id, destination_id, conversion_id, ordinal])
    return f"msg_{base64.b32encode(hashlib.sha256(said).digest()[:16]).decode().rstrip('=').lower()}"


def _as_chosen(conversion_ids: Sequence[str]) -> pa.Table:
    """Conversions to be told, as `Forwardings.differences` gives them."""
    return pa.table(
        {
            "conversion_id": pa.array(conversion_ids, pa.string()),
            "todo": pa.array(["tell"] * len(conversion_ids), pa.string()),
        }
    )


class Planner:
    """Plans publications into an outbox, on a connection of its own."""

    def __init__(self, store: OutboxStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._stopped = False

    def stop(self) -> None:
        """Let a plan end after the transaction that it is in; it goes on when it is asked for again."""
        self._stopped = True

    def plan(
        self,
        folder: Path,
        build_id: str,
        published_us: int,
        destinations: Mapping[DestinationKey, Destination],
        platforms: Mapping[str, Platform],
        now_us: int,
    ) -> list[Planned]:
        """Plan what a publication asks for; returns what was planned, where it was anything.

        A destination that is inactive, or was defined anew since the build, is left for a later build; also
        where a newer build than this was planned. Raises LandingError, duckdb.Error.
        """
        ((newest, created_us),) = self._store.query(
            "SELECT planned_build, created_us FROM outbox WHERE id = 1"
        )
        if newest is not None and build_id < newest:
            return []
        planned_builds = {
            (row[0], row[1]): row[2]
            for row in self._store.query(
                "SELECT project_id, destination_id, planned_build FROM destination_state"
            )
        }
        wanted = {
            key: destination
            for key, destination in destinations.items()
            if destination.body["is_active"] and planned_builds.get(key) != build_id
        }
        found: list[Planned] = []
        if wanted:
            with opened(folder) as forwardings:
                there = forwardings.destinations() if forwardings else {}
                for key in sorted(wanted.keys() & there.keys()):
                    if self._stopped:
                        return found
                    assert forwardings is not None
                    destination = wanted[key]
                    if there[key].version < destination.version:
                        continue
                    if published_us < created_us:
                        self._hold_new(key, planned_builds, now_us)
                    plan = _Plan(
                        self._store,
                        self._lease,
                        forwardings,
                        destination,
                        platforms[destination.kind],
                        build_id,
                        now_us,
                    )
                    planned = plan.run(lambda: self._stopped)
                    if planned.deliveries or planned.skipped or planned.cancelled:
                        found.append(planned)
        if not self._stopped and newest != build_id:
            with self._lease.transaction(self._store):
                self._store.execute("UPDATE outbox SET planned_build = ? WHERE id = 1", build_id)
        return found

    def _hold_new(
        self, key: DestinationKey, planned: Mapping[DestinationKey, str | None], now_us: int
    ) -> None:
        """Hold a destination that a publication older than the outbox knows: the one before may be lost."""
        if planned.get(key) is None:
            with self._lease.transaction(self._store):
                hold(self._store, [key], NEW_OUTBOX, now_us)


class _Plan:
    """The plan of one destination."""

    def __init__(
        self,
        store: OutboxStore,
        lease: Lease,
        forwardings: Forwardings,
        destination: Destination,
        platform: Platform,
        build_id: str,
        now_us: int,
    ) -> None:
        self._store = store
        self._lease = lease
        self._forwardings = forwardings
        self._destination = destination
        self._platform = platform
        self._build_id = build_id
        self._now_us = now_us
        self._key = (destination.project_id, destination.destination_id)
        self._planned = Planned(self._key)

    def run(self, is_stopped: Callable[[], bool]) -> Planned:
        """Compare and write; a plan of this build that was begun goes on under the hold that it was under."""
        differences, told_count = self._differences()
        chosen = pa.concat_tables([differences, self._second_look(differences)])
        hold_reason = self._begin(chosen, told_count)
        for rows in self._forwardings.facts(self._key, chosen) if chosen.num_rows else ():
            if is_stopped():
                return self._planned
            self._write(rows, hold_reason)
        with self._lease.transaction(self._store):
            self._store.execute(
                "UPDATE destination_state SET planned_build = ?, plan_build = NULL, plan_held = 0"
                " WHERE project_id = ? AND destination_id = ?",
                *(self._build_id, *self._key),
            )
        return self._planned

    def _differences(self) -> tuple[pa.Table, int]:
        """What differs, and how many conversions the destination knows."""
        parts: list[pa.Table] = []
        told_count, after = 0, None
        while True:
            rows = self._store.query(
                "SELECT conversion_id, planned_fingerprint, fingerprint FROM told"  # noqa: S608
                f" WHERE project_id = ? AND destination_id = ? {'AND conversion_id > ?' if after else ''}"
                " ORDER BY conversion_id LIMIT ?",
                *(*self._key, *([after] if after else ()), COMPARED_AT_ONCE),
            )
            told_count += sum(row[2] is not None and row[2] != RETRACTED for row in rows)
            until = rows[-1][0] if len(rows) == COMPARED_AT_ONCE else None
            parts.append(self._forwardings.differences(self._key, rows, after, until))
            if until is None:
                return pa.concat_tables(parts), told_count
            after = until

    def _second_look(self, chosen: pa.Table) -> pa.Table:
        """What was skipped lately for want of something that has come meanwhile, such as a late page view.

        No fingerprint shows that: it is of what is told alone.
        """
        rows = self._store.query(
            "SELECT d.conversion_id FROM deliveries d JOIN told t"  # noqa: S608
            " ON t.project_id = d.project_id AND t.destination_id = d.destination_id"
            " AND t.conversion_id = d.conversion_id AND t.planned_ordinal = d.ordinal"
            " WHERE d.project_id = ? AND d.destination_id = ? AND d.state = 'skipped' AND d.created_us >= ?"
            f" AND d.reason IN ({', '.join('?' * len(MISSING))}) ORDER BY d.created_us DESC LIMIT ?",
            *(*self._key, self._now_us - SECOND_LOOK_DAYS * DAY_US, *MISSING, MOST_SECOND_LOOKS),
        )
        others = {row[0] for row in rows} - set(chosen["conversion_id"].to_pylist() if rows else ())
        looked_at = _as_chosen(sorted(others))
        found: list[str] = []
        for part in self._forwardings.facts(self._key, looked_at) if others else ():
            known = self._known([row[0] for row in part])
            for conversion_id, _, facts in part:
                if facts is None or not facts["is_wanted"]:
                    continue
                of = known[conversion_id]
                kind: DeliveryKind = "create" if of.told is None else "restate"
                delivery = self._delivery(conversion_id, of.planned_ordinal + 1, kind, facts, of.told)
                if self._skip_reason(delivery) is None:
                    found.append(conversion_id)
        return _as_chosen(found)

    def _skip_reason(self, delivery: Delivery) -> str | None:
        try:
            return self._platform.skip_reason(self._destination, delivery, self._now_us)
        except Exception as error:
            # One conversion that nobody thought of keeps no other from being told.
            _log.error("%s: %s", delivery.delivery_id, type(error).__name__)
            return "internal_error"

    def _begin(self, chosen: pa.Table, told_count: int) -> str | None:
        """Whether what is planned is held, and why; decided once per build."""
        is_surge = self._is_surge(chosen, told_count)
        with self._lease.transaction(self._store):
            self._store.execute(
                "INSERT INTO destination_state (project_id, destination_id) VALUES (?, ?)"
                " ON CONFLICT DO NOTHING",
                *self._key,
            )
            ((held_us, held_reason, plan_build, plan_held),) = self._store.query(
                "SELECT held_us, held_reason, plan_build, plan_held FROM destination_state"
                " WHERE project_id = ? AND destination_id = ?",
                *self._key,
            )
            if plan_build != self._build_id:
                plan_held = int(is_surge)
                self._store.execute(
                    "UPDATE destination_state SET plan_build = ?, plan_held = ?"
                    " WHERE project_id = ? AND destination_id = ?",
                    *(self._build_id, plan_held, *self._key),
                )
        if held_us is not None:
            return str(held_reason)
        return SURGE if plan_held else None

    def _is_surge(self, chosen: pa.Table, told_count: int) -> bool:
        """Whether a plan sends more than its destination is used to."""
        today = self._now_us // DAY_US
        days = self._store.query(
            "SELECT deliveries FROM planned_days WHERE project_id = ? AND destination_id = ? AND day >= ?",
            *(*self._key, today - MEDIAN_OF_DAYS),
        )
        usual = statistics.median(row[0] for row in days) if days else 0
        most = max(LEAST_SURGE, SURGE_DAYS * usual)
        most_retracted = max(LEAST_RETRACTED, MOST_RETRACTED * told_count)
        if chosen.num_rows <= min(most, most_retracted):
            return False
        # What cannot be told is none of it.
        kinds: Counter[str] = Counter()
        planned, self._planned = self._planned, Planned(self._key)
        try:
            for rows in self._forwardings.facts(self._key, chosen):
                for start in range(0, len(rows), LEAST_SURGE):
                    part = rows[start : start + LEAST_SURGE]
                    known, changes = self._known([row[0] for row in part]), _Changes()
                    for row in part:
                        self._change(changes, row, known.get(row[0], _UNKNOWN), None)
                    kinds.update(row[_KIND] for row in changes.deliveries if row[_STATE] != "skipped")
                    if kinds["retract"] > most_retracted or kinds.total() > most:
                        return True
            return False
        finally:
            self._planned = planned

    def _write(self, rows: Sequence[Row], hold_reason: str | None) -> None:
        """Write one transaction's share of the plan."""
        before = replace(self._planned)
        try:
            with self._lease.transaction(self._store):
                known = self._known([row[0] for row in rows])
                changes = _Changes()
                for row in rows:
                    self._change(changes, row, known.get(row[0], _UNKNOWN), hold_reason)
                self._store_changes(changes, self._planned.deliveries - before.deliveries)
        except BaseException:
            self._planned = before
            raise

    def _known(self, conversion_ids: Sequence[str]) -> dict[str, _Known]:
        known: dict[str, _Known] = {}
        for start in range(0, len(conversion_ids), 500):
            chunk = conversion_ids[start : start + 500]
            rows = self._store.query(
                f"""
                SELECT
                    t.conversion_id, t.state, t.value_minor, t.currency, t.known_as, t.ordinal, t.fingerprint,
                    t.planned_ordinal, d.delivery_id, d.state, d.reason, d.due_us, u.fingerprint, u.ordinal,
                    u.delivery_id
                FROM told t
                LEFT JOIN deliveries d
                    ON d.project_id = t.project_id AND d.destination_id = t.destination_id
                    AND d.conversion_id = t.conversion_id AND d.ordinal = t.planned_ordinal
                LEFT JOIN deliveries u
                    ON u.project_id = t.project_id AND u.destination_id = t.destination_id
                    AND u.conversion_id = t.conversion_id AND {UNDERWAY.format(table="u")}
                WHERE t.project_id = ? AND t.destination_id = ?
                    AND t.conversion_id IN ({", ".join("?" * len(chunk))})
                """,  # noqa: S608
                *(*self._key, *chunk),
            )
            for row in rows:
                told = None if row[5] is None else Told(*row[1:5])
                known[row[0]] = _Known(told, *row[5:])
        return known

    def _change(
        self,
        changes: _Changes,
        row: Row,
        known: _Known,
        hold_reason: str | None,
    ) -> None:
        """Decide what one difference asks for, from what is under way and what was told."""
        conversion_id, todo, facts = row
        kind: DeliveryKind | None
        knows = known.underway_fingerprint if known.is_underway else known.told_fingerprint
        if todo == "leave":
            kind, to_know = None, knows
        elif todo == "retract":
            kind, to_know = ("retract", RETRACTED) if knows is not None else (None, None)
        else:
            assert facts is not None
            kind, to_know = "create" if knows is None else "restate", facts["fingerprint"]
        if to_know == knows:
            # What waits is undone before anybody heard of it.
            kind = None
        if known.is_unsent:
            reason = SUPERSEDED if kind else NOT_WANTED
            changes.cancelled.append((reason, self._now_us, known.last_id))
            self._planned.cancelled += 1
        ordinal = known.planned_ordinal
        if kind is not None:
            ordinal += 1
            told_facts = self._facts_of_retract(conversion_id, facts, known) if kind == "retract" else facts
            self._deliver(changes, conversion_id, ordinal, kind, told_facts, to_know, known, hold_reason)
        changes.told.append((*self._key, conversion_id, ordinal, to_know))

    def _deliver(
        self,
        changes: _Changes,
        conversion_id: str,
        ordinal: int,
        kind: DeliveryKind,
        facts: dict[str, Any] | None,
        fingerprint: str | None,
        known: _Known,
        hold_reason: str | None,
    ) -> None:
        delivery = self._delivery(conversion_id, ordinal, kind, facts or {}, known.told)
        expires_us = None
        if facts is None:
            # What was told is too long ago to be known in full.
            reason: str | None = "cannot_retract"
        elif known.is_underway:
            # It depends on what becomes of the one before.
            reason = None
        else:
            reason = self._skip_reason(delivery)
        state, due_us, held_us, done_us = "queued", self._now_us, None, None
        if reason is not None:
            state, due_us, done_us = "skipped", NEVER_US, self._now_us
            self._planned.skipped += 1
        else:
            self._planned.deliveries += 1
            expires_us = self._platform.expires_us(self._destination, delivery)
            if known.is_underway:
                due_us = NEVER_US
            elif known.is_unsent and known.last_due_us is not None and known.last_state == "retrying":
                due_us = known.last_due_us
            if known.is_unsent and known.last_state == "held":
                hold_reason = hold_reason or known.last_reason
            if hold_reason is not None:
                state, reason, due_us, held_us = "held", hold_reason, NEVER_US, self._now_us
                self._planned.held += 1
        told = facts or {}
        changes.deliveries.append(
            (
                *(delivery.delivery_id, *self._key, self._destination.version, conversion_id, ordinal, kind),
                *(
                    self._build_id,
                    fingerprint,
                    told.get("state"),
                    told.get("value_minor"),
                    told.get("currency"),
                ),
                *(told.get("occurred_us"), orjson.dumps(told).decode() if told else None),
                *(state, reason, due_us, expires_us, held_us, self._now_us, done_us),
            )
        )

    def _delivery(
        self,
        conversion_id: str,
        ordinal: int,
        kind: DeliveryKind,
        facts: dict[str, Any],
        before: Told | None,
    ) -> Delivery:
        return Delivery(
            delivery_id=delivery_id(*self._key, conversion_id, ordinal),
            project_id=self._key[0],
            destination_id=self._key[1],
            conversion_id=conversion_id,
            ordinal=ordinal,
            kind=kind,
            build_id=self._build_id,
            facts=facts,
            made_us=self._now_us,
            before=before,
        )

    def _facts_of_retract(
        self, conversion_id: str, facts: dict[str, Any] | None, known: _Known
    ) -> dict[str, Any] | None:
        """The newest facts, else those of what was told last, worth nothing; None where they are gone."""
        if facts is not None:
            return {**facts, "value_minor": 0}
        rows = self._store.query(
            "SELECT facts FROM deliveries WHERE project_id = ? AND destination_id = ? AND conversion_id = ?"
            " AND ordinal = ?",
            *(*self._key, conversion_id, known.underway_ordinal if known.is_underway else known.told_ordinal),
        )
        if not rows or rows[0][0] is None:
            return None
        return {**orjson.loads(rows[0][0]), "value_minor": 0, "state": "rejected"}

    def _store_changes(self, changes: _Changes, planned: int) -> None:
        self._store.execute_many(
            f"UPDATE deliveries SET state = 'cancelled', reason = ?, done_us = ?, due_us = {NEVER_US}"  # noqa: S608
            " WHERE delivery_id = ?",
            changes.cancelled,
        )
        self._store.execute_many(
            "INSERT INTO deliveries (delivery_id, project_id, destination_id, destination_version,"  # noqa: S608
            " conversion_id, ordinal, kind, build_id, fingerprint, state_wanted, value_minor, currency,"
            " event_us, facts, state, reason, due_us, expires_us, held_us, created_us, done_us)"
            f" VALUES ({', '.join('?' * 21)})",
            changes.deliveries,
        )
        self._store.execute_many(
            "INSERT INTO told (project_id, destination_id, conversion_id, planned_ordinal,"
            " planned_fingerprint) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (project_id, destination_id, conversion_id) DO UPDATE SET"
            " planned_ordinal = excluded.planned_ordinal,"
            " planned_fingerprint = excluded.planned_fingerprint",
            changes.told,
        )
        if planned:
            self._store.execute(
                "INSERT INTO planned_days (project_id, destination_id, day, deliveries) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (project_id, destination_id, day)"
                " DO UPDATE SET deliveries = planned_days.deliveries + excluded.deliveries",
                *(*self._key, self._now_us // DAY_US, planned),
            )
