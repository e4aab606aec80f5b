"""Links: what became of their clicks, their addresses to copy, and a form that defines them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from read_api.dashboard import rules
from read_api.dashboard.access import AnyViewer, Editor, Fields, Viewer
from read_api.dashboard.addresses import addresses
from read_api.dashboard.defined import LINKS, PAGES, Defined
from read_api.dashboard.forms import DefinitionForm, add_form
from read_api.dashboard.rendering import html
from read_api.dashboard.view import frame, viewing
from read_api.reports import link_clicks
from read_api.slices import Figure

PATH = "/app/projects/{project_id}/links"

FIRES = (("", "Nothing: it is a click"), ("event", "A custom event"), ("conversion", "A conversion"))
PASSED = "utm_*, gclid, gbraid, wbraid, fbclid, msclkid"
"""What a new link hands on."""

_TEXTS = ("id", "name", "page_id", "pass", "fallback_url", "fires", "fires_name", "amount", "currency")
_TARGET = ("url", "weight", "to_page_id")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Line:
    """A link with its figures; `definition` is None where it was deleted, or cannot be asked for."""

    link_id: str
    address: str
    definition: dict[str, Any] | None
    figures: dict[str, Figure]
    fired: Figure

    @property
    def fires_events(self) -> bool:
        """Whether what is counted as fired are events, not conversions."""
        return self.fired.of.mart == link_clicks.GOALS


@router.get(PATH)
def link_list(request: Request, viewer: AnyViewer) -> Response:
    """Links with what became of their clicks; those that nobody followed stand at the end."""
    known_days = link_clicks.clicked_days
    with viewing(request, viewer, "links", said_when_empty=True, also_known=known_days) as view:
        defined = Defined(request, viewer).all(LINKS)
        # Builds of older versions know no links.
        is_counted = link_clicks.MART in view.reading.marts
        rows = view.rows(link_clicks.MART, "click_date", is_bot=False).where("link_id.is", "set")
        counted = link_clicks.by_link(view.reading, rows) if is_counted else {}
        goals = view.rows(link_clicks.GOALS)
        events = link_clicks.events_fired(view.reading, goals, counted)
        known = addresses(request, viewer.project_id)
        lines = []
        for link_id in [*counted, *sorted(set(defined or ()) - set(counted))]:
            unclicked = link_clicks.unclicked(rows, link_id, 0 if is_counted else None)
            figures = counted.get(link_id, unclicked)
            # A goal of custom events makes no conversions.
            fired = figures["conversions"] or events.get(link_id, figures["conversions"])
            definition = (defined or {}).get(link_id)
            lines.append(Line(link_id, known.link(link_id), definition, figures, fired))
        context = {
            "lines": lines[: view.most_rows],
            "is_cut": len(lines) > view.most_rows,
            "total": link_clicks.of_all(view.reading, rows) if is_counted else None,
            "events_fired": link_clicks.all_events(
                goals, {line.link_id: line.fired for line in lines if line.fires_events}
            ),
            "is_ingest_there": defined is not None,
            "saved": request.query_params.get("saved", ""),
        }
        return view.render("links.html", context)


@router.get(f"{PATH}/target")
def target(request: Request, viewer: Editor) -> Response:
    """The fields of one more target, as a piece of the form."""
    context = {"view": frame(request, viewer, "links"), "target": _new_target()}
    return html("link_target.html", {**context, "is_added": True})


def _read(form: Fields) -> dict[str, Any]:
    """A link as a browser sent it."""
    return {
        **{name: form.text(name) for name in _TEXTS},
        "append_vid": form.has("append_vid"),
        "is_active": form.has("is_active"),
        "targets": _read_targets(form),
    }


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    """The same in the API's shape. Raises NotTaken."""
    return {
        "name": fields["name"],
        "page_id": fields["page_id"] or None,
        "to": [
            {
                "url": each["url"],
                "weight": rules.whole(each["weight"] or "1"),
                "page_id": each["to_page_id"] or None,
            }
            for each in fields["targets"]
            if each["url"] or each["to_page_id"]
        ],
        "pass": [name for part in fields["pass"].split(",") if (name := part.strip())],
        "append_vid": fields["append_vid"],
        "is_active": fields["is_active"],
        "fallback_url": fields["fallback_url"] or None,
        "fires": _fires(fields),
    }


def _fires(fields: Mapping[str, str]) -> dict[str, Any] | None:
    if not fields["fires"]:
        return None
    # The form hides what only a conversion has.
    value = rules.value(fields) if fields["fires"] == "conversion" else None
    return {"type": fields["fires"], "name": fields["fires_name"], "value": value}


def _read_targets(form: Fields) -> list[dict[str, str]]:
    """The targets of a form, those left empty too. Raises Refusal 400 when the form lacks some fields."""
    columns = [form.all(name) for name in _TARGET]
    if len({len(column) for column in columns}) != 1:
        raise Refusal(400, "The form is not complete; open the page again.")
    return [dict(zip(_TARGET, row, strict=True)) for row in zip(*columns, strict=True)]


def _new_target() -> dict[str, str]:
    return {**dict.fromkeys(_TARGET, ""), "weight": "1"}


def _blank(_request: Request) -> dict[str, Any]:
    """A new link as the form's fields."""
    flags = {"append_vid": True, "is_active": True}
    return {**dict.fromkeys(_TEXTS, ""), **flags, "pass": PASSED, "targets": [_new_target()]}


def _shown(link: Mapping[str, Any]) -> dict[str, Any]:
    """A link of the API as the form's fields."""
    fires = link["fires"] or {"type": "", "name": "", "value": None}
    return {
        "id": link["link_id"],
        "name": link["name"],
        "page_id": link["page_id"] or "",
        "pass": ", ".join(link["pass"]),
        "append_vid": link["append_vid"],
        "is_active": link["is_active"],
        "fallback_url": link["fallback_url"] or "",
        "fires": fires["type"],
        "fires_name": fires["name"],
        **rules.shown_value(fires["value"]),
        "targets": [
            {"url": each["url"], "weight": str(each["weight"]), "to_page_id": each["page_id"] or ""}
            for each in link["to"]
        ],
    }


def _beside(request: Request, viewer: Viewer, link_id: str, _fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the form offers, and the address of a link that is there."""
    return {
        "fires": FIRES,
        "pages": Defined(request, viewer).all(PAGES) or {},
        "address": addresses(request, viewer.project_id).link(link_id) if link_id else "",
    }


add_form(
    router,
    DefinitionForm(
        kind=LINKS,
        page="links",
        path="links",
        new="New link",
        template="link_form.html",
        blank=_blank,
        shown=_shown,
        read=_read,
        body=_body,
        saved=lambda view, link_id: view.url("links", saved=link_id),
        more=_beside,
    ),
)
