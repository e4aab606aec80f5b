"""How far a project without figures has come: a key, the tracker, its first event, its first build."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from funnelhouse.keys import PAGE, TEST_SUFFIX
from read_api.dashboard.access import Viewer
from read_api.dashboard.addresses import Addresses, addresses
from read_api.dashboard.defined import ingest_of
from read_api.dashboard.ingest import UnreachableError

MOST_KEY_PAGES = 5

_SENDING = {PAGE, "ingest"}


@dataclass(frozen=True)
class Steps:
    """What is done. `has_key` is None where the session may not know; `rejected` is why nothing arrived."""

    addresses: Addresses
    has_key: bool | None
    has_event: bool
    rejected: str
    problem: str
    """Why the ingest API could not be asked."""

    @property
    def seen(self) -> str:
        """What a page shows of it, so that one that shows the same is left alone."""
        marks = (self.has_key, self.addresses.is_tracker_on, self.has_event, self.rejected, self.problem)
        return "".join("1" if mark else "0" for mark in marks)


def first_steps(request: Request, viewer: Viewer) -> Steps:
    """Those of a project that has no figures."""
    known = addresses(request, viewer.project_id)
    has_event, rejected, problem = False, "", ""
    has_key: bool | None = None
    try:
        has_key = _has_key(request, viewer)
        has_event = bool(_newest(request, viewer, "events"))
        if not has_event:
            rejected = next((each["reason"] for each in _newest(request, viewer, "rejected")), "")
    except UnreachableError as refused:
        problem = refused.detail
    return Steps(known, has_key, has_event, rejected, problem)


def _newest(request: Request, viewer: Viewer, what: str) -> list[dict[str, Any]]:
    answer = ingest_of(request).get(viewer.read, viewer.project_id, what, "recent", limit=1) or {}
    found: list[dict[str, Any]] = answer.get(what, [])
    return found


def _has_key(request: Request, viewer: Viewer) -> bool | None:
    """Whether a key can send to the project; only who may edit knows its keys."""
    if viewer.admin is None:
        return None
    now, is_test = datetime.now(UTC), viewer.project_id.endswith(TEST_SUFFIX)
    return any(
        _SENDING & set(key["scopes"])
        and key["is_test"] == is_test
        and datetime.fromisoformat(key["expires_at"]) > now
        for key in all_keys(request, viewer)
    )


def all_keys(request: Request, viewer: Viewer) -> list[dict[str, Any]]:
    """Keys and test keys, the oldest first, as the ingest API shows them to who may edit.

    Raises UnreachableError.
    """
    found: list[dict[str, Any]] = []
    after: str | None = ""
    for _ in range(MOST_KEY_PAGES):
        answer = (
            ingest_of(request).get(viewer.admin or "", viewer.project_id, "keys", after=after or "") or {}
        )
        found += answer.get("keys", [])
        after = answer.get("next")
        if after is None:
            break
    return found
