"""When a project's definitions changed: each new version of what figures of the past are made by.

Versions are never deleted, so this knows all of them, of whatever build. A version that says the same as the
one before it changed nothing, and is none.
"""

import re
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response

from funnelhouse.auth import ReadOrAdminCaller
from funnelhouse.problems import Refusal
from ingest_api.fields import time_to_us
from ingest_api.native import json_answer
from ingest_api.requests import stores
from ingest_api.window.landed import utc
from record.contract import DefinitionKind
from record.landing.store import LandingStore

CHANGES = "/v1/projects/{project_id}/definition-changes"

RETROACTIVE: tuple[DefinitionKind, ...] = (
    "goal",
    "funnel",
    "page",
    "traffic_source",
    "experiment",
    "settings",
    "channels",
    "exchange_rates",
)
"""Kinds whose newest version holds for all history. Links, destinations and the tracker act from now on."""

MOST_READ = 100
"""Versions of a page: each is read with the one before it, and both may be large."""

WRONG_AFTER = "after: must be `next` of the page before"

Change = Literal["defined", "redefined", "deleted"]

router = APIRouter()

_PLACE = re.compile(r"([0-9]{1,18})_([0-9]{1,18})")
_LAST_US = 2**62


@router.get(CHANGES)
async def list_changes(
    request: Request,
    caller: ReadOrAdminCaller,
    since: Annotated[str, Query(description="Only changes from this time on, RFC 3339.")] = "",
    until: Annotated[str, Query(description="Only changes before this time.")] = "",
    after: Annotated[str, Query(description="`next` of the page before.")] = "",
) -> Response:
    """When definitions changed that hold for all history, the newest change first.

    Figures follow with the next build. A page reads 100 versions, of which some may have changed nothing;
    `next` leads on.
    """
    begin, end = _asked_us("since", since, 0), _asked_us("until", until, _LAST_US)
    place = _PLACE.fullmatch(after) if after else None
    if after and place is None:
        raise Refusal(400, WRONG_AFTER)
    before = (int(place[1]), int(place[2])) if place else (_LAST_US, _LAST_US)

    def page(store: LandingStore) -> Response:
        rows = _versions(store, caller.project_id, begin, end, before)
        shown = rows[:MOST_READ]
        following = f"{shown[-1][0]}_{shown[-1][1]}" if len(rows) > MOST_READ else None
        changes = [said for row in shown if (said := _said(*row[2:], received_us=row[0])) is not None]
        return json_answer({"changes": changes, "next": following})

    return await stores(request).reader.ask(caller.project_id, page)


def _versions(
    store: LandingStore, project_id: str, begin: int, end: int, before: tuple[int, int]
) -> list[tuple[Any, ...]]:
    """Versions, newest first: received_us, id, kind, key, body and the body before. Raises LandingError."""
    marks = ", ".join("?" * len(RETROACTIVE))
    columns = store.row_order.split(", ")
    of_version, of_earlier = (
        ", ".join(f"{table}.{column}" for column in columns) for table in ("version", "earlier")
    )
    newest_first = ", ".join(f"earlier.{column} DESC" for column in columns)
    return store.query(
        f"""
        SELECT version.received_us, version.id, version.kind, version.key, version.body, (
            SELECT earlier.body FROM definitions AS earlier
            WHERE earlier.project_id = version.project_id AND earlier.kind = version.kind
                AND earlier.key = version.key AND ({of_earlier}) < ({of_version})
            ORDER BY {newest_first} LIMIT 1
        )
        FROM definitions AS version
        WHERE version.project_id = ? AND version.kind IN ({marks})
            AND version.received_us >= ? AND version.received_us < ?
            AND (version.received_us, version.id) < (?, ?)
            -- Of exchange rates that take several parts, the first speaks for all.
            AND NOT (version.kind = 'exchange_rates' AND version.key LIKE '%.%')
        ORDER BY version.received_us DESC, version.id DESC LIMIT ?
        """,  # noqa: S608
        *(project_id, *RETROACTIVE, begin, end, *before, MOST_READ + 1),
    )


def _said(
    kind: str, key: str, text: str | None, earlier: str | None, *, received_us: int
) -> dict[str, Any] | None:
    """A change as the API shows it; None where a version says the same as the one before."""
    if text == earlier:
        return None
    change: Change = "deleted" if text is None else "defined" if earlier is None else "redefined"
    body = orjson.loads(text or earlier or "{}")
    return {
        "kind": kind,
        "id": key,
        "name": body.get("name"),
        "change": change,
        "changed_at": utc(received_us),
    }


def _asked_us(name: str, text: str, default: int) -> int:
    """A time as Unix microseconds. Raises Refusal 400."""
    try:
        return time_to_us(text) if text else default
    except ValueError as error:
        raise Refusal(400, f"{name}: {error}") from None
