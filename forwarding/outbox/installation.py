"""Whose an outbox is. A copy never sends: Meta forgets event ids after two days, so it would count twice.

An outbox that is opened by another installation than before, or as another file or table than before (a
backup was put back, a home was copied), holds every destination until somebody releases it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from forwarding.outbox.schema import NEVER_US, DestinationKey
from forwarding.outbox.store import OutboxStore
from funnelhouse.settings import Settings

COPIED = "copied"
"""Reason of the hold: the outbox was another installation's, or another file, when it was last open."""

NEW_OUTBOX = "new_outbox"
"""Reason of the hold: a publication that is older than the outbox knows the destination."""

_DEV_FILE = "dev.json"
"""In a home to edit in: what it was made of."""

_MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def installation_of(settings: Settings) -> str:
    """The name of this installation: the setting, else machine and home folder, hashed."""
    if settings.installation:
        return settings.installation
    parts = f"{_machine()}\n{settings.home_dir}"
    return f"machine {hashlib.sha256(parts.encode()).hexdigest()[:16]}"


def is_dev_home(settings: Settings) -> bool:
    """Whether this is a home to edit in (`funnelhouse dev`), or a copy of one; they never send."""
    return (settings.home_dir / _DEV_FILE).exists()


def make_row(store: OutboxStore, installation: str, now_us: int) -> None:
    """Make a new outbox this installation's; one that was made before is as it was. Raises LandingError."""
    store.execute(
        "INSERT INTO outbox (id, installation, storage, created_us, lease_until_us, wish_id)"
        " VALUES (1, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING",
        *(installation, store.storage(), now_us),
    )


def claim_outbox(
    store: OutboxStore, installation: str, defined: Iterable[DestinationKey], now_us: int
) -> list[DestinationKey]:
    """Make the outbox this installation's; returns the destinations that are held because it was not.

    `defined` are the destinations that there are now. In a transaction of the lease's holder. Raises
    LandingError.
    """
    storage = store.storage()
    if store.query("SELECT installation, storage FROM outbox WHERE id = 1") == [(installation, storage)]:
        return []
    found = store.query("SELECT project_id, destination_id FROM destination_state")
    held = sorted({*((row[0], row[1]) for row in found), *defined})
    hold(store, held, COPIED, now_us)
    store.execute("UPDATE outbox SET installation = ?, storage = ? WHERE id = 1", installation, storage)
    return held


def hold(store: OutboxStore, keys: Iterable[DestinationKey], reason: str, now_us: int) -> None:
    """Hold destinations and what waits in them until they are released; in the caller's transaction."""
    for key in keys:
        store.execute(
            "INSERT INTO destination_state (project_id, destination_id, held_us, held_reason)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (project_id, destination_id)"
            " DO UPDATE SET held_us = excluded.held_us, held_reason = excluded.held_reason",
            *(*key, now_us, reason),
        )
        store.execute(
            "UPDATE deliveries SET state = 'held', reason = ?, held_us = ?, due_us = ?, lease_owner = NULL,"
            " lease_until_us = NULL WHERE project_id = ? AND destination_id = ?"
            " AND state IN ('queued', 'retrying', 'sending') AND kind <> 'test'",
            *(reason, now_us, NEVER_US, *key),
        )
        # Whoever asked for a test was not here.
        store.execute(
            "UPDATE deliveries SET state = 'cancelled', reason = ?, done_us = ?"
            " WHERE project_id = ? AND destination_id = ? AND state IN ('queued', 'retrying', 'sending')",
            *(reason, now_us, *key),
        )


def _machine() -> str:
    for file in _MACHINE_FILES:
        try:
            if machine := file.read_text().strip():
                return machine
        except OSError:
            continue
    return ""
