"""What is to be done about deliveries, over HTTP: written down here, carried out by `funnelhouse forward`."""

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import Field, model_validator

from funnelhouse.auth import AdminCaller
from ingest_api.fields import Time
from ingest_api.forwarding.destinations import DESTINATION, DestinationId, defined
from ingest_api.idempotency import PARAMETER, once
from ingest_api.native import NonEmpty, OwnShape, described_body, read_as, shaped
from ingest_api.requests import answered_once, is_dry_run, now_us, read_known, stores
from ingest_api.window.landed import utc
from record.landing.answers import keep_answers
from record.landing.store import Answer, LandingStore
from record.wishes import MOST_IDS, REPLAYED_STATES, Action, ReplayedState, Wish, append_wish

REPLAY = "/v1/projects/{project_id}/deliveries/replay"

router = APIRouter()


class Note(OwnShape):
    """Why somebody wants it."""

    note: Annotated[NonEmpty | None, Field(description="Why, for who looks later.")] = None


class Replay(OwnShape):
    """Which deliveries are sent again: those with the ids, else those that fit all the rest."""

    delivery_ids: Annotated[
        list[Annotated[str, Field(pattern=r"^msg_[A-Za-z0-9]{1,60}$")]],
        Field(max_length=MOST_IDS, description="Ids of deliveries.", default_factory=list),
    ]
    destination_id: Annotated[NonEmpty | None, Field(description="Only of this destination.")] = None
    states: Annotated[
        list[ReplayedState],
        Field(
            max_length=len(REPLAYED_STATES),
            description="Only in these states; without any, dead ones.",
            default_factory=list,
        ),
    ]
    since: Annotated[Time | None, Field(description="Only those made from this time on.")] = None
    until: Annotated[Time | None, Field(description="Only those made before this time.")] = None
    fresh: Annotated[
        bool,
        Field(
            description="Whether they are told as the newest publication has it, not as they were planned."
        ),
    ] = False

    @model_validator(mode="after")
    def _chooses(self) -> "Replay":
        others = (self.destination_id, self.since, self.until)
        if self.delivery_ids and (self.states or any(each is not None for each in others)):
            raise ValueError("delivery_ids: leave them out, or all else that chooses")
        if not self.delivery_ids and all(each is None for each in others):
            raise ValueError("say which: delivery_ids, destination_id, since or until")
        return self


NOTE_EXAMPLE = {"note": "Their server is moving until noon"}
REPLAY_EXAMPLE = {"destination_id": "push-network", "states": ["dead"], "since": "2026-03-01T00:00:00Z"}


def _described(shape: type[OwnShape], example: dict[str, Any]) -> dict[str, Any]:
    return {**described_body(shape.model_json_schema(), example), "parameters": [PARAMETER]}


def _add_route(action: Action, told: str) -> None:
    async def wish(request: Request, caller: AdminCaller, destination_id: DestinationId) -> Response:
        return await _wished(request, caller.project_id, action, _noted, destination_id)

    wish.__doc__ = f"{told} It is wished for here; within seconds `funnelhouse forward` does it."
    router.add_api_route(
        f"{DESTINATION}/{action}",
        wish,
        methods=["POST"],
        status_code=202,
        openapi_extra=_described(Note, NOTE_EXAMPLE),
    )


_add_route("pause", "Send it nothing until it is resumed; what is planned waits.")
_add_route("resume", "Send to it again, what waits first.")
_add_route("release", "Send what is held: after a surge, or by a copy or a restored backup.")
_add_route("test", "Send one delivery that says that it is a test.")


@router.post(REPLAY, status_code=202, openapi_extra=_described(Replay, REPLAY_EXAMPLE))
async def replay(request: Request, caller: AdminCaller) -> Response:
    """Send deliveries again, under the ids that they had: who deduplicates by id sees no second one.

    It is wished for here; within seconds `funnelhouse forward` does it.
    """
    return await _wished(request, caller.project_id, "replay", _replayed)


def _noted(value: Any) -> dict[str, Any]:
    return read_as(Note, value).model_dump()


def _replayed(value: Any) -> dict[str, Any]:
    wanted = read_as(Replay, value)
    return {
        "destination_id": wanted.destination_id,
        "delivery_ids": wanted.delivery_ids,
        "states": wanted.states or (["dead"] if not wanted.delivery_ids else []),
        "since_us": wanted.since,
        "until_us": wanted.until,
        "fresh": wanted.fresh,
    }


async def _wished(
    request: Request,
    project_id: str,
    action: Action,
    read: Callable[[Any], dict[str, Any]],
    destination_id: str | None = None,
) -> Response:
    """Append what a body wishes, once under an Idempotency-Key, and answer what was wished.

    Of a destination that the path doesn't name, the body may.
    """
    is_trial = is_dry_run(request)
    body = await read_known(request, project_id, request.scope["path"])
    repeatable = once(request, project_id, body)
    if destination_id is not None:
        await defined(request, project_id, destination_id)
    wanted = await shaped(request, project_id, body or b"{}", read)
    about = destination_id or wanted.pop("destination_id", None)

    def append(store: LandingStore) -> Response | Answer:
        if is_trial:
            earlier = repeatable.earlier(store) if repeatable else None
            return earlier or _answered(Wish(0, project_id, about, action, wanted, now_us()))
        with store.transaction():
            if repeatable is None:
                return _answered(append_wish(store, project_id, about, action, wanted))
            # First the wish, whose number the answer has; a repeat takes it back.
            wish = append_wish(store, project_id, about, action, wanted)
            response = _answered(wish)
            kept = keep_answers(store, {0: repeatable.answer(response)})
            if kept:
                raise _Repeated(kept[0])
            return response

    try:
        found = await stores(request).writer.ask(project_id, append)
    except _Repeated as repeated:
        found = repeated.answer
    return answered_once(found, repeatable, is_trial)


class _Repeated(Exception):  # noqa: N818 - takes back what a repeat would do a second time
    """An earlier request under the key was done, and got this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def _answered(wish: Wish) -> Response:
    shown = {
        "wish_id": wish.id,
        "action": wish.action,
        "destination_id": wish.destination_id,
        "wished_at": utc(wish.wished_us),
    }
    return Response(orjson.dumps(shown), 202, media_type="application/json")
