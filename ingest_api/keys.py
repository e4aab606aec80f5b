"""API keys over HTTP, for admins of their project.

A key gives at most what it has: a new key's scopes are the caller's own or fewer, and a test key makes, shows
and ends test keys only. A page key can do less than one of scope ingest, so that scope is enough to make one.
"""

import re
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, Field

from funnelhouse.auth import AdminCaller
from funnelhouse.keys import (
    MOST_DAYS,
    MOST_NAME_CHARACTERS,
    PAGE,
    TEST_SUFFIX,
    Key,
    ListedKey,
    Scope,
    UnknownKeyError,
    checked_name,
    checked_scopes,
    find_key,
    in_order,
    insert_key,
    list_keys,
    new_key,
    rename_key,
    revoke_key,
)
from funnelhouse.problems import Refusal
from ingest_api.idempotency import PARAMETER, once
from ingest_api.native import OwnShape, Whole, described_body, json_answer, read_as, read_shape, shaped
from ingest_api.requests import DRY_RUN, answered_once, is_dry_run, read_known, stores
from ingest_api.window.landed import utc
from record.landing.answers import keep_answers
from record.landing.store import Answer, LandingStore

MOST_LISTED = 1000

BEYOND = "scopes: a key gives only scopes that it has itself, and page where it has ingest."
UNKNOWN_KEY = "Unknown key; GET /v1/projects/{project_id}/keys lists those that exist."
WRONG_AFTER = "after: must be `next` of the page before"

router = APIRouter()

_KEYS = "/v1/projects/{project_id}/keys"
_KEY = f"{_KEYS}/{{key_id}}"
_KEY_ID = re.compile(r"[0-9A-Za-z]{12}")

_Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME_CHARACTERS), AfterValidator(checked_name)]


class NewKey(OwnShape):
    """A key to be made."""

    name: _Name | None = None
    scopes: Annotated[list[Scope], Field(min_length=1)]
    expires_days: Annotated[int, Field(ge=1, le=MOST_DAYS), Whole] = 365
    is_test: bool = False


class KeyName(OwnShape):
    """What can be changed of a key."""

    name: _Name


EXAMPLE = {"name": "Shop backend", "scopes": ["ingest"], "expires_days": 90}
"""A body of POST."""

NAME_EXAMPLE = {"name": "Shop backend, Berlin"}
"""A body of PUT."""


@router.get(_KEYS)
async def list_all(
    request: Request,
    caller: AdminCaller,
    after: Annotated[str, Query(description="`next` of the page before.")] = "",
) -> Response:
    """The project's keys and test keys, the oldest first, expired and revoked ones too; never a secret."""

    def page(store: LandingStore) -> Response:
        found = sorted(list_keys(store, caller.project_id), key=lambda key: (key.created_us, key.key_id))
        ids = [key.key_id for key in found]
        if after and after not in ids:
            raise Refusal(400, WRONG_AFTER)
        start = ids.index(after) + 1 if after else 0
        shown = found[start : start + MOST_LISTED]
        following = shown[-1].key_id if len(found) > start + MOST_LISTED else None
        return json_answer({"keys": [_shown(key) for key in shown], "next": following})

    return await stores(request).reader.ask(caller.project_id, page)


@router.post(
    _KEYS,
    status_code=201,
    openapi_extra={**described_body(NewKey.model_json_schema(), EXAMPLE), "parameters": [PARAMETER]},
)
async def create(request: Request, caller: AdminCaller) -> Response:
    """Make a key of the project. It is shown this once: only its hash is kept.

    A repeat under one Idempotency-Key makes no second key, and is not shown the first.
    """
    is_trial = is_dry_run(request)
    body = await read_known(request, caller.project_id, request.scope["path"])
    repeatable = once(request, caller.project_id, body)
    wanted = await shaped(request, caller.project_id, body, _wanted)
    if not set(wanted.scopes) <= _givable(caller):
        raise Refusal(403, BEYOND)
    owner = caller.project_id
    if wanted.is_test and not caller.is_test:
        owner += TEST_SUFFIX
    made, key = new_key(owner, wanted.scopes, wanted.expires_days, wanted.name)

    def keep(store: LandingStore) -> Answer | None:
        """Returns the answer of an earlier request under the Idempotency-Key."""
        if is_trial:
            return repeatable.earlier(store) if repeatable else None
        with store.transaction():
            # Without the key: what is kept would give it away.
            earlier = keep_answers(store, {0: repeatable.answer(_created(made, None))}) if repeatable else {}
            if not earlier:
                insert_key(store, made, key)
        return earlier.get(0)

    earlier = await stores(request).writer.ask(caller.project_id, keep)
    return answered_once(earlier or _created(made, None if is_trial else key), repeatable, is_trial)


@router.put(
    _KEY,
    openapi_extra=described_body(KeyName.model_json_schema(), NAME_EXAMPLE),
)
async def rename(request: Request, caller: AdminCaller, key_id: str) -> Response:
    """Give a key another name."""
    is_trial = is_dry_run(request)
    wanted = await read_shape(request, caller.project_id, partial(read_as, KeyName))

    def work(store: LandingStore) -> Response:
        key = _own(store, caller, key_id)
        if not is_trial:
            rename_key(store, key.key_id, wanted.name)
        return json_answer({**_shown(key), "name": wanted.name}, {DRY_RUN: "1"} if is_trial else None)

    return await stores(request).writer.ask(caller.project_id, work)


@router.delete(_KEY, status_code=204)
async def revoke(request: Request, caller: AdminCaller, key_id: str) -> Response:
    """End a key; within a second nothing takes it any more. It stays in the list."""
    is_trial = is_dry_run(request)

    def work(store: LandingStore) -> Response:
        key = _own(store, caller, key_id)
        if not is_trial:
            revoke_key(store, key.key_id)
        return Response(status_code=204, headers={DRY_RUN: "1"} if is_trial else None)

    return await stores(request).writer.ask(caller.project_id, work)


def _wanted(value: Any) -> NewKey:
    """The key that a body describes. Raises Refusal 400."""
    wanted = read_as(NewKey, value)
    try:
        checked_scopes(wanted.scopes)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return wanted


def _givable(caller: Key) -> set[str]:
    return {*caller.scopes, *([PAGE] if "ingest" in caller.scopes else [])}


def _own(store: LandingStore, caller: Key, key_id: str) -> ListedKey:
    """A key of the caller's project. Raises Refusal 404."""
    try:
        # Databases differ in what can be asked for; this cannot be one.
        key = find_key(store, key_id) if _KEY_ID.fullmatch(key_id) else None
    except UnknownKeyError:
        key = None
    if key is None or key.project_id not in (caller.project_id, caller.project_id + TEST_SUFFIX):
        raise Refusal(404, UNKNOWN_KEY)
    return key


def _shown(key: ListedKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": in_order(key.scopes),
        "is_test": key.is_test,
        "created_at": utc(key.created_us),
        "expires_at": utc(key.expires_us),
        "last_used_at": None if key.last_used_us is None else utc(key.last_used_us),
    }


def _created(made: ListedKey, key: str | None) -> Response:
    return Response(
        orjson.dumps({**_shown(made), "key": key}),
        201,
        {"Cache-Control": "no-store"},
        media_type="application/json",
    )
