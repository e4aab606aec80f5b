"""Header fields of answers that no route sets by itself: CORS for pages of a project's origins, RateLimit.

CORS is the browser's matter: what comes from another origin is taken in like any request, only its answer
cannot be read there. Cookies are asked for by the tracker alone. https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import re

from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from funnelhouse.access import AccessRules
from ingest_api.access import PROJECT
from ingest_api.rate_limits import RATE_LIMIT_FIELDS

METHODS = ("GET", "POST")
"""What pages may do; definitions are put and deleted with admin keys, which belong on no page."""

_PROJECT_IN_PATH = re.compile(r"/(?:v1/projects|pb|t)/([^/]+)")
_WITH_COOKIES = re.compile(r"/t/")

_Fields = list[tuple[bytes, bytes]]

_PREFLIGHT: _Fields = [
    (b"access-control-allow-methods", ", ".join(METHODS).encode()),
    (
        b"access-control-allow-headers",
        b"Authorization, X-API-Key, Content-Type, Content-Encoding, Idempotency-Key, Funnelhouse-Dry-Run,"
        # Of Segment's and RudderStack's libraries for browsers.
        b" AnonymousId, X-Retry-Count",
    ),
    # A page goes on for so long after its origin was taken away; its answers are closed at once.
    (b"access-control-max-age", b"600"),
]
_EXPOSED: _Fields = [
    (
        b"access-control-expose-headers",
        b"Funnelhouse-Event-Id, Funnelhouse-Dry-Run, Funnelhouse-Warnings, Idempotent-Replayed, Retry-After,"
        b" RateLimit, RateLimit-Policy",
    )
]
_ALLOW = b"access-control-allow-origin"
_CREDENTIALS = (b"access-control-allow-credentials", b"true")
_VARY: _Fields = [(b"vary", b"Origin")]


class AnswerFields:
    """ASGI middleware; answers preflights of allowed origins itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer back with what belongs to it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        # More than one is no browser's request.
        origin = origins[0].decode("latin-1") if len(origins) == 1 else None
        if origin is not None and _is_preflight(scope) and _allows(scope, origin):
            headers = [*_allowed(scope, origin), *_PREFLIGHT, *_VARY]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields: _Fields = []
                if RATE_LIMIT_FIELDS in scope:
                    policies, states = scope[RATE_LIMIT_FIELDS]
                    fields = [
                        (b"ratelimit-policy", ", ".join(policies).encode()),
                        (b"ratelimit", ", ".join(states).encode()),
                    ]
                # What says so itself is for all.
                if origin is not None and not any(name == _ALLOW for name, _ in message["headers"]):
                    fields += _VARY
                    if _allows(scope, origin):
                        fields += [*_allowed(scope, origin), *_EXPOSED]
                if fields:
                    message["headers"] = [*message["headers"], *fields]
            await send(message)

        await self._app(scope, receive, send_with_fields)


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks before it sends what one of our routes takes."""
    if scope["method"] != "OPTIONS":
        return False
    asked = next((v for n, v in scope["headers"] if n == b"access-control-request-method"), b"").decode(
        "latin-1"
    )
    return asked in METHODS and any(
        route.matches({**scope, "method": asked})[0] is Match.FULL for route in scope["app"].routes
    )


def _allows(scope: Scope, origin: str) -> bool:
    """Whether the project that is meant allows an origin; while that is not known, whether any does."""
    rules: AccessRules = scope["app"].state.access
    in_path = _PROJECT_IN_PATH.match(scope["path"])
    return rules.allows_origin(origin, in_path[1] if in_path else scope.get(PROJECT))


def _allowed(scope: Scope, origin: str) -> _Fields:
    allowed = [(_ALLOW, origin.encode("latin-1"))]
    return [*allowed, _CREDENTIALS] if _WITH_COOKIES.match(scope["path"]) else allowed
