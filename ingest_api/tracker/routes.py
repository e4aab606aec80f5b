"""The tracker over HTTP: the script of a project, and what it sends.

A batch is answered 200 whatever it holds: the page can do nothing about it, and the project's window shows
what was kept in `rejected`. These and links are the only routes that read cookies.
"""

from functools import partial
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from ingest_api.access import TrackedProject, tracked_origins
from ingest_api.arrival import Reading
from ingest_api.body import TOO_LARGE, UndecodableBody, read_body
from ingest_api.definitions.held import HeldDefinitions
from ingest_api.definitions.tracker import tracker_of
from ingest_api.dialect import Read
from ingest_api.dialect_routes import described_post
from ingest_api.requests import is_dry_run, land_events
from ingest_api.tracker import wire
from ingest_api.tracker.script import Scripts, no_script, script_alone, served
from ingest_api.tracker.visitor_cookie import visitor_cookie

WRONG_ORIGIN = (
    "Origin: the project has no pages there; "
    "`funnelhouse projects set {project} --origins …` lists all that it has, such as https://shop.example"
)

router = APIRouter()


async def post_batch(request: Request, project: TrackedProject) -> Response:
    """A batch of events."""
    definitions: HeldDefinitions = request.app.state.definitions
    tracker = tracker_of((await definitions.of(project)).bodies)
    body, read = await _sent(request)
    origin = request.headers.get("origin")
    # A page that hides where it is (or has no address of its own) is believed: anybody could name an origin.
    if origin not in (None, "null", *tracked_origins(request, project)):
        read = partial(wire.refused, WRONG_ORIGIN.format(project=project))
    visitor_id, consent = "", None

    def answer(reading: Reading) -> Response:
        nonlocal visitor_id, consent
        visitor_id = next((e.visitor_id for e in reversed(reading.events) if e.visitor_id), "")
        consent = reading.envelope.get("consent")
        return wire.answer(reading)

    answered = await land_events(request, project, body, read, answer)
    if visitor_id and not is_dry_run(request):
        cookie = visitor_cookie(
            request, tracker, visitor_id, consent=consent, page_host=urlsplit(origin or "").hostname or ""
        )
        if cookie is not None:
            answered.headers.append("Set-Cookie", cookie)
    return answered


async def _sent(request: Request) -> tuple[bytes, Read]:
    """The body, and what reads it: what cannot be decoded or is too large is refused whole.

    Raises as `read_body` does for all else.
    """
    try:
        return await read_body(request), wire.read
    except UndecodableBody as refusal:
        return refusal.sent, partial(wire.refused, refusal.detail)
    except Refusal as refusal:
        if refusal.status != 413:
            raise
        return b"", partial(wire.refused, TOO_LARGE)


(_route,) = wire.ROUTES
router.add_api_route(
    _route.path,
    post_batch,
    methods=["POST"],
    status_code=_route.status,
    openapi_extra=described_post(_route),
)


@router.get("/t.js")
async def get_script_alone(request: Request) -> Response:
    """Its config is in the attributes of its tag, so that a site may pin it by its hash."""
    return served(request, script_alone())


@router.get("/t/{project_id}.js")
async def get_script(request: Request, project_id: str) -> Response:
    """The script with the project's config; empty and 404 for a project that has no origins."""
    if not tracked_origins(request, project_id):
        return no_script()
    definitions: HeldDefinitions = request.app.state.definitions
    scripts: Scripts = request.app.state.scripts
    return served(request, scripts.of(project_id, await definitions.of(project_id)))
