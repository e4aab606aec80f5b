"""Notes on days of a project, beside its charts: listed, added and deleted over HTTP; never sealed.

A note for the whole project needs the scope admin, like whatever else changes what others see. One of
one's own needs only a key that reads, and only that key's holder sees it.
"""

import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, Field

from funnelhouse.auth import ReadOrAdminCaller
from funnelhouse.keys import find_key
from funnelhouse.problems import Refusal
from ingest_api.body import read_body
from ingest_api.costs import Day, checked_day
from ingest_api.idempotency import PARAMETER, once
from ingest_api.native import OwnShape, described_body, json_answer, read_as, shaped
from ingest_api.requests import DRY_RUN, answered_once, is_dry_run, stores
from ingest_api.window.landed import utc
from record.landing.answers import keep_answers
from record.landing.store import Answer, LandingStore
from record.notes import (
    MOST_CHARACTERS,
    MOST_NOTES,
    Note,
    delete_note,
    find_note,
    has_room,
    insert_note,
    list_notes,
    new_note,
)

MOST_LISTED = 500

NOTES = "/v1/projects/{project_id}/notes"
NOTE = f"{NOTES}/{{note_id}}"

FOR_ADMINS = "A note of the whole project needs the scope admin; a personal one does not (is_personal)."
UNKNOWN_NOTE = f"Unknown note; GET {NOTES} lists those that you see."
WRONG_AFTER = "after: must be `next` of the page before"
FULL = f"There are {MOST_NOTES} notes already; delete some that nobody needs."

router = APIRouter()

_ID = re.compile(r"[0-9A-Za-z]{12}")
_PLACE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})_([0-9]{1,18})_([0-9A-Za-z]{12})")


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must say something")
    return text.strip()


class NewDayNote(OwnShape):
    """A note to be kept."""

    day: Annotated[Day, Field(description="Day in the project's time zone.")]
    text: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MOST_CHARACTERS,
            description="What there is to know.",
            json_schema_extra={"pattern": r"\S"},
        ),
        AfterValidator(_said),
    ]
    is_personal: Annotated[
        bool, Field(description="Whether only the holder of this key sees it, not the whole project.")
    ] = False


EXAMPLE = {"day": "2026-03-01", "text": "Spring sale began", "is_personal": True}
"""A body of POST."""


@router.get(NOTES)
async def list_all(
    request: Request,
    caller: ReadOrAdminCaller,
    first: Annotated[str, Query(alias="from", description="First day; without it the first of all.")] = "",
    last: Annotated[str, Query(alias="to", description="Last day; without it the last of all.")] = "",
    after: Annotated[str, Query(description="`next` of the page before.")] = "",
) -> Response:
    """Notes of the project, and personal ones of the key that asks; by day, in pages of 500."""
    begin = _asked_day("from", first) or "2000-01-01"
    end = _asked_day("to", last) or "2100-12-31"
    place = _PLACE.fullmatch(after) if after else None
    if after and place is None:
        raise Refusal(400, WRONG_AFTER)
    behind = (place[1], int(place[2]), place[3]) if place else None

    def page(store: LandingStore) -> Response:
        found = list_notes(store, caller.project_id, caller.key_id, begin, end, behind, limit=MOST_LISTED + 1)
        shown = found[:MOST_LISTED]
        following = "_".join(map(str, shown[-1].place)) if len(found) > MOST_LISTED else None
        return json_answer({"notes": [_shown(note) for note in shown], "next": following})

    return await stores(request).reader.ask(caller.project_id, page)


@router.post(
    NOTES,
    status_code=201,
    openapi_extra={**described_body(NewDayNote.model_json_schema(), EXAMPLE), "parameters": [PARAMETER]},
)
async def create(request: Request, caller: ReadOrAdminCaller) -> Response:
    """Keep a note on a day. It changes no figure. To change a note, delete it and add another."""
    is_trial = is_dry_run(request)
    # Not kept when it cannot be read: what is personal is in no list of what was refused.
    body = await read_body(request)
    repeatable = once(request, caller.project_id, body)
    wanted = await shaped(request, caller.project_id, body, _wanted, "reason")
    if not wanted.is_personal and "admin" not in caller.scopes:
        raise Refusal(403, FOR_ADMINS)

    def keep(store: LandingStore) -> Response | Answer:
        name = find_key(store, caller.key_id).name
        note = new_note(wanted.day, wanted.text, wanted.is_personal, caller.key_id, name)
        response = _created(note)
        if is_trial:
            return (repeatable.earlier(store) if repeatable else None) or response
        with store.transaction():
            kept = keep_answers(store, {0: repeatable.answer(response)}) if repeatable else {}
            if kept:
                return kept[0]
            if not has_room(store, caller.project_id, note):
                # Raised within the transaction: the answer is not kept, and may be asked for again.
                raise Refusal(400, FULL)
            insert_note(store, caller.project_id, note)
        return response

    found = await stores(request).writer.ask(caller.project_id, keep)
    return answered_once(found, repeatable, is_trial)


@router.delete(NOTE, status_code=204)
async def delete(request: Request, caller: ReadOrAdminCaller, note_id: str) -> Response:
    """Forget a note; nothing of it is kept."""
    is_trial = is_dry_run(request)

    def work(store: LandingStore) -> Response:
        # Databases differ in what can be asked for; anything else cannot be one.
        is_id = _ID.fullmatch(note_id) is not None
        note = find_note(store, caller.project_id, caller.key_id, note_id) if is_id else None
        if note is None:
            raise Refusal(404, UNKNOWN_NOTE)
        if not note.is_personal and "admin" not in caller.scopes:
            raise Refusal(403, FOR_ADMINS)
        if not is_trial:
            delete_note(store, caller.project_id, note_id)
        return Response(status_code=204, headers={DRY_RUN: "1"} if is_trial else None)

    return await stores(request).writer.ask(caller.project_id, work)


def _wanted(value: Any) -> NewDayNote:
    return read_as(NewDayNote, value)


def _asked_day(name: str, text: str) -> str:
    """A day, or '' where none is asked for. Raises Refusal 400."""
    try:
        return checked_day(text) if text else ""
    except ValueError as error:
        raise Refusal(400, f"{name}: {error}") from None


def _shown(note: Note) -> dict[str, Any]:
    return {
        "note_id": note.note_id,
        "day": note.day,
        "text": note.text,
        "is_personal": note.is_personal,
        "key_id": note.key_id,
        "key_name": note.key_name,
        "created_at": utc(note.created_us),
    }


def _created(note: Note) -> Response:
    return Response(orjson.dumps(_shown(note)), 201, media_type="application/json")
