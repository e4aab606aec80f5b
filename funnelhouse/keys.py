"""API keys: `fh_<live|test>_<id>_<secret>`, of one project, with scopes, a name and expiry.

Of the secret only a hash is kept.
"""

import hashlib
import hmac
import re
import secrets
import string
import threading
import time
from collections.abc import Collection, Iterable, Mapping
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

MOST_NAME_CHARACTERS = 255
MOST_DAYS = 36_500

_KEY_COLUMNS = "key_id, project_id, scopes, expires_us"
_LISTED_COLUMNS = f"{_KEY_COLUMNS}, name, created_us, last_used_us"
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

    @property
    def is_test(self) -> bool:
        """Whether it is a test key."""
        return self.project_id.endswith(TEST_SUFFIX)

    def opens(self, project: str) -> bool:
        """Whether `project`, as named in a path, is this key's.

        A test key opens `shop` and `shop.test` alike, and both mean `shop.test`: an integration is tested by
        changing its key only.
        """
        return project == self.project_id or f"{project}{TEST_SUFFIX}" == self.project_id


@dataclass(frozen=True, slots=True)
class ListedKey(Key):
    """A key as lists show it. `last_used_us`: the beginning of the last hour in which ingest took it."""

    name: str | None
    created_us: int
    last_used_us: int | None = None


def create_key(
    store: LandingStore,
    project_id: str,
    scopes: Iterable[str],
    expires_days: int = 365,
    is_test: bool = False,
    name: str | None = None,
) -> str:
    """Create a key, and its project when new; returns the key, which is not kept anywhere.

    Raises ValueError for a bad project id, scopes outside of `SCOPES` or none, `page` beside another scope,
    a bad name, or fewer than 1 day; LandingError when it cannot be stored.
    """
    if not PROJECT_PATTERN.fullmatch(project_id):
        raise ValueError(
            "project must be 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit; "
            "test keys belong to <project>.test by themselves"
        )
    if not 1 <= expires_days <= MOST_DAYS:
        raise ValueError(f"expires_days must be 1 to {MOST_DAYS}")
    owner = project_id + TEST_SUFFIX if is_test else project_id
    name = None if name is None else checked_name(name)
    made, key = new_key(owner, checked_scopes(scopes), expires_days, name)
    with store.transaction():
        insert_key(store, made, key)
    return key


def checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Scopes that a key can have. Raises ValueError."""
    wanted = frozenset(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise ValueError(f"scopes must be one or more of {', '.join(SCOPES)}")
    if PAGE in wanted and len(wanted) > 1:
        # What it opened besides would be open to everybody who reads the page.
        raise ValueError("scopes: page stands alone; create another key for the others")
    return wanted


def checked_name(name: str) -> str:
    """A name without blanks around it. Raises ValueError.

    A name is printed on terminals, where control characters would do more than show.
    """
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= MOST_NAME_CHARACTERS or not trimmed.isprintable():
        raise ValueError(f"name must be 1 to {MOST_NAME_CHARACTERS} printable characters")
    return trimmed


def new_key(
    owner: str, scopes: Collection[str], expires_days: int, name: str | None = None
) -> tuple[ListedKey, str]:
    """A key of a project as it will be kept, and the key itself; both for `insert_key`."""
    key_id, secret = _random_base62(12), _random_base62(40)
    now_us = _now_us()
    made = ListedKey(key_id, owner, frozenset(scopes), now_us + expires_days * DAY_US, name, now_us)
    return made, f"fh_{'test' if made.is_test else 'live'}_{key_id}_{secret}"


def insert_key(store: LandingStore, made: ListedKey, key: str) -> None:
    """Keep a new key, and its project when new, in the transaction that is open. Raises LandingError."""
    store.execute("INSERT INTO projects VALUES (?, ?) ON CONFLICT DO NOTHING", made.project_id, _now_us())
    store.execute(
        "INSERT INTO keys (key_id, project_id, secret_hash, scopes, created_us, expires_us, name)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        made.key_id,
        made.project_id,
        _hash(key.rpartition("_")[2]),
        ",".join(in_order(made.scopes)),
        made.created_us,
        made.expires_us,
        made.name,
    )


def in_order(scopes: Collection[str]) -> list[Scope]:
    """Scopes in the order of `SCOPES`."""
    return [scope for scope in SCOPES if scope in scopes]


def list_keys(store: LandingStore, project_id: str | None = None) -> list[ListedKey]:
    """Keys of a project (its test keys included), or of all; expired and revoked ones too.

    By project, the oldest first. Raises LandingError.
    """
    every = f"SELECT {_LISTED_COLUMNS} FROM keys"  # noqa: S608 (constants)
    if project_id is None:
        rows = store.query(every)
    else:
        rows = store.query(f"{every} WHERE project_id IN (?, ?)", project_id, project_id + TEST_SUFFIX)
    # Sorted here: databases do not agree on the order of letters.
    return sorted(map(_listed, rows), key=lambda key: (key.project_id, key.created_us, key.key_id))


def find_key(store: LandingStore, key_id: str) -> ListedKey:
    """A key by its id. Raises UnknownKeyError, LandingError."""
    rows = store.query(f"SELECT {_LISTED_COLUMNS} FROM keys WHERE key_id = ?", key_id)  # noqa: S608
    if not rows:
        raise UnknownKeyError("there is no key with this id; `funnelhouse keys list` shows them")
    return _listed(rows[0])


class UnknownKeyError(ValueError):
    """There is no such key."""


def rename_key(store: LandingStore, key_id: str, name: str) -> None:
    """Give a key another name. Raises ValueError when there is no such key or it is no name, LandingError."""
    with store.transaction():
        find_key(store, key_id)
        store.execute("UPDATE keys SET name = ? WHERE key_id = ?", checked_name(name), key_id)


def revoke_key(store: LandingStore, key_id: str) -> None:
    """End a key now; every process has forgotten it a second later.

    Raises ValueError when there is no such key, LandingError when it cannot be stored.
    """
    with store.transaction():
        _end_key(store, find_key(store, key_id), _now_us())


def rotate_key(store: LandingStore, key_id: str, overlap_days: int = 7, expires_days: int = 365) -> str:
    """Create a key like this one and return it; the old one goes on working for `overlap_days`.

    Raises ValueError when there is no such key or it has expired, LandingError when it cannot be stored.
    """
    with store.transaction():
        old = find_key(store, key_id)
        now_us = _now_us()
        if old.expires_us <= now_us:
            raise ValueError("this key has expired or was revoked: create a new one")
        _end_key(store, old, now_us + overlap_days * DAY_US)
        made, key = new_key(old.project_id, old.scopes, expires_days, old.name)
        insert_key(store, made, key)
    return key


def note_use(store: LandingStore, hours_us: Mapping[str, int]) -> None:
    """Keep by key id the beginning of an hour in which the key was used. Raises LandingError."""
    with store.transaction():
        # Everybody goes through them in one order: two transactions never wait for each other.
        for key_id, hour_us in sorted(hours_us.items()):
            store.execute(
                "UPDATE keys SET last_used_us = ? WHERE key_id = ? AND coalesce(last_used_us, 0) < ?",
                *(hour_us, key_id, hour_us),
            )


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


def _listed(row: Row) -> ListedKey:
    """A key from `_LISTED_COLUMNS`."""
    key_id, project_id, scopes, expires_us, *listed = row
    return ListedKey(key_id, project_id, frozenset(scopes.split(",")), expires_us, *listed)


def _now_us() -> int:
    return time.time_ns() // 1000


def _random_base62(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _hash(secret: str) -> bytes:
    # 40 random base62 characters are 238 bits: nothing that a slow hash would protect better.
    return hashlib.sha256(secret.encode()).digest()
