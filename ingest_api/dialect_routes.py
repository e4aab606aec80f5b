"""The routes of all dialects, and the shape in which each shows an error."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.auth import LANDING, IngestCaller, IngestCallerOrBody, authenticate, authorize
from funnelhouse.keys import Key
from funnelhouse.problems import Refusal, Renderer, problem
from ingest_api import answers
from ingest_api.access import PostbackProject
from ingest_api.arrival import Arrival, Reading
from ingest_api.body import read_body
from ingest_api.dialects import funnelflux, openanalytics, pagent, segment, superfunnel
from ingest_api.holding import hold
from ingest_api.idempotency import PARAMETER
from ingest_api.requests import land_events, parsed, read_known, receive_events

router = APIRouter(
    responses={"4XX": {"description": "Refused: problem details, or the dialect's own shape of an error."}}
)

_RENDERERS: dict[str, Renderer] = {
    "/v1/conversions": answers.error,
    "/v2/conversions": answers.error,
    "/v2/conversions/bulk": answers.error,
    "/v1/analytics/report-conversion": answers.error,
    "/v1/batch": segment.refuse,
    "/v1/b": segment.refuse,
    **dict.fromkeys((f"/v1/{call}" for call in (*segment.CALLS, *segment.SHORT_PATHS)), segment.refuse),
}


def renderer(request: Request) -> Renderer:
    """Vendor routes answer every error in the vendor's shape, those of the framework included."""
    path: str = request.scope["path"]
    if path == "/pb" or path.startswith("/pb/"):
        return funnelflux.refuse
    return _RENDERERS.get(path, problem)


def _body(schema: dict[str, Any], *in_path: str) -> dict[str, Any]:
    """A JSON body and path parameters, for OpenAPI."""
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"requestBody": body, "parameters": [*(_in_path(name) for name in in_path), PARAMETER]}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


@router.post(
    "/v1/projects/{project_id}/events",
    status_code=202,
    openapi_extra=_body(openanalytics.EVENTS_SCHEMA, "project_id"),
)
async def post_events(request: Request, caller: IngestCaller) -> Response:
    """OpenAnalytics events: one object, or an array of which the good items are accepted."""
    return await receive_events(request, caller, openanalytics.read, openanalytics.answer)


@router.post(
    "/v1/projects/{project_id}/conversions",
    status_code=202,
    openapi_extra=_body(openanalytics.CONVERSIONS_SCHEMA, "project_id"),
)
async def post_project_conversions(request: Request, caller: IngestCaller) -> Response:
    """OpenAnalytics conversions and refunds: as events, and `event_type` may be left out."""
    return await receive_events(request, caller, openanalytics.read_conversions, openanalytics.answer)


@router.post("/v1/conversions", openapi_extra=_body(pagent.V1_SCHEMA))
async def post_conversions(request: Request, caller: IngestCaller) -> Response:
    """Pagent conversions, v1: all or nothing."""
    return await receive_events(request, caller, pagent.read_v1, answers.accepted)


@router.post("/v2/conversions", openapi_extra=_body(pagent.V2_SCHEMA))
async def post_conversion_v2(request: Request, caller: IngestCaller) -> Response:
    """One pagent conversion, v2."""
    return await receive_events(request, caller, pagent.read_v2, answers.accepted)


@router.post("/v2/conversions/bulk", openapi_extra=_body(pagent.V2_BULK_SCHEMA))
async def post_conversions_v2(request: Request, caller: IngestCaller) -> Response:
    """Pagent conversions, v2: all or nothing."""
    return await receive_events(request, caller, pagent.read_v2_bulk, answers.accepted)


@router.post("/v1/analytics/report-conversion", openapi_extra=_body(superfunnel.BODY_SCHEMA))
async def report_conversion(request: Request, caller: IngestCaller) -> Response:
    """One superfunnel conversion, named by any of its identifiers."""
    return await receive_events(request, caller, superfunnel.read, answers.accepted)


# The short paths are what the vendor's library for browsers posts to; they are described by the long ones.
@router.post("/v1/b", include_in_schema=False)
@router.post("/v1/batch", openapi_extra=_body(segment.BATCH_SCHEMA))
async def post_batch(request: Request, caller: IngestCallerOrBody) -> Response:
    """Segment calls of all types; the good ones are accepted."""
    return await _receive_segment(request, caller, segment.read_batch)


def _add_segment_call(short: str, call: segment.Call) -> None:
    @router.post(f"/v1/{short}", include_in_schema=False)
    @router.post(f"/v1/{call}", name=f"segment_{call}", openapi_extra=_body(segment.CALL_SCHEMA))
    async def post_call(request: Request, caller: IngestCallerOrBody) -> Response:
        """One Segment call."""
        return await _receive_segment(request, caller, partial(segment.read_call, call))


for _short, _call in segment.SHORT_PATHS.items():
    _add_segment_call(_short, _call)


async def _receive_segment(
    request: Request, caller: Key | None, read: Callable[[bytes, Arrival], Reading]
) -> Response:
    body = await read_known(request, caller.project_id) if caller else await read_body(request)
    if caller is None:
        # Parsed is only what names a key somewhere: looking for one costs next to nothing.
        _find_key(request, segment.likely_keys(body))
        hold(request)
        key = await parsed(request, body, segment.sent_key)
        caller = authorize(request, *LANDING, key_in_body=key)
    return await land_events(request, caller.project_id, body, read, segment.answer)


def _find_key(request: Request, likely: Sequence[str]) -> None:
    """Know the request by the first key that holds. Raises Refusal 401 when none does, 503."""
    for key in likely[:-1]:
        with suppress(Refusal):
            authenticate(request, key)
            return
    authenticate(request, likely[-1] if likely else None)


def _postback(*in_path: str, others: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Query and path parameters, and others, for OpenAPI."""
    in_query = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in funnelflux.BODY_SCHEMA["properties"].items()
    ]
    return {"parameters": [*(_in_path(name) for name in in_path), *in_query, *others]}


@router.get("/pb", openapi_extra=_postback())
@router.get("/pb/{project_id}", openapi_extra=_postback("project_id"))
@router.get("/pb/{project_id}/{secret}", openapi_extra=_postback("project_id", "secret"))
async def get_postback(request: Request, project: PostbackProject) -> Response:
    """A FunnelFlux postback."""
    query = request.scope["query_string"]
    read = partial(funnelflux.read, query)
    return await land_events(request, project, b"", read, funnelflux.answer, sent=query)


@router.post("/pb", openapi_extra=_postback(others=[PARAMETER]))
@router.post("/pb/{project_id}", openapi_extra=_postback("project_id", others=[PARAMETER]))
@router.post("/pb/{project_id}/{secret}", openapi_extra=_postback("project_id", "secret", others=[PARAMETER]))
async def post_postback(request: Request, project: PostbackProject) -> Response:
    """A FunnelFlux postback with parameters in the query, or in a urlencoded or JSON body."""
    query = request.scope["query_string"]
    body = await read_known(request, project)
    read = partial(funnelflux.read, query)
    # No query string holds a line break, so the two can be told apart.
    return await land_events(request, project, body, read, funnelflux.answer, sent=query + b"\n" + body)
