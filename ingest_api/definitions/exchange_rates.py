"""Exchange rates of a project: added by the file or the list, shown by what was added, and withdrawn as that.

What one request adds is a definition of its own, in as many parts as its length takes, under the keys `id`,
`id.2`, `id.3`, …: nothing is read to be written anew, so two that add at once lose nothing. Stored: `rates`
(texts `2026-05-02 EUR USD 1.0843`), and in the first part also `name`, `parts`, `count`, `pairs`,
`first_date` and `last_date`.
"""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from funnelhouse.auth import AdminCaller, ReadOrAdminCaller
from funnelhouse.problems import Refusal
from ingest_api.arrival import Rejection
from ingest_api.costs import checked_day
from ingest_api.definitions.rate_files import (
    UNZIPPED_BYTES,
    Chosen,
    ExchangeRates,
    Rates,
    checked_currency,
    read_rates,
)
from ingest_api.holding import Parsers, hold
from ingest_api.idempotency import PARAMETER, once
from ingest_api.lengths import DEFINITION_BYTES
from ingest_api.native import described_body, json_answer
from ingest_api.requests import (
    DRY_RUN,
    arrival_of,
    is_dry_run,
    keep_rejected,
    land,
    now_us,
    read_known,
    stores,
)
from ingest_api.strict_json import BadInput
from ingest_api.window.landed import utc
from record.contract import Definition, DefinitionKind, row_values
from record.landing.store import LandingStore

KIND: DefinitionKind = "exchange_rates"
PATH = "/v1/projects/{project_id}/exchange-rates"
ONE = f"{PATH}/{{exchange_rates_id}}"

MOST_LISTED = 100
_NAMED_PAIRS = 3
_ROOM = DEFINITION_BYTES // 2
"""Of a part's rates: the rest is for the pairs, of which there may be a thousand."""

WRONG_AFTER = "after: must be `next` of the page before"
UNKNOWN = f"Unknown exchange rates; GET {PATH} lists what was added."

EXAMPLE = {
    "rates": [
        {"from": "EUR", "to": "USD", "date": "2026-05-01", "rate": "1.0839"},
        {"from": "EUR", "to": "USD", "date": "2026-05-02", "rate": "1.0843"},
    ]
}
"""A body of POST."""

# Ids sort by when they were given. The first had no microseconds.
_ID = re.compile(r"[0-9]{8}T[0-9]{6}([0-9]{6})?Z-[0-9a-f]{8}")
_definition_row = row_values(Definition)

router = APIRouter()


@router.post(
    PATH,
    openapi_extra={**described_body(ExchangeRates.model_json_schema(), EXAMPLE), "parameters": [PARAMETER]},
)
async def add(
    request: Request,
    caller: AdminCaller,
    currencies: Annotated[
        str, Query(description="Only rates between these and the euro, e.g. `USD,JPY`; without it all.")
    ] = "",
    since: Annotated[str, Query(description="Only rates from this day on, e.g. `2026-01-01`.")] = "",
) -> Response:
    """Add exchange rates, all or nothing; figures follow with the next build.

    A rate holds from its day until the next of its pair. Of a pair and day that was said before, either way
    round, the later statement holds. Bodies are our JSON; CSV with the columns date, from, to and rate; or a
    file of the European Central Bank (eurofxref) as it comes, CSV, XML or zip, in units per euro.
    """
    is_trial = is_dry_run(request)
    chosen = _chosen(currencies, since)
    body = await read_known(request, caller.project_id, request.scope["path"])
    repeatable = once(request, caller.project_id, body)
    if body.startswith(b"PK"):
        hold(request, UNZIPPED_BYTES)
    parsers: Parsers = request.app.state.parsers
    try:
        # Never on the event loop: a small zip may hold a large file.
        rates = await parsers.run(request, lambda body: read_rates(body, chosen), body)
    except BadInput as error:
        refusal = Refusal(error.status, str(error))
        if not is_trial:
            rejections = [Rejection(refusal.detail, body)]
            await keep_rejected(
                request, arrival_of(request, caller.project_id), rejections, request.scope["path"]
            )
        raise refusal from None
    received_us = now_us()
    stamp = datetime.fromtimestamp(received_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S%fZ")
    key = f"{stamp}-{secrets.token_hex(4)}"
    bodies = [orjson.dumps(each).decode() for each in _parts(rates)]
    rows = [
        _definition_row(
            Definition(
                project_id=caller.project_id,
                kind=KIND,
                key=_part_key(key, number),
                received_us=received_us,
                body=text,
            )
        )
        for number, text in enumerate(bodies, 1)
    ]
    answer = json_answer(
        {
            "exchange_rates_id": None if is_trial else key,
            "accepted": len(rates.texts),
            "pairs": len(rates.pairs),
            "left_out": rates.left_out,
        }
    )
    return await land(request, "definitions", rows, sum(map(len, bodies)), answer, repeatable, is_trial)


@router.get(PATH)
async def list_all(
    request: Request,
    caller: ReadOrAdminCaller,
    after: Annotated[str, Query(description="`next` of the page before.")] = "",
) -> Response:
    """What was added and not withdrawn, the latest first, in pages of 100."""
    if after and not _ID.fullmatch(after):
        raise Refusal(400, WRONG_AFTER)

    def page(store: LandingStore) -> Response:
        rows = _added(store, caller.project_id, "<", after or "z", MOST_LISTED + 1)
        shown = [_shown(*row) for row in rows[:MOST_LISTED]]
        following = shown[-1]["exchange_rates_id"] if len(rows) > MOST_LISTED else None
        return json_answer({"exchange_rates": shown, "next": following})

    return await stores(request).reader.ask(caller.project_id, page)


@router.delete(ONE, status_code=204)
async def withdraw(request: Request, caller: AdminCaller, exchange_rates_id: str) -> Response:
    """Withdraw what one request added; statements before it hold again. Its versions stay in the record."""
    is_trial = is_dry_run(request)
    project_id = caller.project_id
    found = []
    if _ID.fullmatch(exchange_rates_id):
        found = await stores(request).reader.ask(
            project_id, lambda store: _added(store, project_id, "=", exchange_rates_id, 1)
        )
    if not found:
        raise Refusal(404, UNKNOWN)
    if is_trial:
        return Response(status_code=204, headers={DRY_RUN: "1"})
    received_us = now_us()
    rows = [
        _definition_row(
            Definition(
                project_id=project_id,
                kind=KIND,
                key=_part_key(exchange_rates_id, number),
                received_us=received_us,
                body=None,
            )
        )
        for number in range(1, orjson.loads(found[0][2])["parts"] + 1)
    ]
    await stores(request).commits.submit("definitions", rows, 0)
    return Response(status_code=204)


def _chosen(currencies: str, since: str) -> Chosen:
    """What the query asks for. Raises Refusal 400."""
    try:
        codes = frozenset(checked_currency(code.strip()) for code in currencies.split(",") if code.strip())
    except ValueError as error:
        raise Refusal(400, f"currencies: each {error}") from None
    try:
        return Chosen(codes, checked_day(since) if since else "")
    except ValueError as error:
        raise Refusal(400, f"since: {error}") from None


def _parts(rates: Rates) -> Iterator[dict[str, Any]]:
    """Bodies of definitions, none over its limit."""
    texts, chunks, size = rates.texts, [list[str]()], 0
    for text in texts:
        size += len(text) + 3
        if size > _ROOM:
            chunks.append([])
            size = len(text) + 3
        chunks[-1].append(text)
    pairs = [f"{base}/{quote}" for base, quote in rates.pairs]
    rest = len(pairs) - _NAMED_PAIRS
    named = ", ".join(pairs[:_NAMED_PAIRS]) + (f" and {rest} more" if rest > 0 else "")
    yield {
        "name": named,
        "parts": len(chunks),
        "count": len(texts),
        "pairs": pairs,
        "first_date": min(texts)[:10],
        "last_date": max(texts)[:10],
        "rates": chunks[0],
    }
    for chunk in chunks[1:]:
        yield {"rates": chunk}


def _part_key(key: str, number: int) -> str:
    return key if number == 1 else f"{key}.{number}"


def _added(
    store: LandingStore, project_id: str, comparison: str, key: str, most: int
) -> list[tuple[str, int, str]]:
    """Key, time and body of what was added and not withdrawn, the latest first. Raises LandingError."""
    return store.query(
        f"""
        WITH numbered AS (
            SELECT key, id, body IS NULL AS is_withdrawn,
                lead(id) OVER (PARTITION BY key ORDER BY {store.row_order}) AS next_id
            FROM definitions
            WHERE project_id = ? AND kind = ? AND key {comparison} ? AND key NOT LIKE '%.%'
        ),
        newest AS (
            SELECT id FROM numbered WHERE next_id IS NULL AND NOT is_withdrawn ORDER BY key DESC LIMIT ?
        )
        SELECT key, received_us, body FROM definitions
        WHERE id IN (SELECT id FROM newest) ORDER BY key DESC
        """,  # noqa: S608
        *(project_id, KIND, key, most),
    )


def _shown(key: str, received_us: int, text: str) -> dict[str, Any]:
    body = orjson.loads(text)
    return {
        "exchange_rates_id": key,
        "added_at": utc(received_us),
        "count": body["count"],
        "pairs": body["pairs"],
        "first_date": body["first_date"],
        "last_date": body["last_date"],
    }
