"""Who calls: API keys as FastAPI types, for both APIs. The app keeps its `KeyRing` in `app.state.keys`, and
in `app.state.admit`, where there is one, a function of request and key that may still refuse a caller.

A route that takes a `…Caller` is closed to everyone else: missing, wrong or expired key 401; a `{project_id}`
in the path that is not the key's 404, as if it did not exist; a key without the scope 403. Always use the
caller's `project_id`, never the path's: a test key writes `shop` and means `shop.test`.
"""

import base64
from typing import Annotated

from fastapi import Depends, Request

from funnelhouse.keys import Key, KeyRing, Scope
from funnelhouse.problems import Refusal
from record.landing.store import LandingError

CALLER = "funnelhouse.caller"
"""Key of the scope: the caller's `Key`, as soon as it is known."""

# What is refused, in words that the descriptions of the APIs show too.
NO_KEY = "Send an API key: Authorization: Bearer <key>."
WRONG_SCOPE = "The API key needs the scope {scopes}."
UNKNOWN_PROJECT = "Unknown project; use the project that the API key belongs to."
KEYS_UNREADABLE = "Keys cannot be read at the moment; try again."

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer fh_live_…`"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as user name, no password."},
}
"""Where `presented_key` finds one, as OpenAPI says it."""


def presented_key(request: Request) -> str | None:
    """The key as Bearer, as Basic user name, or in `x-api-key`; None when there is none."""
    authorization = request.headers.get("authorization")
    if not authorization:
        return request.headers.get("x-api-key")
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except ValueError:
            return None
    return None


def authenticate(request: Request, key_in_body: str | None = None) -> Key:
    """The caller's key, from the headers, else from the body where a dialect may put it there.

    Raises Refusal 401; 503 when the landing store cannot be read.
    """
    presented = presented_key(request) or key_in_body
    challenge = {"WWW-Authenticate": "Bearer"}
    if not presented:
        raise Refusal(401, NO_KEY, headers=challenge)
    keys: KeyRing = request.app.state.keys
    try:
        key = keys.find(presented)
    except LandingError as error:
        raise Refusal(503, KEYS_UNREADABLE, headers={"Retry-After": "1"}) from error
    if key is None:
        raise Refusal(401, "The API key is wrong or has expired; create a new one.", headers=challenge)
    request.scope[CALLER] = key
    return key


def authorize(request: Request, *scopes: Scope, key_in_body: str | None = None) -> Key:
    """The caller's key, when it opens the path's project and has one of `scopes`.

    Raises Refusal 401, then 404, then 403, then what the app's `admit` raises.
    """
    key = authenticate(request, key_in_body)
    project = request.path_params.get("project_id")
    if project is not None and not key.opens(project):
        raise Refusal(404, UNKNOWN_PROJECT)
    if key.scopes.isdisjoint(scopes):
        raise Refusal(403, WRONG_SCOPE.format(scopes=" or ".join(scopes)))
    admit = getattr(request.app.state, "admit", None)
    if admit is not None:
        admit(request, key)
    return key


LANDING: tuple[Scope, ...] = ("page", "ingest")
"""Scopes of which one is enough to land reports."""


# Coroutines, because FastAPI sends plain functions to a thread, which costs more than the look-up.
async def _landing(request: Request) -> Key:
    return authorize(request, *LANDING)


async def _landing_by_header(request: Request) -> Key | None:
    return authorize(request, *LANDING) if presented_key(request) else None


async def _read(request: Request) -> Key:
    return authorize(request, "read")


async def _admin(request: Request) -> Key:
    return authorize(request, "admin")


async def _read_or_admin(request: Request) -> Key:
    return authorize(request, "read", "admin")


IngestCaller = Annotated[Key, Depends(_landing)]
IngestCallerOrBody = Annotated[Key | None, Depends(_landing_by_header)]
"""As IngestCaller where headers carry a key. None leaves it to the route to find one in the body and call
`authorize` with it: what a body says is known only after it was read, which a dependency comes before."""
ReadCaller = Annotated[Key, Depends(_read)]
AdminCaller = Annotated[Key, Depends(_admin)]
ReadOrAdminCaller = Annotated[Key, Depends(_read_or_admin)]
