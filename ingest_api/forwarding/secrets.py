"""Secrets of destinations over HTTP: they are written, and never shown again.

Nothing of a body is kept anywhere but in ciphertext: not where it was refused, and not under an
Idempotency-Key, whose hash could be tried out.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator, Field

from forwarding.deliveries import DestinationKind
from funnelhouse.auth import AdminCaller
from funnelhouse.problems import Refusal
from funnelhouse.settings import Settings
from ingest_api.body import read_body
from ingest_api.forwarding.destinations import DESTINATION, DestinationId, defined
from ingest_api.lengths import within
from ingest_api.native import OwnShape, described_body, json_answer, read_as, shaped
from ingest_api.requests import DRY_RUN, is_dry_run, now_us, stores
from ingest_api.window.landed import utc
from record.landing.store import LandingStore
from record.secrets import (
    MOST_BYTES,
    SIGNING_SECRET,
    SIGNING_SECRET_BYTES,
    SecretSet,
    delete_secret,
    list_secrets,
    new_signing_secret,
    set_secret,
)

SECRETS = f"{DESTINATION}/secrets"
SECRET = f"{SECRETS}/{{name}}"

NO_KEYS = (
    "The setting FUNNELHOUSE_SECRET_KEYS has no key to encrypt with. `funnelhouse secrets new-key` makes one:"
    " put it into the setting and start again."
)
NOT_SET = f"No such secret is set; GET {SECRETS} lists those that are."

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")

NAMES: Mapping[DestinationKind, tuple[str, ...]] = {
    "meta": ("access_token",),
    "google": ("client_id", "client_secret", "refresh_token", "service_account_json"),
    "webhook": (SIGNING_SECRET,),
}
"""Of the kinds whose secrets have names of ours; those of postbacks are called as templates call them."""

EXAMPLE = {"value": "correct horse battery staple"}
"""A body of PUT."""

router = APIRouter()


class SecretValue(OwnShape):
    """A secret: what it is, or for a signing secret that one is to be made."""

    value: Annotated[
        Annotated[str, AfterValidator(partial(within, most=MOST_BYTES))] | None,
        Field(description="The secret; white space around it is left out."),
    ] = None
    generate: Annotated[
        bool, Field(description="Whether a signing secret is made and shown this once; for webhooks only.")
    ] = False


@router.put(
    SECRET,
    openapi_extra=described_body(SecretValue.model_json_schema(), EXAMPLE),
)
async def put(
    request: Request, caller: AdminCaller, destination_id: DestinationId, name: Annotated[str, Path()]
) -> Response:
    """Set or replace it. It is encrypted, and never shown again.

    A webhook's signing secret is `whsec_` and 24 to 64 bytes in base64; with `generate` it is made here and
    shown this once. The one before is valid for 24 hours more.
    """
    is_trial = is_dry_run(request)
    body = await read_body(request)
    kind = (await defined(request, caller.project_id, destination_id))["kind"]
    check_name(kind, name)
    value, is_made = await shaped(
        request, caller.project_id, body, partial(read_value, kind, name), kept="nothing"
    )
    settings: Settings = request.app.state.settings
    if not settings.secret_keys:
        raise Refusal(409, NO_KEYS)
    place = (caller.project_id, destination_id, name)

    def work(store: LandingStore) -> SecretSet:
        return set_secret(store, settings.secret_keys, place, value, keeps_previous=name == SIGNING_SECRET)

    if is_trial:
        shown = SecretSet(name, now_us(), settings.secret_keys[0].key_id, None, None)
    else:
        shown = await stores(request).writer.ask(caller.project_id, work)
    return Response(
        orjson.dumps({**_shown(shown), "value": value if is_made and not is_trial else None}),
        headers={"Cache-Control": "no-store", **({DRY_RUN: "1"} if is_trial else {})},
        media_type="application/json",
    )


@router.get(SECRETS)
async def get_all(request: Request, caller: AdminCaller, destination_id: DestinationId) -> Response:
    """Which are set, and when; never what they are."""
    found = await _listed(request, caller.project_id, destination_id)
    return json_answer({"secrets": [_shown(each) for each in found]})


@router.get(SECRET)
async def get(
    request: Request, caller: AdminCaller, destination_id: DestinationId, name: Annotated[str, Path()]
) -> Response:
    """When it was set; never what it is."""
    for each in await _listed(request, caller.project_id, destination_id):
        if each.name == name:
            return json_answer(_shown(each))
    raise Refusal(404, NOT_SET)


@router.delete(SECRET, status_code=204)
async def delete(
    request: Request, caller: AdminCaller, destination_id: DestinationId, name: Annotated[str, Path()]
) -> Response:
    """Delete it, also of a destination that was deleted."""
    is_trial = is_dry_run(request)
    place = (caller.project_id, destination_id, name)

    def work(store: LandingStore) -> bool:
        if is_trial:
            found = list_secrets(store, (), caller.project_id, destination_id)
            return any(each.name == name for each in found)
        return delete_secret(store, place)

    # A name that cannot be one may be text that a database does not take.
    if not _NAME.fullmatch(name) or not await stores(request).writer.ask(caller.project_id, work):
        raise Refusal(404, NOT_SET)
    return Response(status_code=204, headers={DRY_RUN: "1"} if is_trial else None)


async def _listed(request: Request, project_id: str, destination_id: str) -> list[SecretSet]:
    settings: Settings = request.app.state.settings

    def read(store: LandingStore) -> list[SecretSet]:
        return list_secrets(store, settings.secret_keys, project_id, destination_id)

    return await stores(request).reader.ask(project_id, read)


def check_name(kind: DestinationKind, name: str) -> None:
    """Raises Refusal 400 for what no secret of such a destination is called."""
    if kind in NAMES and name not in NAMES[kind]:
        raise Refusal(400, f"name: a destination of kind {kind} has {', '.join(NAMES[kind])}.")
    if not _NAME.fullmatch(name):
        raise Refusal(400, "name: 1 to 64 letters, digits and _, as in {secret:NAME}.")


def read_value(kind: DestinationKind, name: str, value: Any) -> tuple[str, bool]:
    """The secret that a body gives or asks for, and whether it was made here. Raises Refusal 400."""
    wanted = read_as(SecretValue, value)
    if wanted.generate:
        if name != SIGNING_SECRET or kind != "webhook":
            raise Refusal(400, "generate: only a webhook's signing secret is made here; send its value.")
        if wanted.value is not None:
            raise Refusal(400, "generate: leave the value out, or this.")
        return new_signing_secret(), True
    secret = (wanted.value or "").strip()
    if not secret:
        raise Refusal(400, "value: send the secret.")
    check = _CHECKS.get((kind, name))
    if check is not None and not check(secret):
        raise Refusal(400, f"value: {_FORMS[kind, name]}.")
    return secret, False


def _is_signing_secret(secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return secret.startswith("whsec_") and len(key) in SIGNING_SECRET_BYTES


def _is_service_account(secret: str) -> bool:
    try:
        account = orjson.loads(secret)
    except ValueError:
        return False
    members = ("client_email", "private_key")
    return isinstance(account, dict) and all(isinstance(account.get(each), str) for each in members)


def _is_one_word(secret: str) -> bool:
    return secret.isascii() and secret.isprintable() and " " not in secret


_CHECKS: Mapping[tuple[DestinationKind, str], Callable[[str], bool]] = {
    ("webhook", SIGNING_SECRET): _is_signing_secret,
    ("google", "service_account_json"): _is_service_account,
    **{("google", name): _is_one_word for name in ("client_id", "client_secret", "refresh_token")},
    ("meta", "access_token"): _is_one_word,
}
_ONE_WORD = "must be one word of printable ASCII characters"
_FORMS: Mapping[tuple[DestinationKind, str], str] = {
    **dict.fromkeys(_CHECKS, _ONE_WORD),
    ("webhook", SIGNING_SECRET): "must be whsec_ and 24 to 64 bytes in base64; or send generate: true",
    ("google", "service_account_json"): "must be the whole JSON key file of a service account",
}


def _shown(secret: SecretSet) -> dict[str, Any]:
    until = secret.previous_until_us
    return {
        "name": secret.name,
        "set_at": utc(secret.set_us),
        "hint": secret.hint,
        "previous_until": None if until is None else utc(until),
    }
