"""Who may see a page, as FastAPI types, and what a form must bring.

A page that takes `AnyViewer` is closed to everyone who has not signed in with a key of its project; keys are
looked up at every request, so that a revoked one is out within a second. A route that takes `Form` is closed
to what another site sends: it wants the session's token and, where the browser tells one, our own origin.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request

from funnelhouse.keys import Key, KeyRing
from funnelhouse.problems import Refusal
from read_api.dashboard.sessions import Session, Sessions
from record.landing.store import LandingError

COOKIE = "funnelhouse_session"

MOST_FORM_BYTES = 64 * 1024
FORM_SECONDS = 10.0
MOST_FILE_BYTES = 1024 * 1024
"""As the ingest API takes."""
FILE_SECONDS = 30.0
FORM_HEADER = "Funnelhouse-Token"


@dataclass(frozen=True)
class Access:
    """What a session's keys open of one project: `read` shows it, `admin` edits it, `send` sends events."""

    read: str | None
    admin: str | None
    send: str | None


@dataclass(frozen=True)
class SignedIn:
    """A signed-in browser, and what it may see: projects by id."""

    session_id: str
    session: Session
    projects: Mapping[str, Access]


@dataclass(frozen=True)
class Viewer:
    """A signed-in browser in one project. `read`, `admin` and `send` are keys as presented."""

    signed_in: SignedIn
    project_id: str
    read: str
    admin: str | None
    send: str | None


def sessions_of(request: Request) -> Sessions:
    """The running app's sessions."""
    found: Sessions = request.app.state.sessions
    return found


def find_key(request: Request, presented: str) -> Key | None:
    """The key, None when it is wrong or has ended. Raises Refusal 503 while keys cannot be read."""
    keys: KeyRing = request.app.state.keys
    try:
        return keys.find(presented)
    except LandingError as error:
        raise Refusal(
            503, "Keys cannot be read at the moment; try again.", headers={"Retry-After": "1"}
        ) from error


def find_signed_in(request: Request) -> SignedIn | None:
    """The request's session with what its keys open now; None when there is none."""
    sessions = sessions_of(request)
    session_id = request.cookies.get(COOKIE, "")
    session = sessions.find(session_id) if session_id else None
    if session is None:
        return None
    found = {presented: find_key(request, presented) for presented in session.keys}
    ended = {presented for presented, key in found.items() if key is None}
    if ended:
        sessions.drop_keys(session, ended)
    projects: dict[str, Access] = {}
    for presented, key in found.items():
        if key is not None:
            before = projects.get(key.project_id, Access(None, None, None))
            projects[key.project_id] = Access(
                before.read or (presented if "read" in key.scopes else None),
                before.admin or (presented if "admin" in key.scopes else None),
                before.send or (presented if "ingest" in key.scopes else None),
            )
    readable = {project: access for project, access in projects.items() if access.read is not None}
    if not readable:
        sessions.end(session_id)
        return None
    return SignedIn(session_id, session, readable)


def _signed_in(request: Request) -> SignedIn:
    signed_in = find_signed_in(request)
    if signed_in is None:
        raise Refusal(401, "Sign in to see this page.")
    return signed_in


def viewer_of(signed_in: SignedIn, project_id: str) -> Viewer:
    """Who is signed in, in this project, else in the first one that is open to them."""
    chosen = project_id if project_id in signed_in.projects else next(iter(signed_in.projects))
    access = signed_in.projects[chosen]
    return Viewer(signed_in, chosen, access.read or "", access.admin, access.send)


def _viewer(signed_in: "AnySignedIn", project_id: str) -> Viewer:
    access = signed_in.projects.get(project_id)
    if access is None or access.read is None:
        raise Refusal(404, "You are not signed in to this project; add a key of it under Keys.")
    return Viewer(signed_in, project_id, access.read, access.admin, access.send)


def _editor(viewer: "AnyViewer") -> Viewer:
    if viewer.admin is None:
        raise Refusal(403, "Editing needs a key with the scope admin; add one under Keys.")
    return viewer


AnySignedIn = Annotated[SignedIn, Depends(_signed_in)]
AnyViewer = Annotated[Viewer, Depends(_viewer)]
Editor = Annotated[Viewer, Depends(_editor)]


class Fields:
    """A form's fields, in the order in which the browser sent them."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str) -> str:
        """The field's value without blanks at its ends; '' when it is not there."""
        return next((value.strip() for key, value in self._pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """The values of all fields of this name."""
        return [value.strip() for key, value in self._pairs if key == name]

    def has(self, name: str) -> bool:
        """Whether it is there at all, as a ticked box is."""
        return any(key == name for key, _ in self._pairs)


async def read_form(request: Request) -> Fields:
    """The form that a page of ours sent. Raises Refusal 403 for one of another site, 400, 408 and 413."""
    _refuse_other_site(request)
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise Refusal(400, "Send a form as application/x-www-form-urlencoded.")
    body = await _received(request, MOST_FORM_BYTES, FORM_SECONDS, "The form")
    try:
        return Fields(parse_qsl(body.decode(), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise Refusal(400, "The form is not valid UTF-8.") from None


def _refuse_other_site(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refusal(403, "The form was sent from another site.")


async def _received(request: Request, most_bytes: int, seconds: float, what: str) -> bytes:
    """The body. Raises Refusal 408 and 413."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > most_bytes:
                    raise Refusal(413, f"{what} is too large.")
    except TimeoutError:
        raise Refusal(408, f"{what} took too long to arrive.") from None
    return bytes(body)


async def _form(request: Request, signed_in: AnySignedIn) -> Fields:
    fields = await read_form(request)
    if not signed_in.session.has_token(fields.text("csrf")):
        raise Refusal(403, "This form has expired; open the page again and send it once more.")
    return fields


Form = Annotated[Fields, Depends(_form)]


async def _file(request: Request, signed_in: AnySignedIn) -> bytes:
    if not signed_in.session.has_token(request.headers.get(FORM_HEADER, "")):
        raise Refusal(403, "This form has expired; open the page again and send it once more.")
    _refuse_other_site(request)
    return await _received(request, MOST_FILE_BYTES, FILE_SECONDS, "The file")


File = Annotated[bytes, Depends(_file)]
"""A file's bytes, as a script of a page of ours sends them with the session's token in a header."""
