"""A person: its identifiers, and what it did, in order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.paths import id_at_end
from funnelhouse.problems import Refusal
from read_api.answers import json_answer, reading
from read_api.parameters import FIRST_PAGE, AskedBuild, AskedPage, Page, cursor
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import having

# Of a person with very many ids the first are shown.
_IDENTIFIERS = 500

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class Person:
    """A person, as far as it is known."""

    person_id: str
    id_type: str
    id_value: str
    is_user_known: bool
    first_seen_at: datetime
    last_seen_at: datetime
    events: int
    users: int
    hashed_ids: int
    visitors: int


@dataclass(frozen=True, slots=True)
class Identifier:
    """An id that belongs to a person from one moment until another, and what linked it."""

    id_type: Annotated[str, Field(description="user, email, phone or visitor; of e-mail and phone the hash.")]
    id_value: str
    valid_from: datetime | None
    valid_until: Annotated[datetime | None, Field(description="Null: still.")]
    linked_by: Annotated[str | None, Field(description="How it is known to be theirs; null for their own.")]
    linked_to: str | None
    linked_event_id: Annotated[str | None, Field(description="The event that says so.")]
    first_seen_at: datetime
    last_seen_at: datetime
    events: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A session, touch, conversion, refund or goal completion of a person."""

    at: datetime
    kind: Annotated[str, Field(description="session, touch, conversion, refund or goal_completion.")]
    id: str
    name: Annotated[
        str | None,
        Field(description="Name of the conversion, also of one that is refunded; id of the goal."),
    ]
    session_id: str | None
    conversion_id: str | None
    source: str | None
    medium: str | None
    campaign: str | None
    landing_page: str | None
    state: str | None
    currency: str | None
    amount_minor: Annotated[
        int | None,
        Field(description="Of a conversion, as last reported; of a refund, what it takes away, below 0."),
    ]
    net_amount_minor: int | None
    page_views: int | None


class Timeline(BaseModel):
    """A person and what it did."""

    build: str
    person: Person
    also: list[str] = Field(description="Other people that the identifier belongs to, or belonged to.")
    identifiers: list[Identifier]
    moments: list[Moment] = Field(description="Latest first.")
    next: str | None


def find_people(reader: Reader, project_id: str, identifier: str, id_type: str | None = None) -> list[str]:
    """People that a person's id or any identifier names: who holds it now, or held it last, comes first."""
    itself, named = having(reader, "dim_people", project_id, "person_id", identifier)
    linked, values = having(reader, "dim_identifiers", project_id, "id_value", identifier)
    found = reader.rows(
        f"""
        with named as (
            select person_id, null::timestamp as valid_until, 0 as rank
            from dim_people
            where {itself} and ? is null
            union all
            select person_id, valid_until, 1 as rank
            from dim_identifiers
            where {linked} and (? is null or id_type = ?)
        )
        select person_id
        from named
        group by person_id
        order by min(rank), max(coalesce(valid_until, timestamp '9999-12-31')) desc, person_id
        limit ?
        """,  # noqa: S608
        [*named, id_type, *values, id_type, id_type, _IDENTIFIERS],
    )
    return [person_id for (person_id,) in found]


def person(reader: Reader, project_id: str, person_id: str) -> Person | None:
    """The person; None when there is none."""
    condition, values = having(reader, "dim_people", project_id, "person_id", person_id)
    found = reader.rows(f"select {columns(Person)} from dim_people where {condition}", values)  # noqa: S608
    return made(Person, found)[0] if found else None


def identifiers(reader: Reader, project_id: str, person_id: str) -> list[Identifier]:
    """A person's ids by type, value and time; the first, of very many."""
    condition, values = having(reader, "dim_identifiers", project_id, "person_id", person_id)
    found, _ = reader.first_rows(
        f"""
        select {columns(Identifier)}
        from dim_identifiers
        where {condition}
        order by id_type, id_value, valid_from nulls first
        limit ?
        """,  # noqa: S608
        [*values, _IDENTIFIERS],
    )
    return made(Identifier, found)


def timeline(
    reader: Reader,
    project_id: str,
    person_id: str,
    page: Page = FIRST_PAGE,
    *,
    are_visits_once: bool = False,
) -> list[Moment]:
    """Sessions, touches, conversions, refunds and goal completions of a person, latest first.

    With `are_visits_once` without the touches that their sessions tell of already.
    """
    sessions, of_sessions = having(reader, "fct_sessions", project_id, "person_id", person_id)
    touches, of_touches = having(reader, "fct_touches", project_id, "person_id", person_id)
    conversions, of_conversions = having(reader, "fct_conversions", project_id, "person_id", person_id)
    completions, of_completions = having(reader, "fct_goal_completions", project_id, "person_id", person_id)
    entries, of_entries = having(reader, "fct_conversion_ledger", project_id, "person_id", person_id)
    found = reader.page(
        f"""
        with visits as (
            select
                started_at as moment,
                'session' as kind,
                session_id as id,
                session_id,
                source,
                medium,
                campaign,
                landing_page,
                page_views
            from fct_sessions
            where {sessions}
        ),

        sales as (
            select
                occurred_at as moment,
                'conversion' as kind,
                conversion_id as id,
                name,
                session_id,
                conversion_id,
                state,
                currency,
                amount_minor,
                net_amount_minor
            from fct_conversions
            where {conversions}
        ),

        refunds as (
            select
                happened_at as moment,
                'refund' as kind,
                entry_id as id,
                conversion_id,
                currency,
                amount_minor
            from fct_conversion_ledger
            where {entries} and reason = 'refund'
        ),

        moments as (
            select * from visits
            union all by name
            select * from sales
            union all by name
            select refunds.*, sales.name
            from refunds
            left join sales on refunds.conversion_id = sales.conversion_id
            union all by name
            select
                touched_at as moment,
                'touch' as kind,
                touch_id as id,
                session_id,
                source,
                medium,
                campaign,
                landing_page
            from fct_touches
            where
                {touches}
                and not (
                    ?
                    and exists (
                        select 1
                        from visits
                        where
                            visits.session_id = fct_touches.session_id
                            and visits.source = fct_touches.source
                            and visits.medium is not distinct from fct_touches.medium
                            and visits.campaign is not distinct from fct_touches.campaign
                    )
                )
            union all by name
            select
                completed_at as moment,
                'goal_completion' as kind,
                completion_id as id,
                goal_id as name,
                session_id,
                conversion_id
            from fct_goal_completions
            where {completions}
        )
        select {columns(Moment, at="moment")}
        from moments
        order by moment desc, kind, id
        limit ? offset ?
        """,  # noqa: S608
        [*of_sessions, *of_conversions, *of_entries, *of_touches, are_visits_once, *of_completions],
        page,
    )
    return made(Moment, found)


@router.get(f"{PATH}/people/{id_at_end('identifier')}", response_model=Timeline)
def people_report(
    request: Request,
    caller: ReadCaller,
    identifier: str,
    build: AskedBuild,
    asked: AskedPage,
    id_type: Annotated[
        str | None, Query(description="Only an identifier of this type: user, visitor, email or phone.")
    ] = None,
) -> Response:
    """A person by its id, or by any identifier: ids and what links them, and what it did, latest first.

    An identifier that several people hold, such as a shared browser, shows who holds it now, or held it last;
    the others are in `also`.
    """
    with reading(request, caller, asked.build_id or build) as reader:
        people = find_people(reader, caller.project_id, identifier, id_type or None)
        known = person(reader, caller.project_id, people[0]) if people else None
        if known is None:
            raise Refusal(404, "No person has this identifier.")
        moments = timeline(reader, caller.project_id, known.person_id, asked.page)
        following = cursor(reader.build_id, reader.following)
        content = {
            "build": reader.build_id,
            "person": known,
            "also": people[1:],
            "identifiers": identifiers(reader, caller.project_id, known.person_id),
            "moments": moments,
            "next": following,
        }
        return json_answer(request, content, reader.build_id)
