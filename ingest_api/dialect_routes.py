"""The routes of all dialects over HTTP, as their tables say, and the shape in which each shows an error."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.auth import LANDING, IngestCaller, IngestCallerOrBody, authenticate, authorize
from funnelhouse.problems import Refusal, Renderer, problem
from ingest_api.access import PostbackProject
from ingest_api.body import read_body
from ingest_api.dialect import KeyInBody, Route
from ingest_api.dialect_table import BY_PATH, ROUTES
from ingest_api.holding import hold
from ingest_api.idempotency import PARAMETER
from ingest_api.links import routes as links
from ingest_api.requests import land_events, parsed, read_known, receive_events

router = APIRouter(
    responses={"4XX": {"description": "Refused: problem details, or the dialect's own shape of an error."}}
)

_PARAMETER = re.compile(r"\{(\w+)\}")

# With all that lies below them, which would have been theirs.
_TEMPLATES = [
    (re.compile(_PARAMETER.sub("[^/]*", path) + "(/.*)?", re.DOTALL), route.refuse)
    for path, route in BY_PATH.items()
    if _PARAMETER.search(path)
]


def renderer(request: Request) -> Renderer:
    """Vendor routes answer every error in the vendor's shape, those of the framework too; links as text."""
    path: str = request.scope["path"]
    if path in BY_PATH:
        return BY_PATH[path].refuse
    if path.startswith("/c/"):
        return links.plain
    return next((refuse for template, refuse in _TEMPLATES if template.fullmatch(path)), problem)


def _add(route: Route) -> None:
    if route.sender == "postback":
        _add_postback(route)
    elif route.key_in_body:
        _add_keyed_in_body(route, route.key_in_body)
    else:
        _add_keyed(route)


def _add_keyed(route: Route) -> None:
    async def post(request: Request, caller: IngestCaller) -> Response:
        return await receive_events(request, caller, route.read, route.answer)

    _add_post(route, post)


def _add_keyed_in_body(route: Route, in_body: KeyInBody) -> None:
    async def post(request: Request, caller: IngestCallerOrBody) -> Response:
        if caller is not None:
            return await receive_events(request, caller, route.read, route.answer)
        body = await read_body(request)
        # Parsed is only what names a key somewhere: looking for one costs next to nothing.
        _find_key(request, in_body.likely(body))
        hold(request)
        key = await parsed(request, body, in_body.sent)
        project = authorize(request, *LANDING, key_in_body=key).project_id
        return await land_events(request, project, body, route.read, route.answer)

    _add_post(route, post)


def _find_key(request: Request, likely: Sequence[str]) -> None:
    """Know the request by the first key that holds. Raises Refusal 401 when none does, 503."""
    for key in likely[:-1]:
        with suppress(Refusal):
            authenticate(request, key)
            return
    authenticate(request, likely[-1] if likely else None)


def _add_postback(route: Route) -> None:
    async def get(request: Request, project: PostbackProject) -> Response:
        query: bytes = request.scope["query_string"]
        return await land_events(request, project, b"", route.read, route.answer, sent=query)

    async def post(request: Request, project: PostbackProject) -> Response:
        body = await read_known(request, project)
        # No query string holds a line break, so the two can be told apart.
        sent: bytes = request.scope["query_string"] + b"\n" + body
        return await land_events(request, project, body, route.read, route.answer, sent=sent)

    in_query = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in route.schema["properties"].items()
    ]
    parameters = [*_in_path(route), *in_query]
    for method, endpoint, others in (("GET", get, []), ("POST", post, [PARAMETER])):
        router.add_api_route(
            route.path,
            endpoint,
            methods=[method],
            status_code=route.status,
            openapi_extra={"parameters": [*parameters, *others]},
        )


def _add_post(route: Route, endpoint: Any) -> None:
    described = described_post(route)
    for path in (route.path, *route.aliases):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            status_code=route.status,
            openapi_extra=described,
            include_in_schema=path == route.path,
        )


def described_post(route: Route) -> dict[str, Any]:
    """A route that takes a body, for OpenAPI."""
    body = {"required": True, "content": {"application/json": {"schema": route.schema}}}
    return {"requestBody": body, "parameters": [*_in_path(route), PARAMETER]}


def _in_path(route: Route) -> list[dict[str, Any]]:
    """Path parameters, for OpenAPI."""
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]


for _route in ROUTES:
    # The tracker's are more than a dialect: it has its own.
    if _route.sender != "page":
        _add(_route)
