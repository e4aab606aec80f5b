"""Setup: what is pasted into pages and networks, and forms for pages and traffic sources.

All of it is of now: what the ingest API has, whatever was built.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from funnelhouse.snippet import CALLS
from read_api.dashboard import rules
from read_api.dashboard.access import AnyViewer, Editor, Fields, Viewer
from read_api.dashboard.addresses import addresses
from read_api.dashboard.defined import PAGES, TRAFFIC_SOURCES, Defined, ingest_of
from read_api.dashboard.forms import DefinitionForm, add_form
from read_api.dashboard.ingest import UnreachableError
from read_api.dashboard.networks import ANY, networks
from read_api.dashboard.pages.keys import key_list
from read_api.dashboard.rendering import HEADERS, html
from read_api.dashboard.view import frame, frame_with_steps

PATH = "/app/projects/{project_id}/setup"

PAGE_KINDS = (("offer", "Offer"), ("lander", "Lander"), ("page", "Other page"))
PAID = (("", "As its medium says"), ("yes", "Paid"), ("no", "Not paid"))

CONVERTING = ("lander", "offer")
"""Kinds of pages that postbacks convert."""

_PAGE = ("id", "name", "kind", "path")
_SOURCE = ("id", "name", "source", "medium", "is_paid", "click_id_param")
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


@router.get(f"{PATH}/pages/payout")
def payout(request: Request, viewer: Editor) -> Response:
    """The fields of one more payout, as a piece of the form."""
    context = {"view": frame(request, viewer, "setup"), "payout": dict.fromkeys(_PAYOUT, "")}
    return html("page_payout.html", {**context, "is_added": True})


def _read_page(form: Fields) -> dict[str, Any]:
    """A page as a browser sent it."""
    return {**{name: form.text(name) for name in _PAGE}, "payouts": _read_payouts(form)}


def _page_body(fields: dict[str, Any]) -> dict[str, Any]:
    """The same in the API's shape. Raises NotTaken."""
    return {
        "name": fields["name"],
        "kind": fields["kind"],
        "path": fields["path"] or None,
        "payouts": [
            {
                "valid_from": each["valid_from"],
                "amount": rules.number(each["amount"], f"payouts.{number}.amount"),
                "currency": each["currency"].upper(),
            }
            for number, each in enumerate(fields["payouts"])
            if any(each.values())
        ],
    }


def _read_payouts(form: Fields) -> list[dict[str, str]]:
    """The payouts of a form, those left empty too. Raises Refusal 400 when the form lacks some fields."""
    columns = [form.all(name) for name in _PAYOUT]
    if len({len(column) for column in columns}) != 1:
        raise Refusal(400, "The form is not complete; open the page again.")
    return [dict(zip(_PAYOUT, row, strict=True)) for row in zip(*columns, strict=True)]


def _new_page(_request: Request) -> dict[str, Any]:
    """A new page as the form's fields."""
    return {**dict.fromkeys(_PAGE, ""), "kind": "offer", "payouts": [dict.fromkeys(_PAYOUT, "")]}


def _shown_page(page: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the API as the form's fields."""
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


def _read_source(form: Fields) -> dict[str, Any]:
    """A traffic source as a browser sent it."""
    return {name: form.text(name) for name in _SOURCE}


def _source_body(fields: dict[str, Any]) -> dict[str, Any]:
    """The same in the API's shape."""
    return {
        "name": fields["name"],
        "source": fields["source"],
        "medium": fields["medium"] or None,
        "is_paid": {"yes": True, "no": False}.get(fields["is_paid"]),
        "click_id_param": fields["click_id_param"] or None,
    }


def _shown_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """A traffic source of the API as the form's fields."""
    return {
        "id": source["traffic_source_id"],
        "name": source["name"],
        "source": source["source"],
        "medium": source["medium"] or "",
        "is_paid": {True: "yes", False: "no", None: ""}[source["is_paid"]],
        "click_id_param": source["click_id_param"] or "",
    }


add_form(
    router,
    DefinitionForm(
        kind=PAGES,
        page="setup",
        path="setup/pages",
        new="New page",
        template="page_form.html",
        blank=_new_page,
        shown=_shown_page,
        read=_read_page,
        body=_page_body,
        saved=lambda view, page_id: f"{view.url('setup', saved=page_id)}#pages",
        more=lambda *_: {"kinds": PAGE_KINDS},
    ),
)
add_form(
    router,
    DefinitionForm(
        kind=TRAFFIC_SOURCES,
        page="setup",
        path="setup/traffic-sources",
        new="New traffic source",
        template="traffic_source_form.html",
        blank=lambda _: dict.fromkeys(_SOURCE, ""),
        shown=_shown_source,
        read=_read_source,
        body=_source_body,
        saved=lambda view, source_id: f"{view.url('setup', saved=source_id)}#traffic-sources",
        more=lambda *_: {"paid": PAID},
    ),
)
