"""Destinations: how it goes with what each is told, and what it would be told."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from forwarding.deliveries import Destination
from forwarding.outbox import reading
from forwarding.preview import Example, Preview, preview
from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import json_answer, opened, refuse_unknown_parameters, tag_answer
from read_api.forwarded import Forwarded
from read_api.parameters import whole_number
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.deliveries import at, since_asked
from read_api.reports.drafts import Source, facts_of_draft
from read_api.reports.forwardings import facts_since

DRY_RUN_DAYS = 7
"""Before now, where no `since` is said."""

MOST_EXAMPLES = 10
USUAL_EXAMPLES = 3

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class Skipped:
    """What is not told for one reason."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Sending:
    """A destination, and what became of its deliveries."""

    destination_id: str
    name: str | None
    kind: Annotated[str | None, Field(description="postback, meta, google or webhook.")]
    is_defined: Annotated[bool, Field(description="False for one that was deleted.")]
    state: Annotated[str, Field(description="active, inactive, paused, held or deleted.")]
    reason: Annotated[str | None, Field(description="Why it is paused or held.")]
    since_at: Annotated[datetime | None, Field(description="Since when it is paused or held.")]
    is_breaker_open: Annotated[
        bool, Field(description="It failed so often in a row that it is only asked once in a while.")
    ]
    planned_build: Annotated[str | None, Field(description="The last build whose figures were planned.")]
    delivered: int
    accepted: Annotated[int, Field(description="Taken, and the platform has yet to say what became of it.")]
    waiting: Annotated[int, Field(description="To be sent, or sent again.")]
    held: Annotated[int, Field(description="Waiting for `release`.")]
    dead: Annotated[int, Field(description="Given up; listed until replayed or dismissed.")]
    skipped: Annotated[list[Skipped], Field(description="Never sent, by reason; most first.")]
    oldest_waiting_at: Annotated[datetime | None, Field(description="When the oldest waiting was planned.")]
    median_seconds: Annotated[
        int | None, Field(description="From the report that decided to its delivery; of the latest thousand.")
    ]
    p95_seconds: Annotated[int | None, Field(description="In this time 95 % of them were delivered.")]
    told: Annotated[int, Field(description="Conversions that it was told.")]
    told_differently: Annotated[
        int,
        Field(
            description="Of those, how many it knows otherwise than they are published, though nothing "
            "waits, died, or cannot be told to it: should be 0."
        ),
    ]


class Destinations(BaseModel):
    """The project's destinations, by id."""

    build: str
    rows: list[Sending]


class DryRun(BaseModel):
    """What a destination would be told, had it been told nothing yet. Nothing is sent."""

    build: str
    destination_id: str
    since: datetime = Field(description="Conversions that occurred from then on, UTC.")
    sent: int = Field(description="Conversions that it would be told.")
    skipped: list[Skipped] = Field(description="Those that it would not, by reason; most first.")
    is_cut: bool = Field(description="Only the latest 20,000 were looked at.")
    examples: list[Example] = Field(description="Of the latest, as they would be sent.")


def sendings(of: Forwarded, project_id: str) -> list[Sending]:
    """All that are defined, or were told something. Raises Refusal 503."""
    defined = of.destinations(project_id)
    with of.outbox() as store:
        found = {} if store is None else reading.destinations(store, project_id)
    return [_sending(key, defined.get(key), found.get(key)) for key in sorted(defined.keys() | found.keys())]


def _sending(key: str, defined: Destination | None, found: reading.DestinationFound | None) -> Sending:
    found = found or _NOTHING
    state = "active"
    if defined is None:
        state = "deleted"
    elif not defined.body["is_active"]:
        state = "inactive"
    elif found.is_paused:
        state = "paused"
    elif found.is_held:
        state = "held"
    return Sending(
        destination_id=key,
        name=None if defined is None else defined.body["name"],
        kind=None if defined is None else defined.kind,
        is_defined=defined is not None,
        state=state,
        reason=found.reason,
        since_at=None if found.since_us is None else at(found.since_us),
        is_breaker_open=found.is_breaker_open,
        planned_build=found.planned_build,
        **{name: found.counts.get(name, 0) for name in ("delivered", "accepted", "held", "dead")},
        waiting=sum(found.counts.get(each, 0) for each in reading.WAITING),
        skipped=[Skipped(*each) for each in found.skipped.items()],
        oldest_waiting_at=None if found.oldest_waiting_us is None else at(found.oldest_waiting_us),
        median_seconds=_percentile(found.took_us, 50),
        p95_seconds=_percentile(found.took_us, 95),
        told=found.told,
        told_differently=found.told_differently,
    )


_NOTHING = reading.DestinationFound(False, None, None, False, False, None, {}, {}, None, (), 0, 0)


def _percentile(took_us: Sequence[int], percent: int) -> int | None:
    """The least of ascending values that so many percent don't exceed, in seconds."""
    if not took_us:
        return None
    return took_us[max(0, -(-len(took_us) * percent // 100) - 1)] // 1_000_000


def dry_run(
    of: Forwarded,
    reader: Reader,
    destination: Destination,
    since: datetime,
    now_us: int,
    examples: int,
    sources: Sequence[Source] | None = None,
) -> Preview:
    """What it would be told of conversions since then; with `sources`, as a draft that no build knows."""
    project_id, destination_id = destination.project_id, destination.destination_id
    facts = (
        facts_since(reader, project_id, destination_id, since)
        if sources is None
        else facts_of_draft(reader, project_id, destination.body, sources, since)
    )
    platform = of.platforms[destination.kind]
    return preview(destination, platform, facts, reader.build_id, now_us, examples)


def stored(shown: dict[str, Any]) -> dict[str, Any]:
    """A definition as the ingest API shows it, as it is stored."""
    body = {name: value for name, value in shown.items() if name not in ("destination_id", "version")}
    if "on" in body:
        body["trigger"] = body.pop("on")
    body.pop("since", None)
    return body


@router.get(f"{PATH}/destinations", response_model=Destinations)
def destinations_report(request: Request, caller: ReadCaller) -> Response:
    """Each destination: whether it is told, what was delivered, waits, died or was skipped, and how fast.

    What is told follows from the newest build; definitions and deliveries are as they are now.
    """
    refuse_unknown_parameters(request)
    with opened(request, caller) as reader:
        rows = sendings(request.app.state.forwarded, caller.project_id)
        tag_answer(request, caller, reader.build_id, rows)
        return json_answer(request, {"build": reader.build_id, "rows": rows}, reader.build_id)


@router.get(f"{PATH}/destinations/{{destination_id}}/dry-run", response_model=DryRun)
def dry_run_report(
    request: Request,
    caller: ReadCaller,
    destination_id: str,
    since: Annotated[
        str | None,
        Query(description="Conversions from then on: YYYY-MM-DD, or ISO 8601; default: the last 7 days."),
    ] = None,
    limit: Annotated[str | None, Query(description="Examples, 1 to 10; default 3.")] = None,
) -> Response:
    """What a destination would be told, counted and rendered, as if it had been told nothing yet.

    By the rules of the build, which know it as it was defined then; secrets are shown as `***`.
    """
    refuse_unknown_parameters(request)
    now = datetime.now(UTC).replace(tzinfo=None)
    begin = since_asked(since) or now.replace(microsecond=0) - timedelta(days=DRY_RUN_DAYS)
    count = whole_number("limit", limit, USUAL_EXAMPLES, MOST_EXAMPLES)
    of: Forwarded = request.app.state.forwarded
    with opened(request, caller) as reader:
        destination = of.destinations(caller.project_id).get(destination_id)
        if destination is None:
            raise Refusal(404, "Unknown destination_id; `destinations` lists those that exist.")
        found = dry_run(of, reader, destination, begin, time.time_ns() // 1000, count)
        tag_answer(request, caller, reader.build_id, found, begin)
        content = {
            "build": reader.build_id,
            "destination_id": destination_id,
            "since": begin,
            "sent": found.sent,
            "skipped": [Skipped(*each) for each in found.skipped.items()],
            "is_cut": found.is_cut,
            "examples": found.examples,
        }
        return json_answer(request, content, reader.build_id)
