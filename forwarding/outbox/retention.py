"""What an outbox forgets: personal data of what has ended, and the log of requests, after 30 days."""

from forwarding.outbox.store import OutboxStore
from record.contract import DAY_US

KEPT_DAYS = 30
AT_ONCE = 1000
PLANNED_DAYS = 60


def forget(store: OutboxStore, now_us: int) -> bool:
    """Forget a part of what is old, in the caller's transaction; says whether there may be more."""
    before_us = now_us - KEPT_DAYS * DAY_US
    blanked = store.query(
        "UPDATE deliveries SET facts = NULL WHERE delivery_id IN ("
        "SELECT delivery_id FROM deliveries WHERE facts IS NOT NULL AND done_us < ? LIMIT ?) RETURNING 1",
        *(before_us, AT_ONCE),
    )
    attempts = store.query(
        "SELECT delivery_id, n FROM attempts WHERE started_us < ? LIMIT ?", before_us, AT_ONCE
    )
    store.execute_many("DELETE FROM attempts WHERE delivery_id = ? AND n = ?", attempts)
    store.execute("DELETE FROM planned_days WHERE day < ?", now_us // DAY_US - PLANNED_DAYS)
    return max(len(blanked), len(attempts)) == AT_ONCE
