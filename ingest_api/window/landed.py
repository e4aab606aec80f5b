"""Rows of the landing store as the window shows them."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from record.contract import Event, columns
from record.landing.store import LandingStore, Placed
from record.rejected import printable

_NAMES = [column.name for column in columns(Event)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_REJECTED_BYTES = 2_046
"""Of what was sent and not accepted, as the window shows it; `funnelhouse rejected show` has more."""

_BASE64 = MOST_REJECTED_BYTES // 3 * 4


def item(placed: Placed) -> dict[str, Any]:
    """One event: `event_id`, `received_at`, `dialect`, `payload` as received, and `understood`.

    `understood` are the typed columns that are not null; the payload's exact text is beside them.
    """
    row = dict(zip(_NAMES, placed[1], strict=True))
    payload = row.pop("payload")
    return {
        "event_id": row["event_id"],
        "received_at": utc(row["received_us"]),
        "dialect": row["dialect"],
        "payload": payload,
        "understood": understood(row),
    }


def understood(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of an event, by name, that are not null."""
    return {name: value for name, value in row.items() if value is not None}


def newest_rejected(store: LandingStore, project_id: str, limit: int) -> list[dict[str, Any]]:
    """What a project sent and was not accepted, newest first.

    Each is `received_at`, `path`, `sender`, `reason`, `body` and `is_cut`; `body` is the beginning of
    what was sent, as text in which bytes that are none stand as their codes. Raises LandingError.
    """
    newest_first = ", ".join(f"{column} DESC" for column in store.row_order.split(", "))
    rows = store.query(
        "SELECT received_us, path, sender, reason, substr(body, 1, ?), length(body) FROM rejected"  # noqa: S608
        f" WHERE project_id = ? ORDER BY {newest_first} LIMIT ?",
        *(_BASE64, project_id, limit),
    )
    return [
        {
            "received_at": utc(received_us),
            "path": path,
            "sender": sender,
            "reason": reason,
            "body": printable(base64.b64decode(beginning)),
            "is_cut": length > _BASE64,
        }
        for received_us, path, sender, reason, beginning, length in rows
    ]


def utc(moment_us: int) -> str:
    """Unix microseconds as a time in UTC, e.g. `2026-03-01T12:00:00.123456Z`."""
    moment = _EPOCH + timedelta(microseconds=moment_us)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
