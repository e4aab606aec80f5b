"""Events of the landing store as the window shows them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from record.contract import Event, columns
from record.landing.store import Placed

_NAMES = [column.name for column in columns(Event)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def item(placed: Placed) -> dict[str, Any]:
    """One event: `event_id`, `received_at`, `dialect`, `payload` as received, and `understood`.

    `understood` are the typed columns that are not null; the payload's exact text is beside them.
    """
    row = dict(zip(_NAMES, placed[1], strict=True))
    received_at = _EPOCH + timedelta(microseconds=row["received_us"])
    payload = row.pop("payload")
    return {
        "event_id": row["event_id"],
        "received_at": received_at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "dialect": row["dialect"],
        "payload": payload,
        "understood": understood(row),
    }


def understood(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of an event, by name, that are not null."""
    return {name: value for name, value in row.items() if value is not None}
