"""One conversion explained: reports, visit, person, ledger, touches considered, credit.

Whether a touch is in is read off the credit, not decided again by the rules: what any model but
`first_touch_lifetime` credits shared the credit. Only the reason is told from dates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.paths import id_at_end
from funnelhouse.problems import Refusal
from read_api.answers import Exact, json_answer, of_nano, reading
from read_api.parameters import AskedAsOf, AskedBuild, AsOf
from read_api.reader import Reader
from read_api.reports import PATH
from read_api.reports.columns import columns, made
from read_api.reports.conditions import having, known_by
from read_api.reports.conversions import Conversion
from read_api.reports.people import Identifier, identifiers
from read_api.reports.projects import project

# The one model that knows no look-back: its credit alone does not put a touch within it.
_LIFETIME = "first_touch_lifetime"

# Of a person with very many touches or sessions, these.
_CONSIDERED = 500

# Of a conversion with very many reports, or changes of its revenue, the first; of each model's credit,
# that of the latest touches.
_REPORTS = 1_000
_ENTRIES = 1_000
_CREDITED = 500

router = APIRouter(tags=["reports"])


@dataclass(frozen=True, slots=True)
class Report:
    """What a sender said, word for word."""

    event_id: str
    seq: Annotated[int, Field(description="Order of arrival.")]
    report_type: Annotated[str, Field(description="report or refund.")]
    kind: str
    dialect: str
    sender: Annotated[str, Field(description="browser or server.")]
    received_at: datetime
    occurred_at: datetime
    name: str | None
    transaction_id: str | None
    status: Annotated[str | None, Field(description="The sender's word.")]
    state: Annotated[str | None, Field(description="What it means; null for a refund.")]
    is_deciding: Annotated[bool, Field(description="It has a say in state and amount.")]
    amount_text: str | None
    amount_unit: str | None
    currency: str | None
    payload: Annotated[str | None, Field(description="The event's JSON, or query string, as it was sent.")]


@dataclass(frozen=True, slots=True)
class Entry:
    """A difference in recognised revenue."""

    entry_id: str
    reason: str
    event_id: Annotated[str, Field(description="The event whose arrival made it.")]
    learnt_at: datetime
    learnt_date: date
    happened_at: datetime
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Visit:
    """The session in which the visit lies that the conversion came from."""

    session_id: str
    visitor_id: str | None
    started_at: datetime
    ended_at: datetime
    source: str
    medium: str
    campaign: str | None
    landing_url: str | None
    country: str | None
    page_views: int
    is_bot: bool


@dataclass(frozen=True, slots=True)
class Considered:
    """A touch of the person, or a session that is none, and why it shares the credit or not."""

    touch_id: Annotated[str | None, Field(description="Null for a session that made no touch.")]
    session_id: str | None
    at: datetime
    source: str
    medium: str
    campaign: str | None
    landing_page: str | None
    is_in: bool
    reason: Annotated[
        str,
        Field(
            description="within_look_back, named_visit (counts whatever its age), first_ever (for "
            "first_touch_lifetime only), before_look_back, after_conversion, direct, bot, or "
            "conversion_rejected."
        ),
    ]


@dataclass(frozen=True, slots=True)
class ModelCredit:
    """Credit that one model gives to one touch."""

    model: str
    touch_id: Annotated[str | None, Field(description="Null where no touch shares the credit.")]
    source: str
    medium: str
    campaign: str | None
    touched_at: datetime | None
    conversions: Annotated[Exact, Field(description="Share of the conversion.")]
    currency: str
    credited_amount_minor: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that made a conversion what it is."""

    conversion: Conversion
    reports: list[Report]
    visit: Visit | None
    identifiers: list[Identifier]
    ledger: list[Entry]
    recognised_minor: Annotated[
        dict[str, int], Field(description="Sum of the ledger by currency; with `as_of`, as known then.")
    ]
    look_back_days: int
    touches: list[Considered]
    credit: list[ModelCredit]
    cut: list[str]


class Explained(BaseModel):
    """A conversion, and why it is what it is."""

    build: str
    conversion: Conversion
    reports: list[Report] = Field(description="In the order of arrival; the first 1,000.")
    visit: Visit | None = Field(description="`matched_by` of the conversion says how it was found.")
    identifiers: list[Identifier] = Field(description="Why it is this person's: what links each id to it.")
    ledger: list[Entry] = Field(description="By time; the first 1,000.")
    recognised_minor: dict[str, int] = Field(description="Sum of the whole ledger, by currency.")
    look_back_days: int
    touches: list[Considered] = Field(
        description="Those up to the conversion, latest first; then later ones. The first 500."
    )
    credit: list[ModelCredit] = Field(description="By model; of each the latest 500 touches.")
    cut: list[str] = Field(
        description="Which of these lists end early: longer ones, and those of more than 4 MB."
    )


def explain(
    reader: Reader, project_id: str, conversion_id: str, as_of: AsOf | None = None
) -> Explanation | None:
    """The whole explanation; None when the project has no such conversion. `as_of` is for the ledger."""
    condition, values = having(reader, "fct_conversions", project_id, "conversion_id", conversion_id)
    found = reader.rows(f"select {columns(Conversion)} from fct_conversions where {condition}", values)  # noqa: S608
    if not found:
        return None
    (conversion,) = made(Conversion, found)
    # The day lets the file skip what it is sorted by.
    key: list[object] = [project_id, conversion.conversion_date, conversion_id]
    look_back_days = project(reader, project_id).lookback_days
    reports, has_all_reports = _reports(reader, project_id, conversion_id)
    entries, has_all_entries = _ledger(reader, key, as_of)
    touches, has_all_touches = _considered(reader, project_id, conversion, key, timedelta(look_back_days))
    credit, has_all_credit = _credit(reader, key)
    are_whole = {
        "reports": has_all_reports,
        "ledger": has_all_entries,
        "touches": has_all_touches,
        "credit": has_all_credit,
    }
    return Explanation(
        conversion,
        reports,
        _visit(reader, project_id, conversion.session_id),
        identifiers(reader, project_id, conversion.person_id),
        entries,
        _recognised(reader, key, as_of),
        look_back_days,
        touches,
        credit,
        [name for name, is_whole in are_whole.items() if not is_whole],
    )


_OF_CONVERSION = "project_id = ? and conversion_date = ? and conversion_id = ?"


def _first(
    reader: Reader, sql: str, values: Sequence[object], most: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """The first rows of a query that ends in `limit ?`, and whether they are all."""
    rows, is_whole = reader.first_rows(sql, [*values, most + 1])
    return rows[:most], is_whole and len(rows) <= most


def _reports(reader: Reader, project_id: str, conversion_id: str) -> tuple[list[Report], bool]:
    condition, values = having(reader, "fct_conversion_reports", project_id, "conversion_id", conversion_id)
    found, is_whole = _first(
        reader,
        f"""
        select {columns(Report)}
        from fct_conversion_reports
        where {condition}
        order by seq
        limit ?
        """,  # noqa: S608
        values,
        _REPORTS,
    )
    return made(Report, found), is_whole


def _ledger(reader: Reader, key: list[object], as_of: AsOf | None) -> tuple[list[Entry], bool]:
    until, learnt = known_by(as_of)
    found, is_whole = _first(
        reader,
        f"""
        select {columns(Entry)}
        from fct_conversion_ledger
        where {_OF_CONVERSION} and {until}
        order by learnt_at, entry_id
        limit ?
        """,  # noqa: S608
        [*key, *learnt],
        _ENTRIES,
    )
    return made(Entry, found), is_whole


def _recognised(reader: Reader, key: list[object], as_of: AsOf | None) -> dict[str, int]:
    until, learnt = known_by(as_of)
    return dict(
        reader.rows(
            f"""
            select currency, sum(amount_minor)
            from fct_conversion_ledger
            where {_OF_CONVERSION} and {until}
            group by currency
            order by min((learnt_at, entry_id))
            """,  # noqa: S608
            [*key, *learnt],
        )
    )


def _credit(reader: Reader, key: list[object]) -> tuple[list[ModelCredit], bool]:
    # One more of each model tells whether there are more.
    found, is_whole = reader.first_rows(
        f"""
        with ranked as (
            select
                *,
                row_number() over (
                    partition by model
                    order by touched_at desc nulls last, touch_id
                ) as latest
            from fct_attribution
            where {_OF_CONVERSION}
        )
        select {columns(ModelCredit, conversions="credit_nano")}, latest
        from ranked
        where latest <= ?
        order by model, touched_at, touch_id
        """,  # noqa: S608
        [*key, _CREDITED + 1],
    )
    rows = made(ModelCredit, [row for row in found if row[-1] <= _CREDITED])
    return [replace(row, conversions=of_nano(int(row.conversions))) for row in rows], is_whole and len(
        rows
    ) == len(found)


def _visit(reader: Reader, project_id: str, session_id: str | None) -> Visit | None:
    if session_id is None:
        return None
    condition, values = having(reader, "fct_sessions", project_id, "session_id", session_id)
    found = reader.rows(f"select {columns(Visit)} from fct_sessions where {condition}", values)  # noqa: S608
    return made(Visit, found)[0] if found else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A touch, or a session that made none, and what models did with it."""

    touch_id: str | None
    session_id: str | None
    moment: datetime
    source: str
    medium: str
    campaign: str | None
    landing_page: str | None
    is_bot: bool
    is_credited: bool
    is_first_ever: bool


def _considered(
    reader: Reader, project_id: str, conversion: Conversion, key: list[object], look_back: timedelta
) -> tuple[list[Considered], bool]:
    """The person's touches, and sessions that made none: those up to the conversion, then later ones."""
    touches, of_touches = having(reader, "fct_touches", project_id, "person_id", conversion.person_id)
    sessions, of_sessions = having(reader, "fct_sessions", project_id, "person_id", conversion.person_id)
    found, is_whole = _first(
        reader,
        f"""
        with touches as (
            select touch_id, session_id, touched_at, source, medium, campaign, landing_page
            from fct_touches
            where {touches}
        ),
        silent as (
            select session_id, started_at, source, medium, campaign, landing_page, is_bot
            from fct_sessions
            where {sessions} and session_id not in (
                select session_id from touches
                where session_id is not null
            )
        ),
        credited as (
            select
                touch_id,
                bool_or(model <> ?) as is_credited,
                bool_or(model = ?) as is_first_ever
            from fct_attribution
            where {_OF_CONVERSION} and touch_id is not null
            group by touch_id
        ),
        considered as (
            select
                touch_id,
                session_id,
                touched_at as moment,
                source,
                medium,
                campaign,
                landing_page,
                false as is_bot
            from touches
            union all
            select null, session_id, started_at, source, medium, campaign, landing_page, is_bot
            from silent
        ),
        known as (
            select
                considered.*,
                coalesce(is_credited, false) as is_credited,
                coalesce(is_first_ever, false) as is_first_ever
            from considered
            left join credited on considered.touch_id = credited.touch_id
        )
        select {columns(_Seen)}
        from known
        order by moment > ?, moment desc, touch_id, session_id
        limit ?
        """,  # noqa: S608
        [*of_touches, *of_sessions, _LIFETIME, _LIFETIME, *key, conversion.occurred_at],
        _CONSIDERED,
    )
    rows = [
        Considered(
            seen.touch_id,
            seen.session_id,
            seen.moment,
            seen.source,
            seen.medium,
            seen.campaign,
            seen.landing_page,
            *_why(conversion, seen, look_back),
        )
        for seen in made(_Seen, found)
    ]
    return rows, is_whole


def _why(conversion: Conversion, seen: _Seen, look_back: timedelta) -> tuple[bool, str]:
    """Whether a touch shares the credit, and why: what models did counts, dates only say the reason."""
    if seen.touch_id is None:
        return False, "bot" if seen.is_bot else "direct"
    if conversion.state == "rejected":
        return False, "conversion_rejected"
    is_before = seen.moment <= conversion.occurred_at
    is_within = is_before and seen.moment >= conversion.occurred_at - look_back
    if seen.is_credited:
        return True, "within_look_back" if is_within else "named_visit"
    if seen.is_first_ever:
        return True, "first_ever"
    return False, "before_look_back" if is_before else "after_conversion"


@router.get(f"{PATH}/conversions/{id_at_end('conversion_id')}", response_model=Explained)
def conversion_report(
    request: Request, caller: ReadCaller, conversion_id: str, build: AskedBuild, as_of: AskedAsOf
) -> Response:
    """One conversion, explained.

    Its reports word for word; how its visit was found; whose it is and what links them; the ledger; each
    touch of the person with the reason why it shares the credit or not; the credit that each model gives.
    """
    with reading(request, caller, build) as reader:
        explanation = explain(reader, caller.project_id, conversion_id, as_of)
        if explanation is None:
            raise Refusal(404, "Unknown conversion_id; `conversions` lists those that exist.")
        content = {name: getattr(explanation, name) for name in Explanation.__dataclass_fields__}
        return json_answer(request, {"build": reader.build_id, **content}, reader.build_id)
