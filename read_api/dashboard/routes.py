"""The dashboard as part of the read API's app, and how errors look there."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from funnelhouse.access import SharedAccessRules
from funnelhouse.problems import Refusal, Renderer
from funnelhouse.proxies import TrustedProxies
from funnelhouse.settings import Settings
from read_api.dashboard import rendering, sign_in
from read_api.dashboard.access import find_signed_in, viewer_of
from read_api.dashboard.ingest import Ingest
from read_api.dashboard.pages import (
    behaviour,
    channels,
    conversion,
    data,
    definitions,
    deliveries,
    destinations,
    exchange_rates,
    filters,
    keys,
    links,
    notes,
    overview,
    performance,
    receipt,
    results,
    setup,
    traffic,
)
from read_api.dashboard.rendering import HEADERS, html
from read_api.dashboard.sessions import Sessions
from read_api.dashboard.view import TITLES, NoFiguresError, UnreadableError, frame

PATH = "/app"

_PROJECT_PAGE = re.compile(r"/app/projects/(?P<project>[^/]+)/(?P<page>[^/]+)")

PAGES = (
    overview,
    results,
    performance,
    conversion,
    traffic,
    channels,
    behaviour,
    definitions,
    links,
    destinations,
    deliveries,
    setup,
    exchange_rates,
    keys,
    data,
    filters,
    receipt,
    notes,
)


def add_dashboard(app: FastAPI, settings: Settings) -> None:
    """Add the pages below `/app`; the app has `state.keys` and `state.publications`."""
    app.state.sessions = Sessions()
    app.state.sign_in_attempts = sign_in.Attempts()
    app.state.proxies = TrustedProxies(settings.trusted_proxies)
    app.state.ingest = Ingest(settings.ingest_base_url)
    app.state.access_rules = SharedAccessRules(settings.landing_store)
    app.state.tracker_prefix = settings.tracker_prefix
    for pages in PAGES:
        app.include_router(pages.router)
    for module in (rendering, sign_in):
        app.include_router(module.router)


@asynccontextmanager
async def dashboard(app: FastAPI) -> AsyncIterator[None]:
    """While open, the dashboard works; then its connections are closed."""
    try:
        yield
    finally:
        app.state.ingest.close()


def is_dashboard(request: Request) -> bool:
    """Whether a person looks at it, and not a program."""
    path = request.url.path
    return path == PATH or path.startswith(f"{PATH}/")


def error_page(request: Request) -> Renderer:
    """Shows refusals as pages; who is not signed in is sent to where one does."""

    def render(refusal: Refusal) -> Response:
        if refusal.status == 401:
            return _to_sign_in(request)
        if isinstance(refusal, NoFiguresError):
            return refusal.view.render("no_figures.html")
        if isinstance(refusal, UnreadableError):
            said = {"problem": refusal.detail, "back": refusal.view.here()}
            return refusal.view.render("unreadable.html", said, refusal.status)
        answer = _framed(request, refusal) or html("error.html", _said(refusal), refusal.status)
        answer.headers.update(refusal.headers)
        return answer

    return render


def _framed(request: Request, refusal: Refusal) -> Response | None:
    """The error within the project's frame; None where the frame cannot be made either."""
    found = _PROJECT_PAGE.match(request.url.path)
    if found is None or refusal.status >= 500:
        return None
    try:
        signed_in = find_signed_in(request)
        if signed_in is None or found["project"] not in signed_in.projects:
            return None
        view = frame(request, viewer_of(signed_in, found["project"]), found["page"], refusal.title)
        page = TITLES.get(found["page"], "")
        # What cannot be read in the address is what the way back leaves out.
        back = {"page": page, "way_back": f"{PATH}/projects/{found['project']}/{found['page']}"}
        return view.render("error_in_frame.html", {**_said(refusal), **back}, refusal.status)
    except Refusal:
        return None


def _said(refusal: Refusal) -> dict[str, Any]:
    return {"title": refusal.title, "detail": refusal.detail.replace("`", ""), "status": refusal.status}


def _to_sign_in(request: Request) -> Response:
    following = request.url.path
    if request.url.query:
        following += f"?{request.url.query}"
    address = "/app/sign-in"
    if request.method == "GET" and "HX-Request" not in request.headers and following != PATH:
        address += "?" + urlencode({"next": following})
    if "HX-Request" in request.headers:
        # A redirect would put the form into the middle of the page.
        return Response(status_code=204, headers={**HEADERS, "HX-Redirect": address})
    return RedirectResponse(address, 303, HEADERS)
