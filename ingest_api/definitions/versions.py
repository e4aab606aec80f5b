"""Versions of definitions in the landing store: only ever added, also by a deletion."""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from funnelhouse.contract import Definition, DefinitionKind, row_values
from funnelhouse.landing.store import LandingError, Row
from funnelhouse.problems import Refusal
from ingest_api.requests import now_us, stores

_definition_row = row_values(Definition)


@dataclass(frozen=True, slots=True)
class Version:
    """One version: `number` counts from 1, deletions included; `body` is as stored, None for a deletion."""

    number: int
    received_us: int
    body: dict[str, Any] | None


async def append(
    request: Request, project_id: str, kind: DefinitionKind, key: str, body: dict[str, Any] | None
) -> Version:
    """Add a version and return it when it is on stable storage; without a body it deletes."""
    text = None if body is None else orjson.dumps(body).decode()
    definition = Definition(project_id=project_id, kind=kind, key=key, received_us=now_us(), body=text)
    row_id = await stores(request).commits.submit(
        "definitions", [_definition_row(definition)], len(text or "")
    )
    ids = [row[0] for row in _rows(request, "id", project_id, kind, key)]
    return Version(ids.index(row_id) + 1, definition.received_us, body)


def newest(request: Request, project_id: str, kind: DefinitionKind, key: str) -> Version | None:
    """The newest version, which may be a deletion; None when nothing was ever defined."""
    rows = _rows(request, "received_us, body", project_id, kind, key)
    return _version(rows) if rows else None


def newest_by_key(request: Request, project_id: str, kind: DefinitionKind) -> dict[str, Version]:
    """The newest version of each key of a kind that is not deleted, by key."""
    rows: dict[str, list[Row]] = {}
    for key, *version in _rows(request, "key, received_us, body", project_id, kind):
        rows.setdefault(key, []).append(tuple(version))
    found = {key: _version(rows[key]) for key in sorted(rows)}
    return {key: version for key, version in found.items() if version.body is not None}


def _version(rows: list[Row]) -> Version:
    received_us, text = rows[-1]
    return Version(len(rows), received_us, None if text is None else orjson.loads(text))


def _rows(
    request: Request, names: str, project_id: str, kind: DefinitionKind, key: str | None = None
) -> list[Row]:
    """Columns of the versions of a kind, or of one key of it, oldest first. Raises Refusal 503."""
    landing = stores(request).landing
    wanted, values = "project_id = ? AND kind = ?", [project_id, kind]
    if key is not None:
        wanted, values = f"{wanted} AND key = ?", [*values, key]
    try:
        return landing.query(
            f"SELECT {names} FROM definitions WHERE {wanted} ORDER BY {landing.row_order}",  # noqa: S608
            *values,
        )
    except LandingError as error:
        raise Refusal(
            503, "Definitions cannot be read just now; try again.", headers={"Retry-After": "1"}
        ) from error
