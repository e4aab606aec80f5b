"""Versions of definitions in the landing store: only ever added, also by a deletion.

Older ones are counted in an index, and never read: a project may have as many as it likes.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from ingest_api.definitions.kind import Named
from ingest_api.requests import now_us, stores
from record.contract import Definition, DefinitionKind, row_values
from record.landing.store import LandingStore

_definition_row = row_values(Definition)

_AT_ONCE = 200
"""Bodies that are read by one statement."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version: `number` counts from 1, deletions included; `body` is as stored, None for a deletion."""

    number: int
    received_us: int
    body: dict[str, Any] | None


async def append(
    request: Request,
    project_id: str,
    kind: DefinitionKind,
    key: str,
    body: dict[str, Any] | None,
    others: Mapping[Named, dict[str, Any] | None] | None = None,
) -> Version:
    """Add a version and return it when it is on stable storage; without a body it deletes.

    `others` get a version in the same transaction. Raises Refusal 503, as `newest` does.
    """
    received_us = now_us()
    written = [
        Definition(
            project_id=project_id,
            kind=each_kind,
            key=each_key,
            received_us=received_us,
            body=None if each is None else orjson.dumps(each).decode(),
        )
        for (each_kind, each_key), each in {(kind, key): body, **(others or {})}.items()
    ]
    row_id = await stores(request).commits.submit(
        "definitions",
        [_definition_row(each) for each in written],
        sum(len(each.body or "") for each in written),
    )

    def number(store: LandingStore) -> int:
        ((found,),) = store.query(
            f"SELECT number FROM (SELECT id, row_number() OVER (ORDER BY {store.row_order}) AS number"  # noqa: S608
            " FROM definitions WHERE project_id = ? AND kind = ? AND key = ?) AS numbered WHERE id = ?",
            *(project_id, kind, key, row_id),
        )
        return int(found)

    return Version(await stores(request).reader.ask(project_id, number), received_us, body)


async def newest(request: Request, project_id: str, kind: DefinitionKind, key: str) -> Version | None:
    """The newest version, which may be a deletion; None when nothing was ever defined. Raises Refusal 503."""

    def read(store: LandingStore) -> Version | None:
        newest_first = ", ".join(f"{column} DESC" for column in store.row_order.split(", "))
        values = (project_id, kind, key)
        rows = store.query(
            "SELECT (SELECT count(*) FROM definitions WHERE project_id = ? AND kind = ? AND key = ?),"  # noqa: S608
            " received_us, body FROM definitions WHERE project_id = ? AND kind = ? AND key = ?"
            f" ORDER BY {newest_first} LIMIT 1",
            *(*values, *values),
        )
        if not rows:
            return None
        ((number, received_us, text),) = rows
        return Version(number, received_us, None if text is None else orjson.loads(text))

    return await stores(request).reader.ask(project_id, read)


def page_of(
    store: LandingStore, project_id: str, kind: DefinitionKind, after: str, most_bytes: int
) -> tuple[dict[str, Version], str | None]:
    """The newest versions that are no deletions, by key, of the keys behind `after`.

    The page ends with the one that makes `most_bytes` full; then the last key is returned too, for the next.
    Raises LandingError.
    """
    found = store.query(
        f"""
        WITH numbered AS (
            SELECT
                key, {store.row_order},
                row_number() OVER (PARTITION BY key ORDER BY {store.row_order}) AS number,
                lead(id) OVER (PARTITION BY key ORDER BY {store.row_order}) AS next_id
            FROM definitions WHERE project_id = ? AND kind = ?
        )
        SELECT definitions.key, number, id, octet_length(body)
        FROM numbered JOIN definitions USING ({store.row_order})
        WHERE next_id IS NULL AND body IS NOT NULL
        """,  # noqa: S608
        *(project_id, kind),
    )
    # Sorted here: databases do not agree on the order of letters.
    behind = sorted(row for row in found if row[0] > after)
    # What is there before each, so that at least one is shown.
    sizes = itertools.accumulate((row[3] for row in behind), initial=0)
    chosen = [row for row, before in zip(behind, sizes, strict=False) if before < most_bytes]
    versions: dict[str, Version] = {}
    for start in range(0, len(chosen), _AT_ONCE):
        chunk = chosen[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(chunk))
        rows = store.query(
            "SELECT id, received_us, body FROM definitions"  # noqa: S608
            f" WHERE project_id = ? AND kind = ? AND key IN ({marks}) AND id IN ({marks})",
            *(project_id, kind, *(row[0] for row in chunk), *(row[2] for row in chunk)),
        )
        bodies = {row_id: (received_us, text) for row_id, received_us, text in rows}
        for key, number, row_id, _ in chunk:
            received_us, text = bodies[row_id]
            versions[key] = Version(number, received_us, orjson.loads(text))
    return versions, chosen[-1][0] if len(chosen) < len(behind) else None
