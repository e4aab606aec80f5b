"""The read API: every route reads the published build, none writes anything."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Annotated

import anyio.to_thread
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel

from funnelhouse.collector import pass_over_what_is_loaded
from funnelhouse.connections import Connections
from funnelhouse.docs_page import add_docs_page
from funnelhouse.gauges import HouseGauges
from funnelhouse.keys import KeyRing
from funnelhouse.metrics import add_metrics
from funnelhouse.paths import TrailingSlash
from funnelhouse.problems import Refusal, Renderer, install_refusals, problem
from funnelhouse.proxies import TrustedProxies
from funnelhouse.serving import ending_with_parent
from funnelhouse.settings import Settings
from read_api import marts, models, report_dialect
from read_api.answers import install_not_modified, json_answer
from read_api.dashboard.routes import add_dashboard, dashboard, error_page, is_dashboard
from read_api.forwarded import Forwarded
from read_api.forwarding_gauges import ForwardingGauges
from read_api.openapi import describe
from read_api.parameters import whole_number
from read_api.publications import Publications
from read_api.reports import (
    attribution,
    builds,
    campaigns,
    changes,
    channel_importance,
    cohorts,
    conversion,
    conversions,
    costs,
    data_trust,
    deliveries,
    destinations,
    exchange_rates,
    experiments,
    filter_values,
    funnels,
    goals,
    landing_pages,
    pages,
    paths,
    people,
    performance,
    receipt,
    sources,
    summary,
    time_to_convert,
    timeline,
    unconverted,
)

REPORTS = (
    summary,
    timeline,
    changes,
    conversions,
    conversion,
    people,
    performance,
    sources,
    campaigns,
    landing_pages,
    pages,
    goals,
    funnels,
    attribution,
    channel_importance,
    paths,
    time_to_convert,
    experiments,
    cohorts,
    costs,
    unconverted,
    exchange_rates,
    deliveries,
    destinations,
    data_trust,
    builds,
    filter_values,
    receipt,
)

# Paths that end with the id of a conversion, or of a person.
_IDS = re.compile(r"/(v1|app)/projects/[^/]+/(reports/)?(conversions|people)/.", re.DOTALL)


# Ten years: nobody means an older one.
MOST_SECONDS = 315_360_000

# Requests that wait for their turn, or for the ingest API, hold a thread each.
THREADS = 120


class Live(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """There is a build to read."""

    status: str
    build: str
    published_at: str


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; without settings they are read from the environment."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        pass_over_what_is_loaded()
        async with ending_with_parent(), dashboard(app):
            yield

    app = FastAPI(
        title="Funnelhouse read API",
        version=version("funnelhouse"),
        summary="Reports over the published marts.",
        # The pages of FastAPI load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        openapi_url="/read/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.keys = KeyRing(settings.landing_store)
    app.state.publications = Publications(settings.published_dir)
    app.state.forwarded = Forwarded(settings)
    app.state.last_build_path = settings.last_build_path
    app.state.deployed_dir = settings.deployed_dir
    app.add_middleware(TrailingSlash, ids=_IDS)
    add_metrics(app, "/read/metrics", HouseGauges(settings), ForwardingGauges(app.state.forwarded))
    app.add_middleware(Connections, proxies=TrustedProxies(settings.trusted_proxies))
    install_refusals(app, _renderer)
    install_not_modified(app)
    app.include_router(report_dialect.router)
    for report in REPORTS:
        app.include_router(report.router)
    app.include_router(marts.router)
    app.include_router(models.router)

    add_docs_page(app, "/read/docs")
    describe(app)
    add_dashboard(app, settings)

    @app.get("/read/live", tags=["health"])
    async def live() -> Live:
        """The process answers."""
        return Live(status="live")

    @app.get("/read/ready", tags=["health"], response_model=Ready)
    def ready(
        request: Request,
        max_age: Annotated[
            str | None, Query(description="Seconds since it was published, above which the answer is 503.")
        ] = None,
    ) -> Response:
        """There is a build, and it can be read; else 503 says what is wrong and what helps.

        A publication grows older while nothing new arrives: `max_age` is for who sends all the time.
        """
        most_seconds = whole_number("max_age", max_age, 0, MOST_SECONDS)
        with app.state.publications.current() as reader:
            reader.prove_readable()
            published_at = reader.facts["published_at"]
            age = datetime.now(UTC) - datetime.fromisoformat(published_at)
            if most_seconds and age > timedelta(seconds=most_seconds):
                raise Refusal(
                    503,
                    f"The figures are {age.total_seconds():.0f} s old; max_age is {most_seconds} s. "
                    "`funnelhouse build` says why there are no newer ones.",
                )
            content = {"status": "ready", "build": reader.build_id, "published_at": published_at}
            return json_answer(request, content, reader.build_id)

    return app


def _renderer(request: Request) -> Renderer:
    if is_dashboard(request):
        return error_page(request)
    is_report = any(
        request.url.path == path or request.url.path.startswith(f"{path}/") for path in report_dialect.PATHS
    )
    return report_dialect.render_error if is_report else problem
