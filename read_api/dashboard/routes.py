"""The dashboard as part of the read API's app, and how errors look there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from funnelhouse.access import SharedAccessRules
from funnelhouse.problems import Refusal, Renderer
from funnelhouse.proxies import TrustedProxies
from funnelhouse.settings import Settings
from read_api.dashboard import rendering, sign_in
from read_api.dashboard.ingest import Ingest
from read_api.dashboard.pages import (
    behaviour,
    data,
    definitions,
    deliveries,
    destinations,
    filters,
    keys,
    links,
    results,
    setup,
    traffic,
)
from read_api.dashboard.rendering import HEADERS, html
from read_api.dashboard.sessions import Sessions
from read_api.dashboard.view import NoFiguresError, UnreadableError

PATH = "/app"

PAGES = (
    results,
    traffic,
    behaviour,
    definitions,
    links,
    destinations,
    deliveries,
    setup,
    keys,
    data,
    filters,
)


def add_dashboard(app: FastAPI, settings: Settings) -> None:
    """Add the pages below `/app`; the app has `state.keys` and `state.publications`."""
    app.state.sessions = Sessions()
    app.state.sign_in_attempts = sign_in.Attempts()
    app.state.proxies = TrustedProxies(settings.trusted_proxies)
    app.state.ingest = Ingest(settings.ingest_base_url)
    app.state.access_rules = SharedAccessRules(settings.landing_store)
    app.state.tracker_prefix = settings.tracker_prefix
    for pages in (
        results,
        traffic,
        behaviour,
        definitions,
        links,
        destinations,
        deliveries,
        setup,
        keys,
        data,
        filters,
    ):
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
        context = {"title": refusal.title, "detail": refusal.detail, "status": refusal.status}
        answer = html("error.html", context, refusal.status)
        answer.headers.update(refusal.headers)
        return answer

    return render


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
