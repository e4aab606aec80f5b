"""API keys: `fh_<live|test>_<id>_<secret>`, of one project, with scopes and expiry; kept as a hash only."""

import hashlib
import hmac
import re
import secrets
import string
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from record.contract import DAY_US
from record.landing import Location, open_existing
from record.landing.store import LandingStore, Row

Scope = Literal["page", "ingest", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""`page` may stand in a web page, `ingest` belongs on a server; both land reports and read nothing. `read`
reads; `admin` defines, and reports what ads cost."""

PAGE: Scope = "page"

PROJECT_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TEST_SUFFIX = ".test"
"""What test keys of `shop` send belongs to the project `shop.test`; a live project's id has no dot."""

CACHE_SECONDS = 1.0
CACHE_SIZE = 10_000

_KEY_COLUMNS = "key_id, project_id, scopes, expires_us"
_BASE62 = string.digits + string.ascii_letters
_KEY = re.compile(r"fh_(?:live|test)_([0-9A-Za-z]{12})_([0-9A-Za-z]{40})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept, without its secret. `expires_us`: Unix microseconds; revoking moves it to now."""

    key_id: str
    project_id: str
    scopes: frozenset[str]
    expires_us: int

    @property
    def is_page_key(self) -> bool:
        """Whether anybody may know this key: it stands in a web page."""
        return PAGE in self.scopes

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

    Raises ValueError for a bad project id, scopes outside of `SCOPES` or none, `page` beside another scope,
    or fewer than 1 day; LandingError when it cannot be stored.
    """
    if not PROJECT_PATTERN.fullmatch(project_id):
        raise ValueError(
            "project must be 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit; "
            "test keys belong to <project>.test by themselves"
        )
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise ValueError(f"scopes must be one or more of {', '.join(SCOPES)}")
    if PAGE in wanted and len(wanted) > 1:
        # What it opened besides would be open to everybody who reads the page.
        raise ValueError("scopes: page stands alone; create another key for the others")
    if not 1 <= expires_days <= 36_500:
        raise ValueError("expires_days must be 1 to 36500")
    owner = project_id + TEST_SUFFIX if is_test else project_id
    with store.transaction():
        store.execute("INSERT INTO projects VALUES (?, ?) ON CONFLICT DO NOTHING", owner, _now_us())
        return _insert_key(store, owner, wanted, expires_days)


def list_keys(store: LandingStore, project_id: str | None = None) -> list[Key]:
    """Keys of a project (its test keys included), or of all; expired and revoked ones too, by project."""
    rows = store.query(f"SELECT {_KEY_COLUMNS} FROM keys ORDER BY project_id, key_id")  # noqa: S608
    found = [_key(row) for row in rows]
    return [key for key in found if project_id is None or key.opens(project_id)]


def revoke_key(store: LandingStore, key_id: str) -> None:
    """End a key now; every process has forgotten it a second later.

    Raises ValueError when there is no such key, LandingError when it cannot be stored.
    """
    with store.transaction():
        _end_key(store, _existing(store, key_id), _now_us())


def rotate_key(store: LandingStore, key_id: str, overlap_days: int = 7, expires_days: int = 365) -> str:
    """Create a key like this one and return it; the old one goes on working for `overlap_days`.

    Raises ValueError when there is no such key or it has expired, LandingError when it cannot be stored.
    """
    with store.transaction():
        old = _existing(store, key_id)
        now_us = _now_us()
        if old.expires_us <= now_us:
            raise ValueError("this key has expired or was revoked: create a new one")
        _end_key(store, old, now_us + overlap_days * DAY_US)
        return _insert_key(
            store, old.project_id, ",".join(s for s in SCOPES if s in old.scopes), expires_days
        )


def _insert_key(store: LandingStore, owner: str, scopes: Collection[str], expires_days: int) -> str:
    key_id, secret = _random_base62(12), _random_base62(40)
    now_us = _now_us()
    store.execute(
        "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?)",
        key_id,
        owner,
        _hash(secret),
        ",".join(scope for scope in SCOPES if scope in scopes),
        now_us,
        now_us + expires_days * DAY_US,
    )
    return f"fh_{'test' if owner.endswith(TEST_SUFFIX) else 'live'}_{key_id}_{secret}"


def _existing(store: LandingStore, key_id: str) -> Key:
    rows = store.query(f"SELECT {_KEY_COLUMNS} FROM keys WHERE key_id = ?", key_id)  # noqa: S608
    if not rows:
        raise ValueError("there is no key with this id; `funnelhouse keys list` shows them")
    return _key(rows[0])


def _end_key(store: LandingStore, key: Key, at_us: int) -> None:
    # Ending is expiring: a key never works longer than it was made for.
    store.execute("UPDATE keys SET expires_us = ? WHERE key_id = ?", min(at_us, key.expires_us), key.key_id)


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
                f"SELECT secret_hash, {_KEY_COLUMNS} FROM keys WHERE key_id = ?",  # noqa: S608 (constants)
                key_id,
            )
        if not rows or not hmac.compare_digest(rows[0][0], _hash(secret)):
            return None
        key = _key(rows[0][1:])
        return key if key.expires_us > _now_us() else None


def _key(row: Row) -> Key:
    """A key from `_KEY_COLUMNS`."""
    key_id, project_id, scopes, expires_us = row
    return Key(key_id, project_id, frozenset(scopes.split(",")), expires_us)


def _now_us() -> int:
    return time.time_ns() // 1000


def _random_base62(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _hash(secret: str) -> bytes:
    # 40 random base62 characters are 238 bits: nothing that a slow hash would protect better.
    return hashlib.sha256(secret.encode()).digest()
