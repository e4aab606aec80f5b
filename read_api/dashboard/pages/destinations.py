"""Destinations: who is told of conversions, how that goes, forms to define them, and what they would get."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from forwarding.deliveries import Destination
from forwarding.preview import Preview
from funnelhouse.problems import Refusal
from read_api.dashboard import destination_fields as fields_of
from read_api.dashboard import rules
from read_api.dashboard.access import AnyViewer, Editor, Form, Viewer
from read_api.dashboard.defined import DESTINATIONS, TRAFFIC_SOURCES, Defined, ingest_of, see_other
from read_api.dashboard.forms import DefinitionForm, add_form
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.rendering import html
from read_api.dashboard.view import View, frame, viewing
from read_api.forwarded import Forwarded
from read_api.publications import NotPublishedError, Publications
from read_api.reports import deliveries, destinations, drafts
from read_api.reports.destinations import Sending
from read_api.slices import Figure, Slice

PATH = "/app/projects/{project_id}/destinations"

PREVIEWED_DAYS = 7
LATEST = 6
"""Deliveries on a destination's page."""

WISHES = {
    "pause": "to pause it",
    "resume": "to resume it",
    "release": "to release what is held",
    "test": "to send a test",
}

_UNREACHABLE = "The ingest API does not answer, so a draft cannot be read right now."

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Line:
    """A destination with its figures."""

    it: Sending
    figures: Mapping[str, Figure]


@router.get(PATH)
def destination_list(request: Request, viewer: AnyViewer) -> Response:
    """Destinations, each with what became of its deliveries."""
    with viewing(request, viewer, "destinations", dates=False, filters=False, said_when_empty=True) as view:
        defined = Defined(request, viewer).all(DESTINATIONS)
        found, problem = _sendings(request, view)
        context = {
            "lines": [Line(each, _figures(view, each)) for each in found],
            "kinds": fields_of.KINDS,
            "is_ingest_there": defined is not None,
            "saved": request.query_params.get("saved", ""),
            "outbox_problem": problem,
        }
        return view.render("destinations.html", context)


@router.get(f"{PATH}/event-name")
def event_name(request: Request, viewer: Editor) -> Response:
    """The fields of one more renamed event, as a piece of the form."""
    context = {"view": frame(request, viewer, "destinations"), "pair": {"ours": "", "theirs": ""}}
    return html("destination_event_name.html", {**context, "is_added": True})


@router.post(f"{PATH}/preview")
def preview_draft(request: Request, viewer: Editor, form: Form) -> Response:
    """What a destination that is not saved would be told, as a piece of its form."""
    try:
        body = Defined(request, viewer).trial(
            DESTINATIONS,
            form.text("id") or rules.slug(form.text("name")) or "draft",
            fields_of.body(fields_of.read(form)),
        )
    except NotTaken as refused:
        return _preview(request, viewer, None, str(refused), is_refused=True)
    except UnreachableError:
        return _preview(request, viewer, None, _UNREACHABLE)
    draft = Destination(viewer.project_id, body["destination_id"], 0, destinations.stored(body))
    named = Defined(request, viewer).all(TRAFFIC_SOURCES) or {}
    sources = [
        (str(each["source"]), each["medium"]) for key, each in named.items() if key in draft.body["sources"]
    ]
    return _preview(request, viewer, draft, sources=sources)


@router.get(f"{PATH}/{{destination_id}}/show")
def one_destination(request: Request, viewer: AnyViewer, destination_id: str) -> Response:
    """One destination: its state, what may be done, its secrets, and its latest deliveries."""
    return _page(request, viewer, destination_id)


@router.get(f"{PATH}/{{destination_id}}/preview")
def preview_defined(request: Request, viewer: AnyViewer, destination_id: str) -> Response:
    """What the last build's rules make of the latest conversions, as a piece of the page."""
    of: Forwarded = request.app.state.forwarded
    destination = of.destinations(viewer.project_id).get(destination_id)
    if destination is None:
        raise Refusal(404, "It is not defined, or was deleted.")
    return _preview(request, viewer, destination)


@router.post(f"{PATH}/{{destination_id}}/secrets")
def set_secret(request: Request, viewer: Editor, destination_id: str, form: Form) -> Response:
    """Set a secret, which is never shown again; one that is made here is shown this once."""
    name = form.text("secret")
    try:
        answer = ingest_of(request).put(
            viewer.admin or "",
            viewer.project_id,
            *("destinations", destination_id, "secrets", name),
            body={"generate": True} if form.has("generate") else {"value": form.text("value")},
        )
    except (NotTaken, UnreachableError) as refused:
        return _page(request, viewer, destination_id, str(refused))
    view = frame(request, viewer, "destinations", "Signing secret")
    if made := answer.get("value"):
        return view.render("destination_secret_made.html", {"key": destination_id, "secret": made})
    return see_other(f"{view.url(f'destinations/{destination_id}/show', saved=name)}#secrets")


def _add_wish(action: str) -> None:
    @router.post(f"{PATH}/{{destination_id}}/{action}")
    def wish(request: Request, viewer: Editor, destination_id: str, _: Form) -> Response:
        """Note down what is to be done; `funnelhouse forward` does it."""
        try:
            ingest_of(request).post(
                viewer.admin or "", viewer.project_id, "destinations", destination_id, action, body={}
            )
        except (NotTaken, UnreachableError) as refused:
            return _page(request, viewer, destination_id, str(refused))
        view = frame(request, viewer, "destinations")
        return see_other(view.url(f"destinations/{destination_id}/show", asked=action))


for _action in WISHES:
    _add_wish(_action)


def _page(request: Request, viewer: Viewer, destination_id: str, problem: str = "") -> Response:
    of: Forwarded = request.app.state.forwarded
    with viewing(request, viewer, "destinations", title=destination_id, dates=False, filters=False) as view:
        view.is_empty = False
        found, outbox_problem = _sendings(request, view)
        it = next((each for each in found if each.destination_id == destination_id), None)
        if it is None and outbox_problem:
            raise Refusal(503, outbox_problem)
        if it is None:
            raise Refusal(404, "It is not defined, and was never told anything.")
        view.title = it.name or destination_id
        latest = list[deliveries.DeliveryLine]()
        if not outbox_problem:
            filters = deliveries.Filters(destination=destination_id, limit=LATEST)
            latest, _ = deliveries.deliveries(of, viewer.project_id, filters)
        secrets = _secrets(request, viewer, destination_id)
        context = {
            "it": it,
            "figures": _figures(view, it),
            "skipped": [
                (
                    each.reason,
                    _of(view, it, state="skipped", reason=each.reason).figure("count(*)", each.count),
                )
                for each in it.skipped
            ],
            "definition": it.is_defined,
            "kinds": fields_of.KINDS,
            "secrets": secrets,
            "secret_names": [(each, each) for each in fields_of.KINDS[it.kind].secrets] if it.kind else [],
            "deliveries": latest,
            "problem": problem,
            "outbox_problem": outbox_problem,
            "saved": request.query_params.get("saved", ""),
            "asked": WISHES.get(request.query_params.get("asked", ""), ""),
        }
        return view.render("destination.html", context, 422 if problem else 200)


def _sendings(request: Request, view: View) -> tuple[list[Sending], str]:
    """The project's destinations; and why nothing is known of their deliveries."""
    of: Forwarded = request.app.state.forwarded
    try:
        return destinations.sendings(of, view.project_id), ""
    except Refusal as refused:
        return [], refused.detail


def _secrets(request: Request, viewer: Viewer, destination_id: str) -> list[dict[str, Any]] | None:
    """What may be shown of its secrets; None to who may not know, or while it cannot be asked."""
    if viewer.admin is None:
        return None
    try:
        answer = ingest_of(request).get(
            viewer.admin, viewer.project_id, "destinations", destination_id, "secrets"
        )
    except UnreachableError:
        return None
    return [
        {**each, "set_at": datetime.fromisoformat(each["set_at"]).astimezone(UTC).replace(tzinfo=None)}
        for each in (answer or {}).get("secrets", [])
    ]


def _of(view: View, it: Sending, **columns: object) -> Slice:
    """Its deliveries with these values."""
    return view.rows("outbox.deliveries", None, destination_id=it.destination_id, **columns)


def _figures(view: View, it: Sending) -> dict[str, Figure]:
    """Its figures, by what they are called in the templates."""
    counted = {
        name: _of(view, it, state=state).figure("count(*)", getattr(it, name))
        for name, state in (
            ("delivered", "delivered"),
            ("accepted", "accepted"),
            ("waiting", ("queued", "retrying", "sending")),
            ("held", "held"),
            ("dead", "dead"),
        )
    }
    return {
        **counted,
        "skipped": _of(view, it, state="skipped").figure("count(*)", sum(each.count for each in it.skipped)),
        "differing": view.rows("outbox.told", None, destination_id=it.destination_id).figure(
            "told_differently", it.told_differently
        ),
        "median": _of(view, it, state="delivered").figure("median_seconds", it.median_seconds),
        "p95": _of(view, it, state="delivered").figure("p95_seconds", it.p95_seconds),
    }


def _preview(
    request: Request,
    viewer: Viewer,
    destination: Destination | None,
    problem: str = "",
    is_refused: bool = False,
    sources: list[drafts.Source] | None = None,
) -> Response:
    """The piece of a page; `sources` are those of a draft."""
    view = frame(request, viewer, "destinations")
    context: dict[str, Any] = {"view": view, "problem": problem, "is_refused": is_refused}
    if destination is not None:
        of: Forwarded = request.app.state.forwarded
        publications: Publications = request.app.state.publications
        since = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=PREVIEWED_DAYS)
        try:
            with publications.current(viewer.project_id) as reader:
                found = destinations.dry_run(
                    of, reader, destination, since, time.time_ns() // 1000, examples=1, sources=sources
                )
            context |= _counted(view, destination, found, since, sources is not None)
        except NotPublishedError:
            context["problem"] = "There are no figures yet that could say what it would be told."
    return html("destination_preview.html", context)


def _counted(
    view: View, destination: Destination, found: Preview, since: datetime, is_draft: bool
) -> dict[str, Any]:
    mart = "fct_conversions" if is_draft else "fct_forwardings"
    rows = view.rows(mart, None).where("occurred_at.from", since)
    if not is_draft:
        rows = rows.where("destination_id", destination.destination_id)
    return {
        "found": found,
        "is_draft": is_draft,
        "uncounted": drafts.uncounted(destination.body) if is_draft else [],
        "sent": rows.figure("sent", found.sent),
        "skipped": rows.figure("skipped", sum(found.skipped.values())),
        "reasons": [
            (reason, rows.where("not_wanted_reason", reason).figure("skipped", count))
            for reason, count in found.skipped.items()
        ],
    }


def _beside(_request: Request, _viewer: Viewer, _key: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the form offers."""
    return {
        "of_kind": fields_of.KINDS[fields["kind"]],
        "triggers": fields_of.TRIGGERS,
        "senders": fields_of.SENDERS,
        "values": fields_of.VALUES,
        "consents": fields_of.CONSENTS,
        "event_ids": fields_of.EVENT_IDS,
        "states": fields_of.STATES,
    }


add_form(
    router,
    DefinitionForm(
        kind=DESTINATIONS,
        page="destinations",
        path="destinations",
        new="New destination",
        template="destination_form.html",
        blank=fields_of.blank,
        shown=fields_of.shown,
        read=fields_of.read,
        body=fields_of.body,
        saved=lambda view, destination_id: view.url(f"destinations/{destination_id}/show", saved="1"),
        deleted=lambda view, _: view.url("destinations"),
        more=_beside,
    ),
)
