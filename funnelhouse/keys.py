"""API keys: `fh_<live|test>_<id>_<secret>`, of one project, with scopes and expiry; kept as a hash only."""

import hashlib
import hmac
import re
import secrets
import string
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from funnelhouse.landing import Location, open_existing
from funnelhouse.landing.store import LandingStore

Scope = Literal["ingest", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

PROJECT_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TEST_SUFFIX = ".test"
"""What test keys of `shop` send belongs to the project `shop.test`; a live project's id has no dot."""

CACHE_SECONDS = 1.0
CACHE_SIZE = 10_000

_BASE62 = string.digits + string.ascii_letters
_KEY = re.compile(r"fh_(?:live|test)_([0-9A-Za-z]{12})_([0-9A-Za-z]{40})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was presented, known, and not expired when looked up."""

    key_id: str
    project_id: str
    scopes: frozenset[str]
    expires_us: int

    def opens(self, project: str) -> bool:
        """Whether `project`, as named in a path, is this key's.

        A test key opens `shop` and `shop.test` alike, and both mean `shop.test`: an integration is tested by
        changing its key only.
        """
        return project == self.project_id or f"{project}{TEST_SUFFIX}" == self.project_id


def create_key(
    store: LandingStore,
    project_id: str,
    scopes: Iterable[str],
    expires_days: int = 365,
    is_test: bool = False,
) -> str:
    """Create a key, and its project when new; returns the key, which is not kept anywhere.

    Raises ValueError for a bad project id, scopes outside of `SCOPES` or none, or fewer than 1 day;
    LandingError when it cannot be stored.
    """
    if not PROJECT_PATTERN.fullmatch(project_id):
        raise ValueError(
            "project must be 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit; "
            "test keys belong to <project>.test by themselves"
        )
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise ValueError(f"scopes must be one or more of {', '.join(SCOPES)}")
    if not 1 <= expires_days <= 36_500:
        raise ValueError("expires_days must be 1 to 36500")
    owner = project_id + TEST_SUFFIX if is_test else project_id
    key_id, secret = _random_base62(12), _random_base62(40)
    now_us = time.time_ns() // 1000
    with store.transaction():
        store.execute("INSERT INTO projects VALUES (?, ?) ON CONFLICT DO NOTHING", owner, now_us)
        store.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?)",
            key_id,
            owner,
            _hash(secret),
            ",".join(scope for scope in SCOPES if scope in wanted),
            now_us,
            now_us + expires_days * 86_400_000_000,
        )
    return f"fh_{'test' if is_test else 'live'}_{key_id}_{secret}"


class KeyRing:
    """Finds keys in a landing store, which may not exist yet; remembers hits and misses up to a second."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._store: LandingStore | None = None
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[float, Key | None]] = {}

    def find(self, presented: str) -> Key | None:
        """The key, or None when it is malformed, unknown, wrong or expired.

        Raises LandingError when the store cannot be read.
        """
        now = time.monotonic()
        cached = self._cache.get(presented)
        if cached is not None and cached[0] > now:
            return cached[1]
        match = _KEY.fullmatch(presented)
        if match is None:
            # Not remembered: the answer costs nothing, and what was presented may be long.
            return None
        key = self._look_up(match[1], match[2])
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[presented] = (now + CACHE_SECONDS, key)
        return key

    def _look_up(self, key_id: str, secret: str) -> Key | None:
        with self._lock:
            if self._store is None:
                self._store = open_existing(self._location)
            if self._store is None:
                return None
            rows = self._store.query(
                "SELECT project_id, secret_hash, scopes, expires_us FROM keys WHERE key_id = ?", key_id
            )
        if not rows:
            return None
        row = rows[0]
        if not hmac.compare_digest(row[1], _hash(secret)):
            return None
        if row[3] <= time.time_ns() // 1000:
            return None
        return Key(key_id, row[0], frozenset(row[2].split(",")), row[3])


def _random_base62(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _hash(secret: str) -> bytes:
    # 40 random base62 characters are 238 bits: nothing that a slow hash would protect better.
    return hashlib.sha256(secret.encode()).digest()
