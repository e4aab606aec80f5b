"""Postbacks: which projects take conversions without a key, as networks send them to FunnelFlux.

A project is `open` (whoever knows a hit or visitor id may report), asks for a `secret` in the path, or is
`off`, which all are at first. The secret is kept as a hash only.
"""

import hashlib
import hmac
import secrets
import time
from typing import Literal, get_args

from funnelhouse.landing.store import LandingStore

Mode = Literal["open", "secret", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)

CACHE_SECONDS = 1.0


def set_postbacks(store: LandingStore, project_id: str, mode: Mode) -> str | None:
    """Switch a project's postbacks; returns the path to send them to, None for off.

    Each `secret` makes a new one, which the path holds and nothing else: the one before ends. Raises
    ValueError for a project that does not exist, LandingError when it cannot be stored.
    """
    secret = secrets.token_urlsafe(24) if mode == "secret" else None
    with store.transaction():
        if not store.query("SELECT 1 FROM projects WHERE project_id = ?", project_id):
            raise ValueError("unknown project; `funnelhouse keys create` makes it")
        store.execute(
            "INSERT INTO postbacks VALUES (?, ?, ?) ON CONFLICT (project_id)"
            " DO UPDATE SET mode = excluded.mode, secret_hash = excluded.secret_hash",
            project_id,
            mode,
            secret and _hash(secret),
        )
    if mode == "off":
        return None
    return f"/pb/{project_id}/{secret}/" if secret else f"/pb/{project_id}/"


class Postbacks:
    """Finds the project that a postback's path means; a change takes effect within a second."""

    def __init__(self, store: LandingStore) -> None:
        self._store = store
        self._modes: dict[str, tuple[Mode, str | None]] = {}
        self._until = 0.0

    def find(self, project_id: str | None, secret: str | None) -> str | None:
        """The project, or None when it takes no postbacks at this path.

        Without a project in the path it is the one that is open, if there is exactly one. An open project
        takes any secret, so that addresses with one go on working. Raises LandingError.
        """
        modes = self._read()
        if project_id is None:
            opened = [project for project, (mode, _) in modes.items() if mode == "open"]
            return opened[0] if len(opened) == 1 else None
        mode, secret_hash = modes.get(project_id, ("off", None))
        if mode == "secret" and secret is not None and secret_hash is not None:
            return project_id if hmac.compare_digest(secret_hash, _hash(secret)) else None
        return project_id if mode == "open" else None

    def _read(self) -> dict[str, tuple[Mode, str | None]]:
        now = time.monotonic()
        if now >= self._until:
            rows = self._store.query("SELECT project_id, mode, secret_hash FROM postbacks")
            self._modes = {project: (mode, secret_hash) for project, mode, secret_hash in rows}
            self._until = now + CACHE_SECONDS
        return self._modes


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
