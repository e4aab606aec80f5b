"""Setup: what is pasted into pages and networks, and forms for pages and traffic sources.

All of it is of now: what the ingest API has, whatever was built.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from funnelhouse.snippet import CALLS
from read_api.dashboard import rules
from read_api.dashboard.access import AnyViewer, Editor, Fields, Form, Viewer
from read_api.dashboard.addresses import addresses
from read_api.dashboard.defined import PAGES, TRAFFIC_SOURCES, Defined, ingest_of, see_other
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.networks import ANY, networks
from read_api.dashboard.pages.keys import key_list
from read_api.dashboard.rendering import HEADERS, html
from read_api.dashboard.view import View, frame, frame_with_steps

PATH = "/app/projects/{project_id}/setup"

PAGE_KINDS = (("offer", "Offer"), ("lander", "Lander"), ("page", "Other page"))
PAID = (("", "As its medium says"), ("yes", "Paid"), ("no", "Not paid"))

CONVERTING = ("lander", "offer")
"""Kinds of pages that postbacks convert."""

_PAYOUT = ("valid_from", "amount", "currency")
_MIDNIGHT = "T00:00:00Z"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
def setup(request: Request, viewer: AnyViewer) -> Response:
    """The tag, calls, pages with their codes and postbacks, traffic sources, and keys."""
    view = frame_with_steps(request, viewer, "setup")
    defined = Defined(request, viewer)
    pages, sources = defined.all(PAGES), defined.all(TRAFFIC_SOURCES)
    chosen = networks().get(request.query_params.get("network", ""), ANY)
    order = [kind for kind, _ in PAGE_KINDS]
    listed = sorted((pages or {}).values(), key=lambda page: (order.index(page["kind"]), page["page_id"]))
    context = {
        "addresses": addresses(request, viewer.project_id),
        "left_out": _left_out(request, viewer),
        "calls": CALLS,
        "is_ingest_there": pages is not None and sources is not None,
        "pages": listed[: view.most_rows],
        "is_cut": len(listed) > view.most_rows,
        "converting": CONVERTING,
        "kinds": dict(PAGE_KINDS),
        "networks": [("", ANY.name), *((each.network_id, each.name) for each in networks().values())],
        "network": chosen,
        "sources": list((sources or {}).values()),
        "keys": key_list(request, viewer),
        "saved": request.query_params.get("saved", ""),
    }
    return view.render("setup.html", context)


@router.get(f"{PATH}/steps")
def steps(request: Request, viewer: AnyViewer) -> Response:
    """The first steps, as a piece of the page that asks for them; the page itself once there are figures."""
    view = frame_with_steps(request, viewer, "setup")
    if not view.is_empty:
        return Response(status_code=200, headers={**HEADERS, "HX-Refresh": "true"})
    if view.steps.seen == request.query_params.get("seen"):
        return Response(status_code=204, headers=HEADERS)
    return html("first_steps.html", {"view": view})


def _left_out(request: Request, viewer: Viewer) -> dict[str, int]:
    """How many goals and pages the script has no room for, as far as that can be asked."""
    try:
        tracker = ingest_of(request).get(viewer.read, viewer.project_id, "tracker") or {}
    except UnreachableError:
        tracker = {}
    return {name: tracker.get(f"left_out_{name}", 0) for name in ("goals", "pages")}


@router.get(f"{PATH}/pages/new")
def new_page(request: Request, viewer: Editor) -> Response:
    """The form for a page."""
    return _page_form(frame(request, viewer, "setup", "New page"), "", _page_fields(None))


@router.post(f"{PATH}/pages/new")
def create_page(request: Request, viewer: Editor, form: Form) -> Response:
    """Define a page under a new id."""
    return _save_page(request, viewer, form, form.text("id") or rules.slug(form.text("name")), is_new=True)


@router.get(f"{PATH}/pages/payout")
def payout(request: Request, viewer: Editor) -> Response:
    """The fields of one more payout, as a piece of the form."""
    context = {"view": frame(request, viewer, "setup"), "payout": dict.fromkeys(_PAYOUT, "")}
    return html("page_payout.html", {**context, "is_added": True})


@router.get(f"{PATH}/pages/{{page_id}}/edit")
def edit_page(request: Request, viewer: Editor, page_id: str) -> Response:
    """The form for an existing page."""
    page = Defined(request, viewer).one(PAGES, page_id)
    return _page_form(frame(request, viewer, "setup", page["name"]), page_id, _page_fields(page))


@router.post(f"{PATH}/pages/{{page_id}}/edit")
def update_page(request: Request, viewer: Editor, page_id: str, form: Form) -> Response:
    """Give a page a new version."""
    return _save_page(request, viewer, form, page_id, is_new=False)


@router.post(f"{PATH}/pages/{{page_id}}/delete")
def delete_page(request: Request, viewer: Editor, page_id: str, _: Form) -> Response:
    """Delete a page."""
    Defined(request, viewer).delete(PAGES, page_id)
    return _saved(request, viewer, page_id, "pages")


@router.get(f"{PATH}/traffic-sources/new")
def new_source(request: Request, viewer: Editor) -> Response:
    """The form for a traffic source."""
    view = frame(request, viewer, "setup", "New traffic source")
    return _source_form(view, "", _source_fields(None))


@router.post(f"{PATH}/traffic-sources/new")
def create_source(request: Request, viewer: Editor, form: Form) -> Response:
    """Define a traffic source under a new id."""
    return _save_source(request, viewer, form, form.text("id") or rules.slug(form.text("name")), is_new=True)


@router.get(f"{PATH}/traffic-sources/{{source_id}}/edit")
def edit_source(request: Request, viewer: Editor, source_id: str) -> Response:
    """The form for an existing traffic source."""
    source = Defined(request, viewer).one(TRAFFIC_SOURCES, source_id)
    return _source_form(frame(request, viewer, "setup", source["name"]), source_id, _source_fields(source))


@router.post(f"{PATH}/traffic-sources/{{source_id}}/edit")
def update_source(request: Request, viewer: Editor, source_id: str, form: Form) -> Response:
    """Give a traffic source a new version."""
    return _save_source(request, viewer, form, source_id, is_new=False)


@router.post(f"{PATH}/traffic-sources/{{source_id}}/delete")
def delete_source(request: Request, viewer: Editor, source_id: str, _: Form) -> Response:
    """Delete a traffic source."""
    Defined(request, viewer).delete(TRAFFIC_SOURCES, source_id)
    return _saved(request, viewer, source_id, "traffic-sources")


def _save_page(request: Request, viewer: Viewer, form: Fields, page_id: str, is_new: bool) -> Response:
    payouts = _read_payouts(form)
    fields: dict[str, Any] = {name: form.text(name) for name in ("id", "name", "kind", "path")}
    fields["payouts"] = payouts
    try:
        body = {
            "name": fields["name"],
            "kind": fields["kind"],
            "path": fields["path"] or None,
            "payouts": [
                {
                    "valid_from": each["valid_from"],
                    "amount": rules.number(each["amount"], f"payouts.{number}.amount"),
                    "currency": each["currency"].upper(),
                }
                for number, each in enumerate(payouts)
                if any(each.values())
            ],
        }
        Defined(request, viewer).put(PAGES, page_id, body, is_new)
    except (NotTaken, UnreachableError) as refused:
        view = frame(request, viewer, "setup", "New page" if is_new else page_id)
        return _page_form(view, "" if is_new else page_id, fields, str(refused))
    return _saved(request, viewer, page_id, "pages")


def _read_payouts(form: Fields) -> list[dict[str, str]]:
    """The payouts of a form, those left empty too. Raises Refusal 400 when the form lacks some fields."""
    columns = [form.all(name) for name in _PAYOUT]
    if len({len(column) for column in columns}) != 1:
        raise Refusal(400, "The form is not complete; open the page again.")
    return [dict(zip(_PAYOUT, row, strict=True)) for row in zip(*columns, strict=True)]


def _page_fields(page: Mapping[str, Any] | None) -> dict[str, Any]:
    """A page of the API, or a new one, as the form's fields."""
    if page is None:
        blank = dict.fromkeys(_PAYOUT, "")
        return {"id": "", "name": "", "kind": "offer", "path": "", "payouts": [blank]}
    payouts = [
        {
            "valid_from": each["valid_from"].removesuffix(_MIDNIGHT),
            "amount": str(each["amount"]),
            "currency": each["currency"],
        }
        for each in page["payouts"]
    ]
    known = {"name": page["name"], "kind": page["kind"], "path": page["path"] or ""}
    return {"id": page["page_id"], **known, "payouts": payouts}


def _page_form(view: View, page_id: str, fields: Mapping[str, Any], error: str = "") -> Response:
    context = {"page_id": page_id, "fields": fields, "error": error, "kinds": PAGE_KINDS}
    return view.render("page_form.html", context, 422 if error else 200)


def _save_source(request: Request, viewer: Viewer, form: Fields, source_id: str, is_new: bool) -> Response:
    fields = {name: form.text(name) for name in ("id", "name", "source", "medium", "is_paid")}
    body = {
        "name": fields["name"],
        "source": fields["source"],
        "medium": fields["medium"] or None,
        "is_paid": {"yes": True, "no": False}.get(fields["is_paid"]),
    }
    try:
        Defined(request, viewer).put(TRAFFIC_SOURCES, source_id, body, is_new)
    except (NotTaken, UnreachableError) as refused:
        view = frame(request, viewer, "setup", "New traffic source" if is_new else source_id)
        return _source_form(view, "" if is_new else source_id, fields, str(refused))
    return _saved(request, viewer, source_id, "traffic-sources")


def _source_fields(source: Mapping[str, Any] | None) -> dict[str, Any]:
    """A traffic source of the API, or a new one, as the form's fields."""
    if source is None:
        return dict.fromkeys(("id", "name", "source", "medium", "is_paid"), "")
    return {
        "id": source["traffic_source_id"],
        "name": source["name"],
        "source": source["source"],
        "medium": source["medium"] or "",
        "is_paid": {True: "yes", False: "no", None: ""}[source["is_paid"]],
    }


def _source_form(view: View, source_id: str, fields: Mapping[str, Any], error: str = "") -> Response:
    context = {"source_id": source_id, "fields": fields, "error": error, "paid": PAID}
    return view.render("traffic_source_form.html", context, 422 if error else 200)


def _saved(request: Request, viewer: Viewer, key: str, section: str) -> Response:
    return see_other(f"{frame(request, viewer, 'setup').url('setup', saved=key)}#{section}")
