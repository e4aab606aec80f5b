"""The event contract: what one accepted report is, described once.

The landing table, the Parquet schema, dbt's source YAML and the Great Expectations suite are generated from
the classes below or checked against them (`tests/test_contract.py`). Only types that every engine reads alike
are used: text, 64-bit integers, booleans; times are Unix microseconds, JSON is text.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from typing_extensions import Doc

Sender = Literal["browser", "server"]
Kind = Literal["visit", "event", "conversion", "refund", "identify", "alias", "unalias"]
PageKind = Literal["lander", "offer", "page"]
AmountUnit = Literal["major", "minor"]
# What the rule of a goal, or of a funnel's step, compares, and how it compares a path.
MatchType = Literal["event_name", "event_type", "url_path", "any_conversion"]
MatchOperator = Literal["exact", "prefix", "wildcard"]
DefinitionKind = Literal[
    "goal",
    "funnel",
    "page",
    "traffic_source",
    "experiment",
    "link",
    "destination",
    "settings",
    "tracker",
    "channels",
    "exchange_rates",
]

DAY_US = 86_400_000_000

FIRST_OCCURRED_US = 946_684_800_000_000
"""2000-01-01 (UTC): before it no time of a sender lies."""
END_OCCURRED_US = 4_133_980_800_000_000
"""2101-01-01 (UTC): every time of a sender lies before it."""


@dataclass(slots=True, kw_only=True)
class Event:
    """One report of a sender, renamed and typed by its dialect; no business rule is applied."""

    event_id: Annotated[str, Doc("The sender's id of this report, else one given on arrival.")]
    project_id: Annotated[str, Doc("Tenant that the key belongs to.")]
    dialect: Annotated[str, Doc("Wire format that the report came in, e.g. `openanalytics`.")]
    dialect_version: Annotated[str, Doc("Version of the wire format.")]
    sender: Annotated[
        Sender,
        Doc(
            "`browser` when a page's key sent it, the request names an origin or the event a library for "
            "browsers, else `server`."
        ),
    ]
    kind: Annotated[Kind, Doc("What the sender says this is.")]
    received_us: Annotated[int, Doc("When it arrived, Unix microseconds.")]
    occurred_us: Annotated[int, Doc("When it occurred by the sender's clock, else `received_us`.")]
    payload: Annotated[
        str,
        Doc("The exact text of this one event as it stood in the request: JSON, or a query string."),
    ]
    sent_us: Annotated[
        int | None,
        Doc(
            "When the sender's clock says that it was sent, Unix microseconds; only beside a time of the "
            "event's own."
        ),
    ] = None
    name: Annotated[str | None, Doc("Event name, e.g. `purchase`; pagent's label.")] = None
    goal_id: Annotated[str | None, Doc("Goal that the sender names as completed (pagent).")] = None
    hit_id: Annotated[str | None, Doc("Page view that the report is, or belongs to.")] = None
    session_id: Annotated[str | None, Doc("Session by the sender's count.")] = None
    visitor_id: Annotated[str | None, Doc("Browser or device.")] = None
    user_id: Annotated[str | None, Doc("Who the sender says it is.")] = None
    previous_id: Annotated[str | None, Doc("The other id of an alias or unalias.")] = None
    click_id: Annotated[str | None, Doc("Ad click that the report names.")] = None
    click_id_type: Annotated[str | None, Doc("Parameter that carried the click id, e.g. `gclid`.")] = None
    alias_type: Annotated[str | None, Doc("Which hash form `alias_value` is.")] = None
    alias_value: Annotated[str | None, Doc("Hash of a visit or session id.")] = None
    url: Annotated[str | None, Doc("Page address.")] = None
    referrer: Annotated[str | None, Doc("Address that led to the page.")] = None
    page_id: Annotated[str | None, Doc("The sender's id of the page.")] = None
    page_kind: Annotated[PageKind | None, Doc("Role of the page in a funnel.")] = None
    country: Annotated[str | None, Doc("ISO 3166-1 alpha-2 code: the sender's, else a trusted proxy's.")] = (
        None
    )
    user_agent: Annotated[str | None, Doc("User agent of the visitor's browser.")] = None
    utm_source: Annotated[str | None, Doc("Campaign source.")] = None
    utm_medium: Annotated[str | None, Doc("Campaign medium.")] = None
    utm_campaign: Annotated[str | None, Doc("Campaign name.")] = None
    utm_term: Annotated[str | None, Doc("Campaign term.")] = None
    utm_content: Annotated[str | None, Doc("Campaign content.")] = None
    amount_text: Annotated[str | None, Doc("Amount as the sender wrote it, a plain decimal.")] = None
    amount_unit: Annotated[AmountUnit | None, Doc("Unit of `amount_text`; fixed by the dialect.")] = None
    currency: Annotated[str | None, Doc("ISO 4217 code; absent where the dialect has none.")] = None
    transaction_id: Annotated[str | None, Doc("The sender's order or transaction.")] = None
    status: Annotated[str | None, Doc("The sender's word for the state of a conversion.")] = None
    forwardable: Annotated[bool | None, Doc("Whether the sender allows forwarding to ad platforms.")] = None
    experiments: Annotated[str | None, Doc("JSON object: experiment to variant.")] = None
    properties: Annotated[str | None, Doc("JSON of everything else that the sender said about it.")] = None


@dataclass(slots=True, kw_only=True)
class Definition:
    """One version of something a project has defined; the highest `seq` of a key holds."""

    project_id: Annotated[str, Doc("Tenant that the definition belongs to.")]
    kind: Annotated[DefinitionKind, Doc("What is defined.")]
    key: Annotated[str, Doc("Id of the defined thing within project and kind.")]
    received_us: Annotated[int, Doc("When this version arrived, Unix microseconds.")]
    body: Annotated[str | None, Doc("The definition as JSON; absent when this version deletes it.")]


@dataclass(slots=True, kw_only=True)
class Cost:
    """What a project spent on ads on one day, by origin; the highest `seq` of an origin's day holds."""

    project_id: Annotated[str, Doc("Tenant that the cost belongs to.")]
    received_us: Annotated[int, Doc("When this report arrived, Unix microseconds.")]
    day: Annotated[str, Doc("Day of the spending in the project's time zone, as YYYY-MM-DD.")]
    source: Annotated[str, Doc("Source that was paid, as visits carry it.")]
    medium: Annotated[str | None, Doc("Medium that was paid for, as visits carry it.")]
    campaign: Annotated[str | None, Doc("Campaign that was paid for, as visits carry it.")]
    amount_text: Annotated[str, Doc("Amount as the sender wrote it, a plain decimal in major units.")]
    currency: Annotated[str, Doc("ISO 4217 code of the amount.")]


@dataclass(slots=True, kw_only=True)
class Rejected:
    """What an authenticated sender sent that could not be accepted."""

    project_id: Annotated[str, Doc("Tenant that the sender may write to.")]
    path: Annotated[str, Doc("Route that it was sent to, e.g. `/v1/conversions`; of definitions the path.")]
    received_us: Annotated[int, Doc("When it arrived, Unix microseconds.")]
    reason: Annotated[str, Doc("Why it was not accepted; names the field, never its value.")]
    body: Annotated[str, Doc("The first 64 KB of what was sent, in base64; API keys are blanked.")]
    sender: Annotated[
        Sender | None,
        Doc("`browser` when a page's key sent it or the request names an origin, else `server`."),
    ] = None
    user_agent: Annotated[str | None, Doc("User agent of the request, when the sender is a browser.")] = None
    has_page_key: Annotated[bool | None, Doc("Whether a page's key sent it: a replay allows no more.")] = None
    sent_us: Annotated[
        int | None,
        Doc(
            "When the sender's clock says that the batch was sent which it was an item of, Unix microseconds."
        ),
    ] = None


@dataclass(slots=True, kw_only=True)
class UnreadField:
    """How often a project sent a field that nothing reads, as one ingest process counted it for a while."""

    project_id: Annotated[str, Doc("Tenant that the sender may write to.")]
    received_us: Annotated[int, Doc("When the first of them arrived, Unix microseconds.")]
    name: Annotated[
        str | None,
        Doc("Name of the field, `object.member` within an object; absent beyond the first 50 of a day."),
    ]
    occurrences: Annotated[int, Doc("How often it came.")]


@dataclass(slots=True, kw_only=True)
class UnrecordedClick:
    """How many clicks on a link were not recorded, as one ingest process counted them for a while."""

    project_id: Annotated[str, Doc("Tenant that the link belongs to.")]
    received_us: Annotated[int, Doc("When the first of them was made, Unix microseconds.")]
    link_id: Annotated[str | None, Doc("Link; absent beyond the first 50 links and reasons of a day.")]
    reason: Annotated[
        str | None,
        Doc("`store` when the landing store took none, `rate_limit` when their address made too many."),
    ]
    occurrences: Annotated[int, Doc("How many there were.")]


RawRow = Event | Definition | Cost | Rejected | UnreadField | UnrecordedClick

RAW_TABLES: dict[str, type[RawRow]] = {
    "events": Event,
    "definitions": Definition,
    "costs": Cost,
    "rejected": Rejected,
    "unread_fields": UnreadField,
    "unrecorded_clicks": UnrecordedClick,
}
"""Tables of the landing store that are sealed into the raw zone, and the class that describes a row."""

SEQ_DOC = "Position in the permanent record: dense, given at sealing, increasing in seal order."


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a raw table. `sql_type` is VARCHAR, BIGINT or BOOLEAN."""

    name: str
    sql_type: str
    is_required: bool
    choices: tuple[str, ...]
    doc: str


def columns(row: type[RawRow]) -> list[Column]:
    """Columns that a row class stands for, in order; without `seq`, which sealing adds in front."""
    hints = get_type_hints(row, include_extras=True)
    return [_column(field.name, hints[field.name]) for field in fields(row)]


def row_values(row: type[RawRow]) -> Callable[[Any], tuple[Any, ...]]:
    """Getter of a row's values as a tuple, in the order of `columns(row)`."""
    return attrgetter(*(field.name for field in fields(row)))


_SQL_TYPES = {str: "VARCHAR", int: "BIGINT", bool: "BOOLEAN"}


def _column(name: str, hint: Any) -> Column:
    annotated, doc = get_args(hint)
    options = get_args(annotated) if get_origin(annotated) in (types.UnionType, Union) else ()
    is_required = type(None) not in options
    base = annotated if is_required else next(o for o in options if o is not type(None))
    choices = get_args(base) if get_origin(base) is Literal else ()
    return Column(name, _SQL_TYPES[str if choices else base], is_required, choices, doc.documentation)
