"""Notes on days and changes of definitions: the markers of charts over time, and the list below them.

A chart's page asks for the list once it stands, so that no chart waits for the ingest API; `static/app.js`
draws the markers from the list. Without a script it is a page of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from funnelhouse.problems import Refusal
from read_api.dashboard.access import AnyViewer, Fields, Form, Viewer
from read_api.dashboard.defined import ingest_of, see_other
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.rendering import html
from read_api.dashboard.view import ALL, LATEST, View, viewing
from read_api.parameters import Days
from read_api.reports.projects import project, today

PATH = "/app/projects/{project_id}/notes"

PAGES_READ = 4
"""Of notes, and of changes: what is beyond them is said to be missing."""
OPEN_MARKS = 5
"""A longer list is folded."""

KINDS = {
    "goal": "Goal",
    "funnel": "Funnel",
    "page": "Page",
    "traffic_source": "Traffic source",
    "experiment": "Experiment",
    "settings": "Settings",
    "channels": "Channels",
    "exchange_rates": "Exchange rates",
}

_FIRST, _LAST = date(2000, 1, 1), date(2100, 12, 30)
"""Days that ingest has notes of."""
_ONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_BACK = re.compile(
    r"/app/projects/(?P<project>[^/?#]+)/"
    r"(?:overview|revenue|performance|landing-pages|notes)(?:\?[!-~]*)?"
)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Mark:
    """What happened on a day: a note, or a change of a definition, of which `note_id` is ''."""

    day: date
    text: str
    by: str = ""
    note_id: str = ""
    is_personal: bool = False
    may_delete: bool = False
    is_waiting: bool = False
    """Whether figures follow with the next build."""


@dataclass(frozen=True)
class Marks:
    """Those of some days, the newest first; `problem` says why there are none, or not all."""

    marks: list[Mark]
    problem: str = ""


@router.get(PATH)
def notes(request: Request, viewer: AnyViewer) -> Response:
    """What is marked on the days shown: a piece of a chart's page, or without a script a page."""
    with viewing(request, viewer, "notes", title="Notes", filters=False) as view:
        shown = _shown_days(view)
        fields = {"day": (shown.last or _LAST).isoformat(), "text": "", "whose": ""}
        return _answer(view, fields, is_piece="HX-Request" in request.headers)


@router.post(PATH)
def add_note(request: Request, viewer: AnyViewer, form: Form) -> Response:
    """Keep a note. The same form sent twice makes one."""
    fields = {name: form.text(name) for name in ("day", "text", "whose")}
    is_personal = fields["whose"] != "project"
    body = {"day": fields["day"], "text": fields["text"], "is_personal": is_personal}
    try:
        if not _ONCE.fullmatch(form.text("once")):
            raise NotTaken("The form is not complete; open the page again.")
        key, once = _key(viewer, is_personal), form.text("once")
        ingest_of(request).post(key, viewer.project_id, "notes", body=body, idempotency_key=once)
    except (NotTaken, UnreachableError) as refused:
        with viewing(request, viewer, "notes", title="Notes", filters=False) as view:
            return _answer(view, fields, str(refused), form)
    return see_other(f"{_back(viewer, form.text('back'))}#notes")


@router.post(f"{PATH}/{{note_id}}/delete")
def delete_note(request: Request, viewer: AnyViewer, note_id: str, form: Form) -> Response:
    """Forget a note."""
    key = _key(viewer, form.text("whose") != "project")
    ingest_of(request).delete(key, viewer.project_id, "notes", note_id)
    return see_other(f"{_back(viewer, form.text('back'))}#notes")


def _answer(
    view: View, fields: Mapping[str, str], error: str = "", form: Fields | None = None, is_piece: bool = False
) -> Response:
    found = marks(view)
    context = {
        "view": view,
        "marks": found.marks,
        "problem": found.problem,
        "is_open": len(found.marks) <= OPEN_MARKS,
        "fields": fields,
        "error": error,
        # Sent once more after an error, it is the same form still.
        "once": (form.text("once") if form else "") or view.once,
        "back": _back(view.viewer, form.text("back") if form else view.request.query_params.get("back", "")),
    }
    if is_piece:
        return html("notes_piece.html", context)
    return view.render("notes.html", context, 422 if error else 200)


def marks(view: View) -> Marks:
    """What is marked on the days of a view, the newest first."""
    days = _shown_days(view)
    first, last = max(days.first or _FIRST, _FIRST), min(days.last or _LAST, _LAST)
    if first > last:
        return Marks([])
    try:
        found, has_more = _notes(view, first, last)
        changes, has_more_changes = _changes(view, first, last)
    except UnreachableError as refused:
        return Marks([], refused.detail)
    problem = "There are more than are shown; choose fewer days." if has_more or has_more_changes else ""
    return Marks(sorted([*found, *changes], key=lambda mark: mark.day, reverse=True), problem)


def _shown_days(view: View) -> Days:
    """The days shown; those that end where figures do go on until now, as what happened does."""
    now = today(view.reading, view.project_id, datetime.now(UTC))
    if view.dates in (LATEST, ALL) and view.days.last is not None:
        return Days(view.days.first, max(view.days.last, now))
    return view.days


def _notes(view: View, first: date, last: date) -> tuple[list[Mark], bool]:
    asked = {"from": first.isoformat(), "to": last.isoformat()}
    rows, has_more = _pages(view, "notes", asked)
    return [
        Mark(
            day=date.fromisoformat(row["day"]),
            text=row["text"],
            by=row["key_name"] or "a key without a name",
            note_id=row["note_id"],
            is_personal=row["is_personal"],
            may_delete=row["is_personal"] or view.may_edit,
        )
        for row in rows
    ], has_more


def _changes(view: View, first: date, last: date) -> tuple[list[Mark], bool]:
    """Changes of definitions that reached the past, by the project's days."""
    zone = ZoneInfo(project(view.reading, view.project_id).time_zone)
    since = datetime.combine(first, time(), zone)
    until = datetime.combine(last + timedelta(days=1), time(), zone)
    asked = {"since": since.astimezone(UTC).isoformat()} if first > _FIRST else {}
    rows, has_more = _pages(view, "definition-changes", {**asked, "until": until.astimezone(UTC).isoformat()})
    facts = view.reading.facts
    began = datetime.fromisoformat(facts.get("started_at", facts["published_at"]))
    found = []
    for row in rows:
        at = datetime.fromisoformat(row["changed_at"])
        found.append(Mark(at.astimezone(zone).date(), change_words(row), is_waiting=at > began))
    return found, has_more


def change_words(change: Mapping[str, Any]) -> str:
    """`Goal “Sign-up” redefined`."""
    kind = KINDS.get(change["kind"], change["kind"])
    name = "" if change["id"] == change["kind"] else f" “{change['name'] or change['id']}”"
    word = {
        "exchange_rates": {"defined": "added", "deleted": "withdrawn"},
        "settings": {"defined": "changed", "redefined": "changed", "deleted": "reset"},
    }
    return f"{kind}{name} {word.get(change['kind'], {}).get(change['change'], change['change'])}"


def _pages(view: View, path: str, asked: Mapping[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """Rows of a list of the ingest API, and whether there are more. Raises UnreachableError."""
    found: list[dict[str, Any]] = []
    after: str | None = ""
    for _ in range(PAGES_READ):
        page = ingest_of(view.request).get(
            view.viewer.read, view.project_id, path, **{**asked, **({"after": after} if after else {})}
        )
        if page is None:
            # Of an older version: it has no such list.
            return found, False
        after = page.pop("next")
        (rows,) = page.values()
        found += rows
        if after is None:
            break
    return found, after is not None


def _key(viewer: Viewer, is_personal: bool) -> str:
    """The key to write with: what is personal is its reader's. Raises Refusal 403."""
    key = viewer.read if is_personal else viewer.admin
    if key is None:
        raise Refusal(403, "Notes of the whole project need a key with the scope admin; add one under Keys.")
    return key


def _back(viewer: Viewer, address: str) -> str:
    """Where a form leads: back to the page that it stood on, which is one of this project."""
    found = _BACK.fullmatch(address)
    is_ours = found is not None and found["project"] == viewer.project_id
    return address if is_ours else f"/app/projects/{viewer.project_id}/overview"
