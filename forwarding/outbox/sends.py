"""Deliveries on their way: leased before a request, booked after it. Functions are part of a transaction."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from forwarding.deliveries import Attempt, Delivery, DeliveryKind, Outcome, Told
from forwarding.outbox.schema import NEVER_US, PARTLY, UNDERWAY, DestinationKey
from forwarding.outbox.store import OutboxStore
from record.landing.store import Row

MOST_WAIT_S = 24 * 3600.0
"""Nobody is asked to wait longer than this."""

JITTER = 0.2
"""Waits differ by so much, up and down: what failed together is not repeated together."""

UNANSWERED = "unanswered"
EXPIRED = "expired"
TRIES_OVER = "tries_over"
NOTHING_TOLD = "nothing_told"

CHECKED_FOR_S = 7 * 24 * 3600.0
"""So long a platform is asked what became of what it accepted; then it counts as lost."""


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that this process may send. `tries`: those that were made and count.

    `may_be_known`: the receiver may have taken it in one of them.
    """

    delivery: Delivery
    tries: int
    split_id: str | None
    may_be_known: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """What waits in a destination. `ready`: due by now, so many at most; `oldest_us`: since when.

    `next_us`: when the next is due, of what can be sent or asked after; None for never.
    """

    ready: int
    oldest_us: int | None
    next_us: int | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a failed one is tried again, and accepted ones are asked after; seconds before each."""

    tries_s: Sequence[float]
    checks_s: Sequence[float]


def due(store: OutboxStore, key: DestinationKey, now_us: int, most: int) -> Due:
    """What waits in a destination."""
    ((ready, oldest_us),) = store.query(
        "SELECT count(*), min(due_us) FROM (SELECT due_us FROM deliveries"
        " WHERE project_id = ? AND destination_id = ? AND state IN ('queued', 'retrying') AND due_us <= ?"
        " ORDER BY due_us LIMIT ?) AS ready",
        *(*key, now_us, most),
    )
    ((next_us,),) = store.query(
        "SELECT min(due_us) FROM deliveries"
        " WHERE project_id = ? AND destination_id = ? AND state IN ('queued', 'retrying')",
        *key,
    )
    ((next_check_us,),) = store.query(
        "SELECT min(due_us) FROM deliveries"
        " WHERE project_id = ? AND destination_id = ? AND state = 'accepted'",
        *key,
    )
    found = [moment for moment in (next_us, next_check_us) if moment is not None and moment < NEVER_US]
    return Due(ready, oldest_us, min(found, default=None))


def lease(
    store: OutboxStore, owner: str, key: DestinationKey, now_us: int, due_us: int, until_us: int, most: int
) -> list[Leased]:
    """Lease deliveries that are due by `due_us`, oldest first: at most one of a conversion.

    The lease is until `until_us`. What has expired ends, and so does what would take back what nobody was
    told. What waits for the end of another is put aside.
    """
    rows = store.query(
        f"""
        SELECT
            d.delivery_id, d.conversion_id, d.ordinal, d.kind, d.build_id, d.facts, d.created_us,
            d.expires_us, d.tries, d.split_id, t.ordinal, t.state, t.value_minor, t.currency, t.known_as,
            d.may_be_known,
            (
                SELECT count(*) FROM deliveries e
                WHERE e.project_id = d.project_id AND e.destination_id = d.destination_id
                    AND e.conversion_id = d.conversion_id AND e.ordinal < d.ordinal
                    AND (e.state IN ('queued', 'retrying', 'held') OR {UNDERWAY.format(table="e")})
            )
        FROM deliveries d
        LEFT JOIN told t
            ON t.project_id = d.project_id AND t.destination_id = d.destination_id
            AND t.conversion_id = d.conversion_id
        WHERE d.project_id = ? AND d.destination_id = ? AND d.state IN ('queued', 'retrying')
            AND d.due_us <= ?
        ORDER BY d.due_us, d.delivery_id LIMIT ?
        """,  # noqa: S608
        *(*key, due_us, most),
    )
    leased: list[Leased] = []
    blocked, ended, sent = [], [], []
    for row in rows:
        delivery_id, conversion_id, ordinal, kind = row[:4]
        expires_us, tries, split_id, told_ordinal = row[7:11]
        before = None if told_ordinal is None else Told(*row[11:15])
        if row[16]:
            blocked.append((delivery_id,))
        elif expires_us is not None and expires_us <= now_us:
            ended.append(("dead", EXPIRED, now_us, delivery_id, conversion_id, ordinal))
        elif kind == "retract" and before is None:
            ended.append(("cancelled", NOTHING_TOLD, now_us, delivery_id, conversion_id, ordinal))
        else:
            kind = _kind(kind, before)
            sent.append((kind, owner, until_us, now_us, delivery_id))
            leased.append(
                Leased(
                    _delivery(key, (delivery_id, conversion_id, ordinal, kind, *row[4:7]), before),
                    tries,
                    split_id,
                    bool(row[15]),
                )
            )
    store.execute_many(f"UPDATE deliveries SET due_us = {NEVER_US} WHERE delivery_id = ?", blocked)  # noqa: S608
    end(store, key, [(each[3], each[4], each[5], each[0], each[1]) for each in ended], now_us)
    store.execute_many(
        "UPDATE deliveries SET state = 'sending', may_be_known = 1, kind = ?, lease_owner = ?,"
        " lease_until_us = ?, first_try_us = coalesce(first_try_us, ?) WHERE delivery_id = ?",
        sent,
    )
    return leased


def _delivery(key: DestinationKey, row: Row, before: Told | None) -> Delivery:
    """From id, conversion, ordinal, kind, build, facts and the time of planning."""
    delivery_id, conversion_id, ordinal, kind, build_id, facts, made_us = row
    return Delivery(
        delivery_id=delivery_id,
        project_id=key[0],
        destination_id=key[1],
        conversion_id=conversion_id,
        ordinal=ordinal,
        kind=kind,
        build_id=build_id,
        facts=orjson.loads(facts) if facts else {},
        made_us=made_us,
        before=before,
    )


def _kind(kind: DeliveryKind, before: Told | None) -> DeliveryKind:
    """What a message is by now: the one before may have ended otherwise than was planned."""
    if kind == "restate" and before is None:
        return "create"
    if kind == "create" and before is not None:
        return "restate"
    return kind


def renew(store: OutboxStore, owner: str, until_us: int) -> None:
    """Renew the leases of what this process is sending."""
    store.execute(
        "UPDATE deliveries SET lease_until_us = ? WHERE state = 'sending' AND lease_owner = ?",
        until_us,
        owner,
    )


def take_up(store: OutboxStore, owner: str, now_us: int) -> None:
    """Let what a lost process was sending be sent again: it may have arrived or not."""
    store.execute(
        "UPDATE deliveries SET state = CASE WHEN tries > 0 THEN 'retrying' ELSE 'queued' END, due_us = ?,"
        " lease_owner = NULL, lease_until_us = NULL"
        " WHERE state = 'sending' AND lease_until_us < ? AND lease_owner <> ?",
        *(now_us, now_us, owner),
    )


def put_back(store: OutboxStore, leased: Sequence[Leased], due_us: int, may_be_known: bool) -> None:
    """Give up leases of what was not sent, or not to its end: the receiver may know that."""
    store.execute_many(
        "UPDATE deliveries SET state = CASE WHEN tries > 0 THEN 'retrying' ELSE 'queued' END, due_us = ?,"
        " may_be_known = ?, lease_owner = NULL, lease_until_us = NULL"
        " WHERE delivery_id = ? AND state = 'sending'",
        [(due_us, int(may_be_known or each.may_be_known), each.delivery.delivery_id) for each in leased],
    )


def end(
    store: OutboxStore, key: DestinationKey, ended: Sequence[tuple[str, str, int, str, str]], now_us: int
) -> None:
    """End deliveries (id, conversion, ordinal, state, reason) without a request."""
    store.execute_many(
        "UPDATE deliveries SET state = ?, reason = ?, done_us = ?, lease_owner = NULL, lease_until_us = NULL,"  # noqa: S608
        f" due_us = {NEVER_US} WHERE delivery_id = ?",
        [(state, reason, now_us, delivery_id) for delivery_id, _, _, state, reason in ended],
    )
    _unblock(store, key, [(conversion_id, ordinal) for _, conversion_id, ordinal, _, _ in ended], now_us)


def book(
    store: OutboxStore,
    key: DestinationKey,
    leased: Sequence[Leased],
    outcomes: Mapping[str, Outcome],
    attempts: Sequence[Attempt],
    schedule: Schedule,
    batch_id: str | None,
    now_us: int,
    is_breaker_open: bool = False,
) -> Counter[str]:
    """Book what became of deliveries that were sent, and the requests that were made for them.

    While the breaker is open, or as long as nothing else than faults comes back, tries don't run out.
    """
    counts: Counter[str] = Counter()
    rows, delivered, ended, named = [], [], [], []
    for each in leased:
        delivery, tries = each.delivery, each.tries
        outcome = outcomes.get(delivery.delivery_id, _NO_OUTCOME)
        state: str = "retrying"
        reason: str | None = None
        due_us, done_us = now_us, None
        if outcome.result == "delivered":
            state, due_us, done_us = "delivered", NEVER_US, now_us
            reason = PARTLY if outcome.code == PARTLY else None
        elif outcome.result == "accepted":
            state, due_us = "accepted", now_us + _us(schedule.checks_s[0])
        elif outcome.result == "dead":
            state, reason, due_us, done_us = "dead", outcome.code, NEVER_US, now_us
            # It did answer.
        elif outcome.result == "pause":
            state = "retrying" if tries else "queued"
        else:
            if not (outcome.is_fault and is_breaker_open):
                tries += 1
            if tries >= len(schedule.tries_s):
                if outcome.is_fault:
                    # The receiver as a whole is away: nothing dies of that.
                    tries = len(schedule.tries_s) - 1
                else:
                    state, reason, due_us, done_us = "dead", TRIES_OVER, NEVER_US, now_us
            if state == "retrying":
                due_us = now_us + _us(
                    max(_jittered(schedule.tries_s[max(tries, 1)]), _bounded(outcome.wait_s))
                )
        counts[state] += 1
        rows.append(
            (
                *(state, reason, due_us, tries, done_us, int(_may_be_known(each, outcome)), batch_id),
                *(outcome.remote_id, outcome.status, outcome.code or None, outcome.text or None),
                delivery.delivery_id,
            )
        )
        if state == "delivered" and delivery.kind != "test":
            delivered.append(delivery)
        if outcome.known_as is not None:
            named.append((outcome.known_as, *key, delivery.conversion_id))
        if done_us is not None and reason != PARTLY:
            ended.append((delivery.conversion_id, delivery.ordinal))
    store.execute_many(
        "UPDATE deliveries SET state = ?, reason = ?, due_us = ?, tries = ?, done_us = ?, may_be_known = ?,"
        " batch_id = coalesce(?, batch_id), remote_id = coalesce(?, remote_id), status = ?, error_code = ?,"
        " error_text = ?, lease_owner = NULL, lease_until_us = NULL WHERE delivery_id = ?",
        rows,
    )
    _log_attempts(store, attempts)
    _tell(store, key, delivered, now_us)
    _unblock(store, key, ended, now_us)
    store.execute_many(
        "UPDATE told SET known_as = ? WHERE project_id = ? AND destination_id = ? AND conversion_id = ?",
        named,
    )
    for batch in _split_again(store, leased, outcomes):
        split_batch(store, key[0], batch, now_us)
    return counts


def accepted_due(
    store: OutboxStore, key: DestinationKey, now_us: int, most: int
) -> dict[str, list[tuple[Leased, int, int]]]:
    """Accepted deliveries to be asked after, by the platform's id of their request.

    With each the number of questions so far, and since when.
    """
    remote_ids = store.query(
        "SELECT DISTINCT remote_id FROM deliveries WHERE project_id = ? AND destination_id = ?"
        " AND state = 'accepted' AND due_us <= ? LIMIT ?",
        *(*key, now_us, most),
    )
    found: dict[str, list[tuple[Leased, int, int]]] = {}
    for (remote_id,) in remote_ids:
        rows = store.query(
            """
            SELECT
                d.delivery_id, d.conversion_id, d.ordinal, d.kind, d.build_id, d.facts, d.created_us, d.tries,
                d.split_id, d.checks, coalesce(d.first_try_us, d.created_us),
                t.ordinal, t.state, t.value_minor, t.currency, t.known_as
            FROM deliveries d
            LEFT JOIN told t
                ON t.project_id = d.project_id AND t.destination_id = d.destination_id
                AND t.conversion_id = d.conversion_id
            WHERE d.project_id = ? AND d.destination_id = ? AND d.state = 'accepted' AND d.remote_id = ?
            ORDER BY d.delivery_id
            """,
            *(*key, remote_id),
        )
        found[remote_id] = [
            (
                Leased(
                    _delivery(key, row[:7], None if row[11] is None else Told(*row[12:16])),
                    row[7],
                    row[8],
                ),
                row[9],
                row[10],
            )
            for row in rows
        ]
    return found


def ask_again(
    store: OutboxStore,
    key: DestinationKey,
    asked: Sequence[tuple[Leased, int, int]],
    attempts: Sequence[Attempt],
    schedule: Schedule,
    now_us: int,
) -> None:
    """The platform does not know yet what became of these: ask later, and give up after a week."""
    later, lost = [], []
    for each, checks, since_us in asked:
        if now_us - since_us > _us(CHECKED_FOR_S):
            lost.append(
                (
                    each.delivery.delivery_id,
                    each.delivery.conversion_id,
                    each.delivery.ordinal,
                    "dead",
                    UNANSWERED,
                )
            )
        else:
            wait_s = schedule.checks_s[min(checks + 1, len(schedule.checks_s) - 1)]
            later.append((now_us + _us(wait_s), checks + 1, each.delivery.delivery_id))
    store.execute_many("UPDATE deliveries SET due_us = ?, checks = ? WHERE delivery_id = ?", later)
    _log_attempts(store, attempts)
    end(store, key, lost, now_us)


def hurry(store: OutboxStore, key: DestinationKey, now_us: int) -> None:
    """The receiver is well again: let what failed before be tried now."""
    store.execute(
        "UPDATE deliveries SET due_us = ? WHERE project_id = ? AND destination_id = ? AND state = 'retrying'"  # noqa: S608
        f" AND due_us > ? AND due_us < {NEVER_US}",
        *(now_us, *key, now_us),
    )


def split_batch(store: OutboxStore, project_id: str, batch_id: str, now_us: int) -> int:
    """Send the deliveries of a batch again in halves; one that is alone is the guilty one, and dead."""
    rows = store.query(
        "SELECT delivery_id, destination_id, conversion_id, ordinal FROM deliveries"
        " WHERE project_id = ? AND batch_id = ? AND state = 'delivered' AND reason = ? ORDER BY delivery_id",
        *(project_id, batch_id, PARTLY),
    )
    # Whether the platform knows of these is not known before they are told again.
    store.execute_many(
        "UPDATE told SET ordinal = NULL, fingerprint = NULL, state = NULL, value_minor = NULL,"
        " currency = NULL, told_us = NULL"
        " WHERE project_id = ? AND destination_id = ? AND conversion_id = ? AND ordinal = ?"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE delivery_id = ? AND kind <> 'create')",
        [(project_id, *row[1:], row[0]) for row in rows],
    )
    if len(rows) == 1:
        delivery_id, destination_id, conversion_id, ordinal = rows[0]
        ended = [(delivery_id, conversion_id, ordinal, "dead", PARTLY)]
        end(store, (project_id, destination_id), ended, now_us)
        return 1
    half = (len(rows) + 1) // 2
    store.execute_many(
        "UPDATE deliveries SET state = 'queued', reason = NULL, due_us = ?, tries = 0, checks = 0,"
        " done_us = NULL, split_id = ? WHERE delivery_id = ?",
        [(now_us, f"{batch_id}/{1 + (position >= half)}", row[0]) for position, row in enumerate(rows)],
    )
    return len(rows)


_NEVER_LEFT = ("refused", "unreachable", "dns", "tls", "forbidden_address", "no_secret", "no_token")


def _may_be_known(leased: Leased, outcome: Outcome) -> bool:
    """Whether the receiver may have taken what has to be sent again: this time, or any time before.

    Who says that it is too busy (429, 503) has taken nothing; any other failure may have come after that.
    """
    if outcome.result not in ("retry", "pause"):
        return False
    if leased.may_be_known:
        return True
    if outcome.result == "pause" or outcome.code in _NEVER_LEFT:
        return False
    status = outcome.status
    return status is None or status == 408 or (status >= 500 and status != 503)


_NO_OUTCOME = Outcome("retry", "no_outcome", "Nothing is known of what became of it.")


def _split_again(store: OutboxStore, leased: Sequence[Leased], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Batches that were split already and of which some was refused again: they are split on."""
    ids = [
        each.delivery.delivery_id
        for each in leased
        if each.split_id is not None
        and (outcome := outcomes.get(each.delivery.delivery_id)) is not None
        and (outcome.result, outcome.code) == ("delivered", PARTLY)
    ]
    if not ids:
        return []
    rows = store.query(
        f"SELECT DISTINCT batch_id FROM deliveries WHERE delivery_id IN ({', '.join('?' * len(ids))})",  # noqa: S608
        *ids,
    )
    return [batch_id for (batch_id,) in rows if batch_id is not None]


def _tell(store: OutboxStore, key: DestinationKey, delivered: Sequence[Delivery], now_us: int) -> None:
    """Note what the destination knows from now on."""
    store.execute_many(
        "UPDATE told SET ordinal = ?,"
        " fingerprint = (SELECT fingerprint FROM deliveries WHERE delivery_id = ?),"
        " state = ?, value_minor = ?, currency = ?, told_us = ?"
        " WHERE project_id = ? AND destination_id = ? AND conversion_id = ?"
        " AND (ordinal IS NULL OR ordinal <= ?)",
        [
            (
                *(delivery.ordinal, delivery.delivery_id),
                *("retracted" if delivery.kind == "retract" else delivery.facts.get("state"),),
                *(delivery.facts.get("value_minor"), delivery.facts.get("currency"), now_us),
                *(*key, delivery.conversion_id, delivery.ordinal),
            )
            for delivery in delivered
        ],
    )


def _unblock(store: OutboxStore, key: DestinationKey, ended: Sequence[tuple[str, int]], now_us: int) -> None:
    """Let go what waited for the end of these (conversion, ordinal)."""
    store.execute_many(
        "UPDATE deliveries SET due_us = ? WHERE project_id = ? AND destination_id = ? AND conversion_id = ?"  # noqa: S608
        f" AND ordinal > ? AND state IN ('queued', 'retrying') AND due_us = {NEVER_US}",
        [(now_us, *key, conversion_id, ordinal) for conversion_id, ordinal in ended],
    )


def _log_attempts(store: OutboxStore, attempts: Sequence[Attempt]) -> None:
    store.execute_many(
        "INSERT INTO attempts (delivery_id, n, started_us, ms, status, error_code, answer)"
        " SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ?, ?, ? FROM attempts WHERE delivery_id = ?",
        [
            (
                *(delivery_id, attempt.started_us, attempt.milliseconds, attempt.status, attempt.code),
                *(attempt.answer, delivery_id),
            )
            for attempt in attempts
            for delivery_id in attempt.delivery_ids
        ],
    )


def _bounded(wait_s: float | None) -> float:
    return min(wait_s or 0.0, MOST_WAIT_S)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (no secret)


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
