"""Metrics in Prometheus' text format, for both APIs. No label holds a project, a key or anything sent."""

import platform
from importlib.metadata import version

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REGISTRY = CollectorRegistry()
"""Of this process; its memory, processor time and open files are in it."""

# Each counter's time of birth is noise here.
disable_created_metrics()  # type: ignore[no-untyped-call]
ProcessCollector(registry=REGISTRY)

_REQUESTS = Counter(
    "funnelhouse_requests",
    "Answered requests, by route template.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
_BUILD = Gauge(
    "funnelhouse_build_info", "Always 1; its labels say what runs.", ("version", "python"), registry=REGISTRY
)
_BUILD.labels(version("funnelhouse"), platform.python_version()).set(1)

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class CountRequests:
    """Counts answers when they begin; an answer that never did counts as 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # The library's own look-up by labels takes longer than counting.
        self._counters: dict[tuple[str, str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_counted(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                self._count(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        except Exception:
            if not has_begun:
                self._count(scope, 500)
            raise

    def _count(self, scope: Scope, status: int) -> None:
        route = scope.get("route")
        # Labels must be few: neither a path that does not exist nor a method that somebody made up is one.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        name = (method, getattr(route, "path_format", "other"), status)
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = _REQUESTS.labels(*name)
        counter.inc()


def add_metrics(app: FastAPI, path: str, *of_house: Collector) -> None:
    """Count the app's requests, and serve all metrics of this process and `of_house` at `path`."""
    app.add_middleware(CountRequests)
    house = CollectorRegistry()
    for collector in of_house:
        house.register(collector)

    # A plain function, which runs in a thread: `of_house` looks into files and the landing store.
    @app.get(path, response_class=Response, tags=["health"], summary="Metrics")
    def metrics() -> Response:
        """Metrics of this process and of the house in Prometheus' text format.

        Without a key, as the health checks are.
        """
        return Response(generate_latest(REGISTRY) + generate_latest(house), media_type=CONTENT_TYPE_LATEST)
