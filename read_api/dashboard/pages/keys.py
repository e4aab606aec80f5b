"""Keys of a project, with their names: made, shown once, renamed and ended through the ingest API."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard import rules
from read_api.dashboard.access import Editor, Fields, Form, Viewer, find_key
from read_api.dashboard.defined import ingest_of, see_other
from read_api.dashboard.first_steps import all_keys
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.view import FEW_ROWS, View, frame

PATH = "/app/projects/{project_id}/setup/keys"

SCOPES = (
    ("ingest", "Server: sends everything"),
    ("page", "Web page: sends what a browser may, and anybody can read it"),
    ("read", "Reports: reads figures, definitions and events"),
    ("ingest,read,admin", "Everything: sends, reads and edits"),
)
"""Choices of scopes: what keys are made for."""

DAYS = "365"

_ONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ShownKey:
    """A key in a list; times are UTC and naive, as templates show them."""

    key_id: str
    name: str
    scopes: list[str]
    is_test: bool
    made: datetime
    last_used: datetime | None
    expires: datetime
    is_own: bool
    """Whether somebody is signed in with it, who looks at the list."""


@dataclass(frozen=True)
class Keys:
    """Those that work and the latest of those that have ended; the latest first."""

    working: list[ShownKey]
    ended: list[ShownKey]


def key_list(request: Request, viewer: Viewer) -> Keys | None:
    """The project's keys; None for who may not see them, and while the ingest API does not answer."""
    if viewer.admin is None:
        return None
    try:
        found = all_keys(request, viewer)
    except UnreachableError:
        return None
    own = {
        key.key_id for each in viewer.signed_in.session.keys if (key := find_key(request, each)) is not None
    }
    shown = [_shown(key, own) for key in reversed(found)]
    now = datetime.now(UTC).replace(tzinfo=None)
    ended = [key for key in shown if key.expires <= now]
    return Keys([key for key in shown if key.expires > now], ended[:FEW_ROWS])


@router.get(f"{PATH}/new")
def new_key(request: Request, viewer: Editor) -> Response:
    """The form for a key."""
    return _form(frame(request, viewer, "setup", "New key"), {"name": "", "scopes": "ingest", "days": DAYS})


@router.post(f"{PATH}/new")
def create_key(request: Request, viewer: Editor, form: Form) -> Response:
    """Make a key, and show it this once. The same form sent twice makes one."""
    days = form.text("days") or DAYS
    body: dict[str, Any] = {
        "name": form.text("name") or None,
        "scopes": form.text("scopes").split(","),
        "expires_days": rules.whole(days),
        "is_test": form.has("is_test"),
    }
    try:
        if not _ONCE.fullmatch(form.text("once")):
            raise NotTaken("The form is not complete; open the page again.")
        made = ingest_of(request).post(
            viewer.admin or "", viewer.project_id, "keys", body=body, idempotency_key=form.text("once")
        )
    except (NotTaken, UnreachableError) as refused:
        fields = {"name": form.text("name"), "scopes": form.text("scopes"), "days": days}
        return _form(frame(request, viewer, "setup", "New key"), fields, str(refused), form)
    view = frame(request, viewer, "setup", "New key")
    return view.render("key_made.html", {"key": made.get("key"), "name": made.get("name")})


@router.get(f"{PATH}/{{key_id}}/edit")
def edit_key(request: Request, viewer: Editor, key_id: str) -> Response:
    """The form for a key's name, and for its end."""
    keys = key_list(request, viewer)
    found = [] if keys is None else [key for key in keys.working if key.key_id == key_id]
    if not found:
        return see_other(f"{frame(request, viewer, 'setup').url('setup')}#keys")
    return _key_form(frame(request, viewer, "setup", "Key"), found[0], found[0].name)


@router.post(f"{PATH}/{{key_id}}/edit")
def rename_key(request: Request, viewer: Editor, key_id: str, form: Form) -> Response:
    """Give a key another name."""
    body = {"name": form.text("name")}
    try:
        ingest_of(request).put(viewer.admin or "", viewer.project_id, "keys", key_id, body=body)
    except (NotTaken, UnreachableError) as refused:
        keys = key_list(request, viewer)
        found = [] if keys is None else [key for key in keys.working if key.key_id == key_id]
        if not found:
            raise
        view = frame(request, viewer, "setup", "Key")
        return _key_form(view, found[0], form.text("name"), str(refused))
    return see_other(f"{frame(request, viewer, 'setup').url('setup', saved=key_id)}#keys")


@router.post(f"{PATH}/{{key_id}}/delete")
def end_key(request: Request, viewer: Editor, key_id: str, _: Form) -> Response:
    """End a key; nothing takes it any more."""
    ingest_of(request).delete(viewer.admin or "", viewer.project_id, "keys", key_id)
    return see_other(f"{frame(request, viewer, 'setup').url('setup')}#keys")


def _shown(key: dict[str, Any], own: set[str]) -> ShownKey:
    return ShownKey(
        key_id=key["key_id"],
        name=key["name"] or "",
        scopes=key["scopes"],
        is_test=key["is_test"],
        made=_utc(key["created_at"]),
        last_used=_utc(key["last_used_at"]) if key["last_used_at"] else None,
        expires=_utc(key["expires_at"]),
        is_own=key["key_id"] in own,
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def _form(view: View, fields: dict[str, str], error: str = "", form: Fields | None = None) -> Response:
    # Sent once more after an error, it is the same form still.
    once = form.text("once") if form else ""
    context = {"fields": fields, "error": error, "scopes": SCOPES, "once": once or view.once}
    return view.render("key_form.html", context, 422 if error else 200)


def _key_form(view: View, key: ShownKey, name: str, error: str = "") -> Response:
    return view.render(
        "key_name_form.html", {"key": key, "name": name, "error": error}, 422 if error else 200
    )
