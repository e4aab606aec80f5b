"""Signing in with an API key and out again, further keys, and where a visit begins."""

import hmac
import math
import secrets
import time
from typing import Any

import limits
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from limits.strategies import FixedWindowRateLimiter
from starlette.concurrency import run_in_threadpool

from funnelhouse.counters import Counters
from funnelhouse.proxies import TrustedProxies
from read_api.dashboard.access import (
    COOKIE,
    AnySignedIn,
    Form,
    SignedIn,
    find_key,
    find_signed_in,
    read_form,
    sessions_of,
    viewer_of,
)
from read_api.dashboard.rendering import HEADERS, html
from read_api.dashboard.sessions import LONGEST_SECONDS
from read_api.dashboard.view import frame

FORM_COOKIE = "funnelhouse_sign_in"
"""Before there is a session, the sign-in form's token is the one in this cookie."""

ATTEMPTS = "10/minute"
"""Wrong keys that one client address may try; the right one always opens, for many may share an address."""

_WRONG = "This key is wrong or has ended. Whoever runs Funnelhouse makes a new one: funnelhouse keys create."
_NOT_READ = "This key does not open reports: the dashboard needs a key with the scope read."

router = APIRouter(include_in_schema=False)


class Attempts:
    """Wrong keys by client address, in memory."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(Counters())
        self._limit = limits.parse(ATTEMPTS)

    def count(self, address: str) -> int:
        """One more wrong key; returns how many seconds the address has to wait, 0 while it may try on."""
        if self._limiter.hit(self._limit, address):
            return 0
        window = self._limiter.get_window_stats(self._limit, address)
        return max(1, math.ceil(window.reset_time - time.time()))


@router.get("/app")
def start(signed_in: AnySignedIn) -> Response:
    """To the overview of the first project."""
    return _redirect(f"/app/projects/{next(iter(signed_in.projects))}/overview")


@router.get("/app/sign-in")
def show(request: Request) -> Response:
    """The form, or on to the pages for whoever is signed in."""
    signed_in = find_signed_in(request)
    if signed_in is not None:
        return _redirect(_next(request.query_params.get("next", "")))
    return _form_page(request, request.query_params.get("next", ""))


@router.post("/app/sign-in")
async def sign_in(request: Request) -> Response:
    """Begin a session with a key of scope read."""
    fields = await read_form(request)
    return await run_in_threadpool(
        _sign_in, request, fields.text("key"), fields.text("next"), fields.text("csrf")
    )


def _sign_in(request: Request, presented: str, following: str, token: str) -> Response:
    if not hmac.compare_digest(request.cookies.get(FORM_COOKIE, "").encode(), token.encode()) or not token:
        return _form_page(request, following, "This form has expired. Send it once more.", 403)
    key = find_key(request, presented)
    if key is None:
        return _form_page(request, following, *_wrong_key(request))
    if "read" not in key.scopes:
        return _form_page(request, following, _NOT_READ, 422)
    sessions = sessions_of(request)
    # Another session id for every sign-in: one that somebody planted before is worth nothing.
    sessions.end(request.cookies.get(COOKIE, ""))
    session_id, _ = sessions.begin(presented)
    answer = _redirect(_next(following))
    _set_cookie(request, answer, COOKIE, session_id, int(LONGEST_SECONDS))
    answer.delete_cookie(FORM_COOKIE, path="/app")
    return answer


@router.post("/app/sign-out")
def sign_out(request: Request, signed_in: AnySignedIn, _: Form) -> Response:
    """End the session, here and in the browser."""
    sessions_of(request).end(signed_in.session_id)
    answer = _redirect("/app/sign-in")
    answer.delete_cookie(COOKIE, path="/app")
    return answer


@router.get("/app/keys")
def keys(request: Request, signed_in: AnySignedIn) -> Response:
    """The projects that this session sees, and a form for a further key."""
    return _keys_page(request, signed_in)


@router.post("/app/keys")
def add_key(request: Request, signed_in: AnySignedIn, form: Form) -> Response:
    """Add a key to this session: of another project, or one that may edit."""
    key = find_key(request, form.text("key"))
    if key is None:
        return _keys_page(request, signed_in, *_wrong_key(request))
    if "read" not in key.scopes and not ("admin" in key.scopes and key.project_id in signed_in.projects):
        return _keys_page(request, signed_in, _NOT_READ, 422)
    sessions_of(request).add_key(signed_in.session, form.text("key"))
    return _redirect(f"/app/projects/{key.project_id}/overview")


def _wrong_key(request: Request) -> tuple[str, int]:
    """What a wrong key is told, and the status: 429 when its address has tried too many."""
    attempts: Attempts = request.app.state.sign_in_attempts
    seconds = attempts.count(_proxies(request).client(request))
    if seconds:
        return f"Too many wrong keys. Try again in {seconds} seconds.", 429
    return _WRONG, 422


def _keys_page(request: Request, signed_in: SignedIn, error: str = "", status: int = 200) -> Response:
    """In the frame of the project that somebody comes from."""
    view = frame(
        request, viewer_of(signed_in, request.query_params.get("project", "")), "keys", "Your access"
    )
    return view.render("keys.html", {"signed_in": signed_in, "error": error}, status)


def _form_page(request: Request, following: str, error: str = "", status: int = 200) -> Response:
    token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
    context: dict[str, Any] = {"token": token, "next": following, "error": error}
    answer = html("sign_in.html", context, status)
    _set_cookie(request, answer, FORM_COOKIE, token, 3600)
    return answer


def _set_cookie(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/app",
        httponly=True,
        samesite="lax",
        secure=_proxies(request).is_https(request),
    )


def _proxies(request: Request) -> TrustedProxies:
    found: TrustedProxies = request.app.state.proxies
    return found


def _next(following: str) -> str:
    """Where to go after signing in: a page of ours only."""
    is_ours = following.startswith("/app/") and "\\" not in following and following.isprintable()
    return following if is_ours else "/app"


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, HEADERS)
