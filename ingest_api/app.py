"""The ingest API: HTTP in, append-only rows out."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from funnelhouse.access import AccessRules
from funnelhouse.collector import pass_over_what_is_loaded
from funnelhouse.connections import Connections
from funnelhouse.docs_page import add_docs_page
from funnelhouse.gauges import HouseGauges
from funnelhouse.keys import KeyRing
from funnelhouse.metrics import add_metrics
from funnelhouse.paths import Prefix, TrailingSlash
from funnelhouse.problems import Refusal, install_refusals
from funnelhouse.proxies import TrustedProxies
from funnelhouse.serving import ending_with_parent, on_stop_signal
from funnelhouse.settings import Settings
from ingest_api import costs, dialect_routes, keys, metrics, notes
from ingest_api.access import admit
from ingest_api.answer_fields import AnswerFields
from ingest_api.counts import land_counts
from ingest_api.definitions import changes, exchange_rates
from ingest_api.definitions import routes as definitions
from ingest_api.definitions.held import HeldDefinitions
from ingest_api.forwarding import secrets, wishes
from ingest_api.group_commit import NOT_READY, GroupCommit
from ingest_api.holding import HeldBodies, Parsers
from ingest_api.key_use import KeyUse, write_key_use
from ingest_api.landing_reader import LandingReader, LandingWriter
from ingest_api.links import routes as links
from ingest_api.openapi import describe
from ingest_api.rate_limits import RateLimits
from ingest_api.requests import Stores, now_us, stores
from ingest_api.tracker import routes as tracker
from ingest_api.tracker.script import Scripts
from ingest_api.window import routes as window
from ingest_api.window.cursors import Cursors
from ingest_api.window.stream import Feed
from record.landing import open_store
from record.landing.secret import cursor_secret
from record.landing.store import LandingError

PARSERS = 2


def create_app() -> FastAPI:
    """The app, on the landing store that the settings in the environment name."""
    settings = Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Large bodies are parsed in these. One interpreter lock: more would only hold more memory.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(PARSERS))
        app.state.parsers = Parsers()
        commits = GroupCommit(settings.landing_store)
        landing = open_store(settings.landing_store)
        reader, writer = LandingReader(settings.landing_store), LandingWriter(settings.landing_store)
        held = app.state.stores = Stores(commits, landing, reader, writer)
        app.state.access = AccessRules(landing)
        app.state.definitions = HeldDefinitions(settings.landing_store)
        metrics.QUEUE_BYTES.set_function(lambda: commits.waiting_bytes)
        feed = app.state.feed = Feed(settings.landing_store, Cursors(cursor_secret(landing)))
        pass_over_what_is_loaded()
        tasks = [
            asyncio.create_task(app.state.definitions.follow()),
            asyncio.create_task(land_counts([held.unread, held.unrecorded], commits, now_us)),
            asyncio.create_task(write_key_use(app.state.key_use, writer)),
        ]
        try:
            with on_stop_signal(feed.stop):
                async with ending_with_parent():
                    yield
        finally:
            await feed.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await app.state.definitions.close()
            await asyncio.to_thread(reader.close)
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(commits.close)
            landing.close()

    app = FastAPI(
        title="Funnelhouse ingest",
        version=version("funnelhouse"),
        lifespan=lifespan,
        openapi_url="/ingest/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={
            "4XX": {"description": "Refused: problem details, or the dialect's own shape of an error."}
        },
    )
    app.state.settings = settings
    app.state.keys = KeyRing(settings.landing_store)
    app.state.admit = admit
    app.state.key_use = KeyUse()
    app.state.rate_limits = RateLimits(
        settings.postback_rate_limit,
        settings.page_rate_limit,
        settings.tracker_rate_limit,
        settings.link_rate_limit,
    )
    app.state.scripts = Scripts()
    app.state.link_wait_seconds = settings.link_wait_ms / 1000
    app.state.clicks_landing = set()
    app.state.proxies = TrustedProxies(settings.trusted_proxies, settings.country_header)
    app.add_middleware(AnswerFields)
    app.add_middleware(TrailingSlash, ids=window.EVENT_IDS)
    app.add_middleware(Prefix, ours="t", theirs=settings.tracker_prefix)
    app.add_middleware(HeldBodies)
    add_metrics(app, "/ingest/metrics", HouseGauges(settings))
    app.add_middleware(Connections, proxies=app.state.proxies)
    install_refusals(app, dialect_routes.renderer)
    _add_routes(app)
    add_docs_page(app, "/ingest/docs")
    # Not included as routers: looking a path up in one takes a tenth of a small request's time. What is asked
    # for most often stands first.
    app.router.routes.extend(tracker.router.routes)
    app.router.routes.extend(dialect_routes.router.routes)
    app.router.routes.extend(links.router.routes)
    app.include_router(definitions.router)
    app.include_router(costs.router)
    app.include_router(exchange_rates.router)
    app.include_router(secrets.router)
    app.include_router(wishes.router)
    app.include_router(keys.router)
    app.include_router(notes.router)
    app.include_router(changes.router)
    app.include_router(window.router)
    describe(app)
    return app


def _add_routes(app: FastAPI) -> None:
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
            raise Refusal(503, NOT_READY, headers={"Retry-After": "1"})
        return JSONResponse({"status": "ready"})
