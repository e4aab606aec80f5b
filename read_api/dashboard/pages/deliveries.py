"""Deliveries: what was told to destinations, one by one, with what they answered."""

from fastapi import APIRouter, Request, Response

from forwarding.outbox.reading import STATES
from funnelhouse.problems import Refusal
from read_api.dashboard.access import AnyViewer, Editor, Form, Viewer
from read_api.dashboard.defined import ingest_of, see_other
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.view import View, frame, viewing
from read_api.forwarded import Forwarded
from read_api.reports import deliveries
from read_api.reports.deliveries import Filters

PATH = "/app/projects/{project_id}/deliveries"

PAGE_ROWS = 50

ASKED = {"replay": "to send it once more"}

router = APIRouter(include_in_schema=False)


@router.get(PATH)
def delivery_list(request: Request, viewer: AnyViewer) -> Response:
    """Deliveries, newest first, fifty to a page."""
    with viewing(request, viewer, "deliveries", dates=False, filters=False, said_when_empty=True) as view:
        asked = request.query_params
        of: Forwarded = request.app.state.forwarded
        state = asked.get("state", "")
        filters = Filters(
            destination=asked.get("destination", ""),
            state=state if state in STATES else "",
            conversion=asked.get("conversion", "").strip(),
            after=deliveries.position(asked.get("after", "")),
            limit=PAGE_ROWS,
        )
        problem, names, has_active = "", dict[str, str](), False
        rows, after = list[deliveries.DeliveryLine](), None
        try:
            defined = of.destinations(viewer.project_id)
            names = {key: each.body["name"] for key, each in defined.items()}
            has_active = any(each.body["is_active"] for each in defined.values())
            rows, after = deliveries.deliveries(of, viewer.project_id, filters)
        except Refusal as refused:
            problem = refused.detail
        if filters.destination and filters.destination not in names:
            names[filters.destination] = filters.destination
        context = {
            "rows": rows,
            "after": after,
            "is_later": filters.after is not None,
            "destinations": [("", "All"), *names.items()],
            "has_active": has_active,
            "states": [("", "All"), *((each, each) for each in STATES)],
            "destination": filters.destination,
            "state": filters.state,
            "conversion": filters.conversion,
            "outbox_problem": problem,
        }
        return view.render("deliveries.html", context)


@router.get(f"{PATH}/{{delivery_id}}")
def one_delivery(request: Request, viewer: AnyViewer, delivery_id: str) -> Response:
    """One delivery: the message as it is sent, and each attempt."""
    return _page(request, viewer, delivery_id)


@router.post(f"{PATH}/{{delivery_id}}/replay")
def replay(request: Request, viewer: Editor, delivery_id: str, _: Form) -> Response:
    """Wish that it is sent once more."""
    # Of this project: the ingest API knows no outbox.
    deliveries.delivery(request.app.state.forwarded, viewer.project_id, delivery_id)
    wanted = {"delivery_ids": [delivery_id]}
    try:
        ingest_of(request).post(viewer.admin or "", viewer.project_id, "deliveries", "replay", body=wanted)
    except (NotTaken, UnreachableError) as refused:
        return _page(request, viewer, delivery_id, str(refused))
    view = frame(request, viewer, "deliveries")
    return see_other(view.url(f"deliveries/{delivery_id}", asked="replay"))


def _page(request: Request, viewer: Viewer, delivery_id: str, problem: str = "") -> Response:
    it = deliveries.delivery(request.app.state.forwarded, viewer.project_id, delivery_id)
    with viewing(request, viewer, "deliveries", title="Delivery", dates=False, filters=False) as view:
        view.is_empty = False
        return _shown(request, view, it, problem)


def _shown(request: Request, view: View, it: deliveries.Delivered, problem: str) -> Response:
    asked = ASKED.get(request.query_params.get("asked", ""), "")
    context = {"it": it, "asked": asked, "problem": problem}
    return view.render("delivery.html", context, 422 if problem else 200)
