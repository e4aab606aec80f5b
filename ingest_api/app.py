"""The ingest API: HTTP in, append-only rows out."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from funnelhouse.auth import IngestCaller
from funnelhouse.keys import KeyRing
from funnelhouse.landing import open_store
from funnelhouse.landing.store import LandingError
from funnelhouse.problems import Refusal, Renderer, install_refusals, problem
from funnelhouse.serving import TrailingSlash, ending_with_parent
from funnelhouse.settings import Settings
from ingest_api import costs
from ingest_api.definitions import routes as definitions
from ingest_api.dialects import openanalytics, pagent
from ingest_api.group_commit import GroupCommit
from ingest_api.requests import Stores, receive_events, stores


def create_app() -> FastAPI:
    """The app, on the landing store that the settings in the environment name."""
    settings = Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        commits = GroupCommit(settings.landing_store)
        landing = open_store(settings.landing_store)
        app.state.stores = Stores(commits, landing)
        # Large groups keep many rows alive for a moment; looking through them for cycles is wasted time.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        try:
            async with ending_with_parent():
                yield
        finally:
            await asyncio.to_thread(commits.close)
            landing.close()

    app = FastAPI(
        title="Funnelhouse ingest",
        lifespan=lifespan,
        openapi_url="/ingest/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={
            "4XX": {"description": "Refused: problem details, or the dialect's own shape of an error."}
        },
    )
    app.state.keys = KeyRing(settings.landing_store)
    app.add_middleware(TrailingSlash)
    install_refusals(app, _renderer)
    _add_routes(app)
    app.include_router(definitions.router)
    app.include_router(costs.router)
    return app


def _add_routes(app: FastAPI) -> None:
    @app.post(
        "/v1/projects/{project_id}/events", status_code=202, openapi_extra=_body(openanalytics.BODY_SCHEMA)
    )
    async def post_events(request: Request, caller: IngestCaller) -> Response:
        """OpenAnalytics events: one object, or an array of which the good items are accepted."""
        return await receive_events(request, caller, openanalytics.read, openanalytics.answer)

    @app.post("/v1/conversions", openapi_extra=_body(pagent.BODY_SCHEMA))
    async def post_conversions(request: Request, caller: IngestCaller) -> Response:
        """Pagent conversions, v1: all or nothing."""
        return await receive_events(request, caller, pagent.read, pagent.answer)

    @app.get("/ingest/live")
    async def live() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "live"})

    @app.get("/ingest/ready")
    async def ready(request: Request) -> JSONResponse:
        """The landing store takes rows; 503 while it does not."""
        try:
            stores(request).landing.query("SELECT 1 FROM seal_ranges LIMIT 1")
            is_ready = stores(request).commits.is_healthy
        except LandingError:
            is_ready = False
        if not is_ready:
            raise Refusal(503, "The landing store does not take rows just now.", headers={"Retry-After": "1"})
        return JSONResponse({"status": "ready"})


def _renderer(request: Request) -> Renderer:
    """Vendor routes answer every error in the vendor's shape, those of the framework included."""
    return pagent.refuse if request.scope["path"] in pagent.PATHS else problem


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
