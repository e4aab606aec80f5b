"""Who may send to a project besides its keys' holders, from which web pages, and how much.

Postbacks, which networks send without a key, are `open` (whoever knows a hit or visitor id may report), ask
for a `secret` in the path, or are `off`, which all are at first. The secret is kept as a hash only.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from funnelhouse.keys import TEST_SUFFIX
from funnelhouse.settings import RATE_LIMIT
from record.landing import Location, open_existing
from record.landing.store import LandingError, LandingStore, Row

Mode = Literal["open", "secret", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)

CACHE_SECONDS = 1.0

OFF = "off"
"""Takes a host, the origins or the rate limit away."""

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://((?:[a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class ProjectAccess:
    """What holds for one project; as it stands, for one of which nothing was said."""

    postbacks: Mode = "off"
    secret_hash: str | None = None
    host: str | None = None
    """Host name at which `/pb/` means this project."""
    origins: tuple[str, ...] = ()
    """Origins of web pages that may read our answers (CORS), as browsers write them."""
    rate_limit: str | None = None
    """Requests per time, e.g. `1000/minute`; of page keys the setting `page_rate_limit` says how many."""

    def address(self, base_url: str) -> str:
        """Where browsers and networks find ingest: at the project's own host, else at `base_url`."""
        return f"https://{self.host}" if self.host else base_url

    def shown(self) -> dict[str, str]:
        """By option of `funnelhouse projects set`, as it takes them; never the secret."""
        return {
            "postbacks": self.postbacks,
            "host": self.host or OFF,
            "origins": ",".join(self.origins) or OFF,
            "rate-limit": self.rate_limit or OFF,
        }


_COLUMNS = ", ".join(field.name for field in fields(ProjectAccess))


def set_access(
    store: LandingStore,
    project_id: str,
    *,
    postbacks: Mode | None = None,
    host: str | None = None,
    origins: Sequence[str] | None = None,
    rate_limit: str | None = None,
) -> str | None:
    """Change what is given, leave the rest; returns the path of postbacks when they were switched on.

    `off` takes a host, the origins or the rate limit away. Each `secret` makes a new one, which the path
    holds and nothing else: the one before ends. Raises ValueError for what is malformed, a host that another
    project has and a project that does not exist, LandingError when it cannot be stored.
    """
    secret = secrets.token_urlsafe(24) if postbacks == "secret" else None
    changes: dict[str, object] = {}
    if postbacks is not None:
        changes |= {"postbacks": postbacks, "secret_hash": secret and _hash(secret)}
    if host is not None:
        changes["host"] = None if host == OFF else _checked_host(host)
    if origins is not None:
        changes["origins"] = () if list(origins) == [OFF] else tuple(map(_checked_origin, origins))
    if rate_limit is not None:
        changes["rate_limit"] = None if rate_limit == OFF else _checked_rate_limit(rate_limit)
    with store.transaction():
        known = read_access(store)
        if project_id not in known:
            raise ValueError("unknown project; `funnelhouse keys create` makes it")
        changed = replace(known[project_id], **changes)  # type: ignore[arg-type]
        for other, access in known.items():
            if changed.host is not None and access.host == changed.host and other != project_id:
                raise ValueError(f"host: {other} has it; `funnelhouse projects set {other} --host off` first")
        store.execute("DELETE FROM project_access WHERE project_id = ?", project_id)
        store.execute(
            f"INSERT INTO project_access (project_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            *(project_id, changed.postbacks, changed.secret_hash, changed.host),
            *(" ".join(changed.origins), changed.rate_limit),
        )
    if postbacks in (None, "off"):
        return None
    return f"/pb/{project_id}/{secret}/" if secret else f"/pb/{project_id}/"


def read_access(store: LandingStore) -> dict[str, ProjectAccess]:
    """What holds for each project, by id. Raises LandingError."""
    rows = store.query(
        f"SELECT project_id, {_COLUMNS} FROM projects"  # noqa: S608 (constants)
        " LEFT JOIN project_access USING (project_id) ORDER BY project_id"
    )
    return {row[0]: _access(row[1:]) for row in rows}


def _access(row: Row) -> ProjectAccess:
    postbacks, secret_hash, host, origins, rate_limit = row
    return ProjectAccess(postbacks or "off", secret_hash, host, tuple((origins or "").split()), rate_limit)


def host_name(written: str) -> str:
    """A Host header's value without port, as host names are compared."""
    name, colon, port = written.rpartition(":")
    return (name if colon and port.isdecimal() else written).lower().removesuffix(".")


def _checked_host(written: str) -> str:
    host = written.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise ValueError(
            "host: must be a bare host name such as pb.shop.example, without scheme, port or path"
        )
    return host


def _checked_origin(written: str) -> str:
    """An origin in the form that browsers send: in lower case, without the scheme's own port."""
    match = _ORIGIN.fullmatch(written.strip().lower())
    if match is None:
        raise ValueError(
            "origins: each must be scheme://host[:port] such as https://shop.example, without path or slash "
            "at the end; no wildcards"
        )
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _checked_rate_limit(written: str) -> str:
    if not re.fullmatch(RATE_LIMIT, written):
        raise ValueError(
            "rate-limit: must be N/second, N/minute, N/hour or N/day such as 1000/minute, or off"
        )
    return written


class AccessRules:
    """What holds for the projects of a landing store; a change takes effect within a second."""

    def __init__(self, store: LandingStore) -> None:
        self._store = store
        self._rules: Mapping[str, ProjectAccess] = {}
        self._origins: frozenset[str] = frozenset()
        self._by_host: Mapping[str, str] = {}
        self._the_open_one: str | None = None
        self._until = 0.0

    def rate_limit(self, project_id: str) -> str | None:
        """Requests per time that a project may send; what was set for it holds for its test keys too.

        Raises LandingError.
        """
        own, live = _own_and_live(self._read(), project_id)
        return own.rate_limit or live.rate_limit

    def postback_project(self, project_id: str | None, secret: str | None, host: str) -> str | None:
        """The project that a postback's path means, or None when it takes no postbacks there.

        Without a project in the path it is the one that has the host, else the one that is open, if there is
        exactly one. An open project takes any secret, so that addresses with one go on working. Raises
        LandingError.
        """
        rules = self._read()
        if project_id is None:
            project_id = self._meant(host)
            if project_id is None:
                return None
        access = rules.get(project_id, _NOTHING_SAID)
        if access.postbacks == "secret" and secret is not None and access.secret_hash is not None:
            return project_id if hmac.compare_digest(access.secret_hash, _hash(secret)) else None
        return project_id if access.postbacks == "open" else None

    def project_at(self, host: str) -> str | None:
        """The project that a path without one means; while the store cannot be read, as known last."""
        self._read_if_possible()
        return self._meant(host)

    def knows(self, project_id: str) -> bool:
        """Whether there is such a project; while the store cannot be read, by what was known last."""
        return project_id in self._read_if_possible()

    def allows_origin(self, origin: str, project_id: str | None) -> bool:
        """Whether pages of `origin` may read answers of a project; of any project where None.

        What a project allows holds for its test keys too. While the store cannot be read, what was known
        last holds, so that a page can read the error.
        """
        rules = self._read_if_possible()
        if project_id is None:
            return origin in self._origins
        return any(origin in access.origins for access in _own_and_live(rules, project_id))

    def origins(self, project_id: str) -> frozenset[str]:
        """Origins of a project's web pages; those of its live keys hold for its test keys too.

        While the store cannot be read, what was known last holds. Raises LandingError when nothing was.
        """
        rules = self._read_if_possible()
        return frozenset(origin for access in _own_and_live(rules, project_id) for origin in access.origins)

    def of(self, project_id: str) -> ProjectAccess:
        """What holds for a project. Test keys share what was set for their live project, but its postbacks.

        Raises LandingError.
        """
        own, live = _own_and_live(self._read(), project_id)
        origins = tuple(dict.fromkeys((*own.origins, *live.origins)))
        return replace(own, origins=origins, rate_limit=own.rate_limit or live.rate_limit)

    def _meant(self, host: str) -> str | None:
        return self._by_host.get(host_name(host), self._the_open_one)

    def _read_if_possible(self) -> Mapping[str, ProjectAccess]:
        """What holds, else what was known last. Raises LandingError when nothing was."""
        try:
            return self._read()
        except LandingError:
            if not self._until:
                raise
            return self._rules

    def _read(self) -> Mapping[str, ProjectAccess]:
        now = time.monotonic()
        if now >= self._until:
            self._rules = rules = read_access(self._store)
            # Kept by what is asked for: there may be thousands of projects, and requests.
            self._origins = frozenset(origin for access in rules.values() for origin in access.origins)
            self._by_host = {access.host: project for project, access in rules.items() if access.host}
            are_open = [project for project, access in rules.items() if access.postbacks == "open"]
            self._the_open_one = are_open[0] if len(are_open) == 1 else None
            self._until = now + CACHE_SECONDS
        return self._rules


_NOTHING_SAID = ProjectAccess()


class SharedAccessRules:
    """As `AccessRules`, of a landing store that may not be there yet; safe to share between threads."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._lock = threading.Lock()
        self._rules: AccessRules | None = None

    def of(self, project_id: str) -> ProjectAccess:
        """What holds for a project. Raises LandingError."""
        with self._lock:
            if self._rules is None:
                store = open_existing(self._location)
                if store is None:
                    return _NOTHING_SAID
                self._rules = AccessRules(store)
            return self._rules.of(project_id)


def _own_and_live(rules: Mapping[str, ProjectAccess], project_id: str) -> tuple[ProjectAccess, ProjectAccess]:
    """What was set for a project, and for the one whose test keys it belongs to (else itself again)."""
    live = project_id.removesuffix(TEST_SUFFIX)
    return rules.get(project_id, _NOTHING_SAID), rules.get(live, _NOTHING_SAID)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
