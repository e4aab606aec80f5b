"""The routes of all dialects, and the shape in which each shows an error."""

from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.auth import IngestCaller
from funnelhouse.problems import Renderer, problem
from ingest_api import answers
from ingest_api.dialects import openanalytics, pagent
from ingest_api.requests import receive_events

router = APIRouter()

_RENDERERS: dict[str, Renderer] = dict.fromkeys(
    ["/v1/conversions", "/v2/conversions", "/v2/conversions/bulk"], answers.error
)


def renderer(request: Request) -> Renderer:
    """Vendor routes answer every error in the vendor's shape, those of the framework included."""
    return _RENDERERS.get(request.scope["path"], problem)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/v1/projects/{project_id}/events", status_code=202, openapi_extra=_body(openanalytics.EVENTS_SCHEMA)
)
async def post_events(request: Request, caller: IngestCaller) -> Response:
    """OpenAnalytics events: one object, or an array of which the good items are accepted."""
    return await receive_events(request, caller, openanalytics.read, openanalytics.answer)


@router.post(
    "/v1/projects/{project_id}/conversions",
    status_code=202,
    openapi_extra=_body(openanalytics.CONVERSIONS_SCHEMA),
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
