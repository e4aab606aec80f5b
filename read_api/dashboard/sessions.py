"""Who is signed in to the dashboard: sessions in this process's memory, each with API keys.

The browser holds a random id only. A restart signs everybody out.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

IDLE_SECONDS = 8 * 3600.0
LONGEST_SECONDS = 7 * 24 * 3600.0

MOST_SESSIONS = 2_000
MOST_SESSIONS_OF_A_KEY = 20
"""Whoever signs in again and again only ends sessions of the same key."""

MOST_KEYS = 20
"""Of one session."""

_TOKEN_BYTES = 32


@dataclass
class Session:
    """One signed-in browser. `keys` are API keys as presented, the oldest first."""

    keys: list[str]
    began: float = 0.0
    used: float = 0.0
    _token: bytes = field(default_factory=lambda: secrets.token_bytes(_TOKEN_BYTES))

    @property
    def csrf_token(self) -> str:
        """For forms; written in another way each time.

        Pages are compressed, and show what their address asks for: the length of one that held the same
        secret each time would tell somebody who chooses the address how much of it was guessed right.
        """
        mask = secrets.token_bytes(_TOKEN_BYTES)
        return base64.urlsafe_b64encode(mask + _masked(self._token, mask)).decode()

    def has_token(self, presented: str) -> bool:
        """Whether a form carries this session's token."""
        try:
            both = base64.b64decode(presented.encode(), altchars=b"-_", validate=True)
        except binascii.Error:
            return False
        mask, masked = both[:_TOKEN_BYTES], both[_TOKEN_BYTES:]
        return len(masked) == _TOKEN_BYTES and hmac.compare_digest(self._token, _masked(masked, mask))


class Sessions:
    """Sessions by id; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # By the hash of the id, so that no look-up's time tells how much of an id was right; by last use.
        self._sessions: dict[bytes, Session] = {}

    def begin(self, key: str) -> tuple[str, Session]:
        """A new session of a key, and its id, which is not kept."""
        session_id = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            self._drop_ended(now)
            same = [name for name, each in self._sessions.items() if each.keys[0] == key]
            for name in same[: len(same) - MOST_SESSIONS_OF_A_KEY + 1]:
                del self._sessions[name]
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[_hash(session_id)] = Session([key], began=now, used=now)
        return session_id, session

    def find(self, session_id: str) -> Session | None:
        """The session, whose idle time begins anew; None when there is none, or it has ended."""
        name, now = _hash(session_id), self._clock()
        with self._lock:
            session = self._sessions.pop(name, None)
            if session is None or _has_ended(session, now):
                return None
            session.used = now
            self._sessions[name] = session
            return session

    def end(self, session_id: str) -> None:
        """Sign out; harmless when there is no such session."""
        with self._lock:
            self._sessions.pop(_hash(session_id), None)

    def add_key(self, session: Session, key: str) -> None:
        """One key more; beyond `MOST_KEYS` the oldest is forgotten."""
        with self._lock:
            session.keys = [*(each for each in session.keys if each != key), key][-MOST_KEYS:]

    def drop_keys(self, session: Session, ended: set[str]) -> None:
        """Forget keys that were revoked or have expired."""
        with self._lock:
            session.keys = [key for key in session.keys if key not in ended]

    def _drop_ended(self, now: float) -> None:
        for name in [name for name, each in self._sessions.items() if _has_ended(each, now)]:
            del self._sessions[name]


def _masked(token: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(token, mask, strict=True))


def _has_ended(session: Session, now: float) -> bool:
    return not session.keys or now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS


def _hash(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode()).digest()
