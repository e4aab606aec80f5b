"""Deliveries: each message to a destination about one conversion, and what became of it."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from forwarding.outbox import reading
from forwarding.preview import rendered
from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import json_answer, opened, refuse_unknown_parameters, tag_answer
from read_api.forwarded import Forwarded
from read_api.parameters import one_of, utc_moment, whole_number
from read_api.reports import PATH

MOST_ROWS = 1_000
USUAL_ROWS = 100

_POSITION = re.compile(r"([0-9]{1,18})\.(msg_[a-z0-9]{1,64})")
_EPOCH = datetime(1970, 1, 1)

router = APIRouter(tags=["reports"])


@dataclass(frozen=True)
class Filters:
    """Which deliveries; '' asks nothing. `after` is the position of the last one that is known."""

    destination: str = ""
    state: str = ""
    conversion: str = ""
    since: datetime | None = None
    after: tuple[int, str] | None = None
    limit: int = USUAL_ROWS


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """One message to a destination."""

    delivery_id: Annotated[str, Field(description="The same in every repeat of the message.")]
    destination_id: str
    destination_version: Annotated[int, Field(description="Of the definition by which it was planned.")]
    conversion_id: Annotated[str | None, Field(description="Null for a test.")]
    ordinal: Annotated[int, Field(description="Which message about this conversion it is, from 1.")]
    kind: Annotated[str, Field(description="create, restate, retract, test or erased.")]
    state: Annotated[str, Field(description="Where it is on its way: " + ", ".join(reading.STATES) + ".")]
    reason: Annotated[str | None, Field(description="Why it was skipped, held or cancelled, or died.")]
    build_id: Annotated[str | None, Field(description="The build whose figures it tells; null for a test.")]
    told_state: Annotated[str | None, Field(description="State of the conversion that it tells.")]
    value_minor: Annotated[int | None, Field(description="Amount that it tells, in minor units.")]
    currency: str | None
    occurred_at: Annotated[datetime | None, Field(description="When the conversion occurred.")]
    created_at: Annotated[datetime, Field(description="When it was planned.")]
    due_at: Annotated[datetime | None, Field(description="When it is tried next; null when it is not.")]
    expires_at: Annotated[datetime | None, Field(description="When it is useless; null for never.")]
    tries: Annotated[
        int, Field(description="Requests that count, which none does while its destination is paused.")
    ]
    first_try_at: datetime | None
    done_at: Annotated[datetime | None, Field(description="When it ended, whatever became of it.")]
    batch_id: Annotated[str | None, Field(description="What was sent in one request has one in common.")]
    remote_id: Annotated[str | None, Field(description="What the receiver calls it.")]
    status: Annotated[int | None, Field(description="HTTP status of the last answer.")]
    error_code: str | None
    error_text: Annotated[str | None, Field(description="What was said last, without secrets.")]


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One request that carried it."""

    n: Annotated[int, Field(description="From 1.")]
    started_at: datetime
    milliseconds: int
    status: Annotated[int | None, Field(description="HTTP status; null when no answer came.")]
    code: Annotated[str, Field(description="What went wrong; empty for nothing.")]
    answer: Annotated[str, Field(description="What was answered, without secrets; 2 KB at most.")]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it is sent, `***` for each secret."""

    method: str
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Delivered(DeliveryLine):
    """A message with its request, and each attempt to deliver it."""

    message: Annotated[
        Sent | None, Field(description="As the destination's newest definition renders it; null without.")
    ]
    message_missing: Annotated[str | None, Field(description="Why there is no `message`.")]
    attempts: Annotated[list[AttemptLine], Field(description="Of the last 30 days, in order.")]


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    build: str
    rows: list[DeliveryLine]
    next: str | None = Field(description="`after` of the next page, null at the end.")


class DeliveryAnswer(BaseModel):
    """One delivery."""

    build: str
    delivery: Delivered


def deliveries(of: Forwarded, project_id: str, filters: Filters) -> tuple[list[DeliveryLine], str | None]:
    """Newest first, ties by id, and the position of the next page; nothing where there is no outbox.

    Raises Refusal 503.
    """
    with of.outbox() as store:
        if store is None:
            return [], None
        found = reading.deliveries(
            store,
            project_id,
            destination_id=filters.destination or None,
            state=filters.state or None,
            conversion_id=filters.conversion or None,
            since_us=None if filters.since is None else _us(filters.since),
            after=filters.after,
            limit=filters.limit + 1,
        )
    shown = found[: filters.limit]
    following = f"{shown[-1].created_us}.{shown[-1].delivery_id}" if len(found) > len(shown) else None
    return [_line(each) for each in shown], following


def delivery(of: Forwarded, project_id: str, delivery_id: str) -> Delivered:
    """One, with its message as it is sent and each attempt. Raises Refusal 404, 503."""
    with of.outbox() as store:
        found = None if store is None else reading.delivery(store, project_id, delivery_id)
    if found is None:
        raise Refusal(404, "Unknown delivery_id; `deliveries` lists those that exist.")
    message, missing = _message(of, found)
    attempts = [
        AttemptLine(each.n, at(each.started_us), each.milliseconds, each.status, each.code, each.answer)
        for each in found.attempts
    ]
    line = _line(found.found)
    values = {name: getattr(line, name) for name in DeliveryLine.__dataclass_fields__}
    return Delivered(**values, message=message, message_missing=missing, attempts=attempts)


def position(text: str) -> tuple[int, str] | None:
    """Where a page begins, of what `next` said; None for anything else."""
    found = _POSITION.fullmatch(text)
    return None if found is None else (int(found[1]), found[2])


def at(us: int) -> datetime:
    """Unix microseconds as UTC, naive."""
    return _EPOCH + timedelta(microseconds=us)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def since_asked(text: str | None) -> datetime | None:
    """A day or a time of ISO 8601 as UTC, naive. Raises Refusal 400."""
    if not text:
        return None
    try:
        return utc_moment(text)
    except (ValueError, OverflowError):
        raise Refusal(400, "since must be a date as YYYY-MM-DD or a time as in ISO 8601") from None


def _line(found: reading.Found) -> DeliveryLine:
    return DeliveryLine(
        delivery_id=found.delivery_id,
        destination_id=found.destination_id,
        destination_version=found.destination_version,
        conversion_id=None if found.kind == "test" else found.conversion_id,
        ordinal=found.ordinal,
        kind=found.kind,
        state=found.state,
        reason=found.reason,
        build_id=found.build_id or None,
        told_state=found.state_wanted,
        value_minor=found.value_minor,
        currency=found.currency,
        occurred_at=_at(found.event_us),
        created_at=at(found.created_us),
        due_at=_at(found.due_us),
        expires_at=_at(found.expires_us),
        tries=found.tries,
        first_try_at=_at(found.first_try_us),
        done_at=_at(found.done_us),
        batch_id=found.batch_id,
        remote_id=found.remote_id,
        status=found.status,
        error_code=found.error_code,
        error_text=found.error_text,
    )


def _at(us: int | None) -> datetime | None:
    return None if us is None else at(us)


def _message(of: Forwarded, whole: reading.Whole) -> tuple[Sent | None, str | None]:
    """The request of a delivery, or why it cannot be shown."""
    found = whole.found
    if whole.facts is None:
        return None, "What it is made of is kept for 30 days after its end."
    destination = of.destinations(found.project_id).get(found.destination_id)
    if destination is None:
        return None, "Its destination was deleted, and with it how its messages are written."
    message = rendered(destination, of.platforms[destination.kind], whole.delivery(), found.created_us)
    return Sent(message.method, message.shown_url, message.shown), None


@router.get(f"{PATH}/deliveries", response_model=DeliveryPage)
def deliveries_report(
    request: Request,
    caller: ReadCaller,
    destination: Annotated[str | None, Query(description="Only to this destination.")] = None,
    state: Annotated[str | None, Query(description="Only in this state.")] = None,
    conversion: Annotated[str | None, Query(description="Only about this conversion.")] = None,
    since: Annotated[
        str | None, Query(description="Only those planned from then on: YYYY-MM-DD, or ISO 8601.")
    ] = None,
    limit: Annotated[str | None, Query(description="Rows of a page, 1 to 1000; default 100.")] = None,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """What was told to destinations, newest first: each message, and what became of it.

    They are as they are now, whatever build is read.
    """
    refuse_unknown_parameters(request)
    begin = position(after) if after else None
    if after and begin is None:
        raise Refusal(400, "after must be `next` of the page before")
    filters = Filters(
        destination or "",
        one_of("state", state, reading.STATES, ""),
        conversion or "",
        since_asked(since),
        begin,
        whole_number("limit", limit, USUAL_ROWS, MOST_ROWS),
    )
    with opened(request, caller) as reader:
        rows, following = deliveries(request.app.state.forwarded, caller.project_id, filters)
        tag_answer(request, caller, reader.build_id, rows, following)
        return json_answer(
            request, {"build": reader.build_id, "rows": rows, "next": following}, reader.build_id
        )


@router.get(f"{PATH}/deliveries/{{delivery_id}}", response_model=DeliveryAnswer)
def delivery_report(request: Request, caller: ReadCaller, delivery_id: str) -> Response:
    """One delivery: its message as it is sent, secrets shown as `***`, and each attempt to deliver it."""
    refuse_unknown_parameters(request)
    with opened(request, caller) as reader:
        found = delivery(request.app.state.forwarded, caller.project_id, delivery_id)
        tag_answer(request, caller, reader.build_id, found)
        return json_answer(request, {"build": reader.build_id, "delivery": found}, reader.build_id)
