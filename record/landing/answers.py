"""Answers kept under an Idempotency-Key: the first request's, whichever process it came to.

An answer is written in the transaction of its request's rows: both are there after a crash, or neither. It is
kept for at least 30 days; builds forget older ones.
"""

import time
from collections.abc import Mapping

import orjson

from record.contract import DAY_US
from record.landing.store import Answer, LandingError, LandingStore

KEPT_US = 30 * DAY_US

_FORGOTTEN_AT_ONCE = 1000

_MOST_SECONDS = 60.0

# A round trip for each answer would cost a group more than its rows do.
_KEPT_AT_ONCE = (64, 8, 1)

_Identity = tuple[str, str, str]
_IDENTITY = "project_id, route, idempotency_key"


def keep_answers(store: LandingStore, answers: Mapping[int, Answer]) -> dict[int, Answer]:
    """Keep answers in the transaction that is open; `answers` are by position, lower ones are earlier.

    Returns by position the answers that an earlier request has got instead. Waits for other transactions that
    keep the same ones, so it comes first in a transaction. Raises LandingError.
    """
    firsts: dict[_Identity, Answer] = {}
    for position in sorted(answers):
        firsts.setdefault(_identity(answers[position]), answers[position])
    # Everybody goes through them in one order: two transactions never wait for each other.
    in_order = [firsts[identity] for identity in sorted(firsts)]
    kept: set[_Identity] = set()
    start = 0
    for count in _KEPT_AT_ONCE:
        while len(in_order) - start >= count:
            kept |= _insert(store, in_order[start : start + count])
            start += count
    for identity in firsts.keys() - kept:
        earlier = find_answer(store, *identity)
        if earlier is None:
            raise LandingError("the stored answer expired while its request was being repeated")
        firsts[identity] = earlier
    return {
        position: firsts[_identity(answer)]
        for position, answer in answers.items()
        if firsts[_identity(answer)] is not answer
    }


def find_answer(store: LandingStore, project_id: str, route: str, idempotency_key: str) -> Answer | None:
    """The answer that is kept under a key; None when there is none. Raises LandingError."""
    rows = store.query(
        "SELECT request_hash, answered_us, status, headers, body FROM answers"
        " WHERE project_id = ? AND route = ? AND idempotency_key = ?",
        *(project_id, route, idempotency_key),
    )
    if not rows:
        return None
    ((request_hash, answered_us, status, headers, body),) = rows
    return Answer(
        project_id, route, idempotency_key, request_hash, answered_us, status, orjson.loads(headers), body
    )


def prune_answers(store: LandingStore, before_us: int) -> int:
    """Delete the answers from before a time (Unix microseconds), oldest first; returns how many.

    Ends after a minute: what is left then is the next call's. Raises LandingError.
    """
    deadline = time.monotonic() + _MOST_SECONDS
    forgotten = 0
    while True:
        began = time.monotonic()
        rows = store.query(
            f"DELETE FROM answers WHERE ({_IDENTITY}) IN (SELECT {_IDENTITY} FROM answers"  # noqa: S608
            " WHERE answered_us < ? ORDER BY answered_us LIMIT ?) RETURNING 1",
            *(before_us, _FORGOTTEN_AT_ONCE),
        )
        forgotten += len(rows)
        ended = time.monotonic()
        if len(rows) < _FORGOTTEN_AT_ONCE or ended > deadline:
            return forgotten
        # SQLite has one writer at a time and no queue for it: ingest must get its turn.
        time.sleep(ended - began)


def _insert(store: LandingStore, answers: list[Answer]) -> set[_Identity]:
    """Keep those that have no earlier one; returns which they are."""
    values = [
        value
        for answer in answers
        for value in (
            *_identity(answer),
            answer.request_hash,
            answer.answered_us,
            answer.status,
            orjson.dumps(answer.headers).decode(),
            answer.body,
        )
    ]
    marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * len(answers))
    rows = store.query(
        f"INSERT INTO answers ({_IDENTITY}, request_hash, answered_us, status, headers, body)"  # noqa: S608
        f" VALUES {marks} ON CONFLICT DO NOTHING RETURNING {_IDENTITY}",
        *values,
    )
    return {(project_id, route, key) for project_id, route, key in rows}


def _identity(answer: Answer) -> _Identity:
    return answer.project_id, answer.route, answer.idempotency_key
