"""Refusals, and how they are shown: RFC 9457 problem details, or the shape of a vendor's dialect."""

from collections.abc import Callable, Mapping
from http import HTTPMethod
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

_TITLES = {
    400: "Bad request",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """A request that is not done. `detail` names the field and the fix and never repeats what was sent.

    `members` are extra members of the problem object (RFC 9457 extension members).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or _TITLES.get(status, "Error")
        self.headers = dict(headers or {})
        self.members = dict(members or {})


Renderer = Callable[[Refusal], Response]
"""Turns a refusal into an answer of one shape."""


def problem(refusal: Refusal) -> Response:
    """RFC 9457 problem details: `{"type", "title", "status", "detail", …}`."""
    body = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        **refusal.members,
    }
    return Response(
        orjson.dumps(body), refusal.status, refusal.headers, media_type="application/problem+json"
    )


def install_refusals(app: FastAPI, renderer_for: Callable[[Request], Renderer] = lambda _: problem) -> None:
    """Show every error of `app` (refusals, unknown paths, wrong methods, bad parameters) in a path's shape.

    `renderer_for` chooses the shape by request; the default is problem details everywhere.
    """

    def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return renderer_for(request)(error)

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        details = {
            404: "No such path. The OpenAPI description lists what exists.",
            405: f"This path does not take {_method(request)}; the Allow header says what it takes.",
        }
        detail = details.get(error.status_code, str(error.detail))
        headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
        return renderer_for(request)(Refusal(error.status_code, detail, headers=headers))

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # FastAPI's own answer repeats the input; a problem names the field and what it should be.
        faults = [(".".join(str(part) for part in e["loc"][1:]) or "body", e["msg"]) for e in error.errors()]
        detail = "; ".join(f"{field}: {message}" for field, message in faults)
        return renderer_for(request)(Refusal(400, detail))

    def on_crash(request: Request, _error: Exception) -> Response:
        return renderer_for(request)(Refusal(500, "Internal error; see the server log."))

    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_crash)


def _method(request: Request) -> str:
    # Any word can be a method, and what was sent is not repeated.
    return request.method if request.method in HTTPMethod.__members__ else "this method"


def _allowed(request: Request) -> str:
    """Methods that a path takes; the framework names those of the path's first route only."""
    return ", ".join(
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )
