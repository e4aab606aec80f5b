"""What answers look like, as named schemas for the OpenAPI description; events follow from the contract."""

from typing import Any, get_args

from funnelhouse.components import PROBLEM, of_members, reference
from funnelhouse.keys import SCOPES
from ingest_api.definitions.changes import RETROACTIVE, Change
from ingest_api.definitions.kind import Kind
from ingest_api.hints import MOST_WARNINGS
from record.contract import Column, Event, Rejected, columns
from record.status_words import status_words
from record.wishes import ACTIONS

_TYPES = {"VARCHAR": "string", "BIGINT": "integer", "BOOLEAN": "boolean"}
_EVENT = columns(Event)
COLUMN_DOCS = {column.name: column.doc for column in _EVENT}
_REJECTED = {column.name: column.doc for column in columns(Rejected)}

_NEXT = {"type": ["string", "null"], "description": "`after` of the next page; null on the last one."}


def _column(column: Column) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES[column.sql_type], "description": column.doc}
    return {**schema, "enum": list(column.choices)} if column.choices else schema


_TOLD = {
    "warnings": {
        "type": "array",
        "items": reference("Warning"),
        "description": f"Of a dry run or a test key: what is odd, the first {MOST_WARNINGS}.",
    },
    "understood": {
        "type": "array",
        "items": reference("Understood"),
        "description": "Of a dry run or a test key: what each accepted event is read as, up to 1 MB.",
    },
}


def _accepted(description: str, properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    """An answer that says more to a dry run and to a test key."""
    return of_members(description, properties | _TOLD, *optional, *_TOLD)


_OPTIONAL = [column.name for column in _EVENT if not column.is_required]
_UNDERSTOOD = {column.name: _column(column) for column in _EVENT if column.name != "payload"}
_ACCEPTED = {"type": "integer", "minimum": 1, "description": "Events that are accepted."}
_INDEX = {"type": "integer", "minimum": 0, "description": "Which event of the request, from 0."}
_EVENT_ID = {"type": "string", "description": COLUMN_DOCS["event_id"]}
_SHOWN = {
    "event_id": _EVENT_ID,
    "received_at": {"type": "string", "format": "date-time", "description": "When it arrived, UTC."},
    "dialect": {"type": "string", "description": COLUMN_DOCS["dialect"]},
    "payload": {"type": "string", "description": COLUMN_DOCS["payload"]},
    "understood": reference("UnderstoodEvent"),
}
_MOMENT = {"type": "string", "format": "date-time"}
_KEY = {
    "key_id": {"type": "string", "description": "Id of the key: its part between the last two `_`."},
    "name": {"type": ["string", "null"], "description": "What people call it, if anything."},
    "scopes": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "enum": list(SCOPES)},
        "description": "What it opens.",
    },
    "is_test": {"type": "boolean", "description": "Whether what it sends belongs to `<project>.test`."},
    "created_at": {**_MOMENT, "description": "When it was made, UTC."},
    "expires_at": {**_MOMENT, "description": "When it ends or was revoked, UTC."},
    "last_used_at": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "The hour in which ingest took it last, UTC; null: never.",
    },
}

_NOTE = {
    "note_id": {"type": "string", "description": "Id of the note."},
    "day": {"type": "string", "format": "date", "description": "Day in the project's time zone."},
    "text": {"type": "string", "description": "What there is to know."},
    "is_personal": {"type": "boolean", "description": "Whether only the holder of the key sees it."},
    "key_id": {"type": "string", "description": "Id of the key that wrote it."},
    "key_name": {"type": ["string", "null"], "description": "What that key is called now, if anything."},
    "created_at": {**_MOMENT, "description": "When it was written, UTC."},
}
_ADDED_RATES: dict[str, Any] = {
    "exchange_rates_id": {"type": "string", "description": "By which they can be withdrawn."},
    "added_at": {"type": "string", "format": "date-time", "description": "When they were added, UTC."},
    "count": {"type": "integer", "minimum": 1, "description": "How many rates."},
    "pairs": {
        "type": "array",
        "items": {"type": "string"},
        "description": "The currencies, as `EUR/USD`: one euro in dollars.",
    },
    "first_date": {"type": "string", "format": "date", "description": "Day of the first rate."},
    "last_date": {"type": "string", "format": "date", "description": "Day of the last rate."},
}
_DEFINITION_CHANGE = {
    "kind": {"type": "string", "enum": list(RETROACTIVE), "description": "What is defined."},
    "id": {"type": "string", "description": "Id of the defined thing; of settings and channels the kind."},
    "name": {"type": ["string", "null"], "description": "What people call it, if anything."},
    "change": {"type": "string", "enum": list(get_args(Change)), "description": "What became of it."},
    "changed_at": {**_MOMENT, "description": "When, UTC; figures follow with the next build."},
}

_SECRET = {
    "name": {"type": "string", "description": "What it is called."},
    "set_at": {**_MOMENT, "description": "When it was set, UTC."},
    "hint": {
        "type": ["string", "null"],
        "description": "8 hex digits that tell it from another one; null where it cannot be read.",
    },
    "previous_until": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "How long the one before is valid too, UTC.",
    },
}

ANSWERS: dict[str, dict[str, Any]] = {
    "Problem": PROBLEM,
    "DialectError": of_members(
        "Why a request was not done, in the vendor's shape.",
        {
            "error": {
                "type": "string",
                "description": "What is wrong: the field, and the fix.",
            }
        },
    ),
    "SegmentError": of_members(
        "Why a request was not done, in the vendor's shape.",
        {
            "success": {"type": "boolean", "enum": [False], "description": "Always false."},
            "message": {
                "type": "string",
                "description": "What is wrong: the field, and the fix.",
            },
        },
    ),
    "DryRun": {"type": "string", "enum": ["1"], "description": "Wants all but the landing."},
    "StatusWord": {
        "type": "string",
        "enum": sorted(status_words()),
        "description": "A known word for the state of a conversion; case and blanks do not matter.",
    },
    "Warning": of_members(
        "Something odd about an accepted request.",
        {
            "index": {
                "type": ["integer", "null"],
                "description": "Which event; null: the request itself.",
            },
            "field": {"type": ["string", "null"], "description": "Name of the field, at most 64 characters."},
            "hint": {"type": "string", "description": "What becomes of it, and the fix; never a value."},
        },
    ),
    "UnderstoodEvent": of_members("An event's columns that are not null.", _UNDERSTOOD, *_OPTIONAL),
    "Understood": of_members(
        "What one accepted event is read as: its columns that are not null.",
        {"index": _INDEX, **_UNDERSTOOD},
        *_OPTIONAL,
    ),
    "Accepted": _accepted("Events are accepted.", {"accepted": _ACCEPTED}),
    "Queued": _accepted(
        "Events are accepted.",
        {
            "queued": {"type": "boolean", "description": "True; false for a dry run, which lands nothing."},
            "accepted": _ACCEPTED,
            "results": {
                "type": "array",
                "items": reference("ItemResult"),
                "description": "Of an array, for each item.",
            },
        },
        "results",
    ),
    "ItemResult": of_members(
        "What became of one item of an array.",
        {
            "index": _INDEX,
            "status": {"type": "integer", "enum": [202, 400, 403], "description": "As if it came alone."},
            "event_id": _EVENT_ID,
            "error": {"type": "string", "description": "Why it is not accepted."},
        },
        "event_id",
        "error",
    ),
    "Success": _accepted(
        "Calls are accepted, or skipped and kept with the reason.",
        {"success": {"type": "boolean", "enum": [True], "description": "Always true."}},
    ),
    "BatchTaken": of_members(
        "A batch is on stable storage, as far as it could be accepted.",
        {
            "error": {"type": "string", "description": "The first thing that is wrong; empty for nothing."},
            "resolvedTokens": of_members(
                "Ids of the page view, as FunnelFlux names them; empty where there is none.",
                {
                    "{hit}": {"type": "string", "description": COLUMN_DOCS["hit_id"]},
                    "{visitor}": {"type": "string", "description": COLUMN_DOCS["visitor_id"]},
                    "{current-node-id}": {"type": "string", "description": COLUMN_DOCS["page_id"]},
                },
            ),
            "skv": {"type": "string", "description": COLUMN_DOCS["visitor_id"]},
            **_TOLD,
        },
        *_TOLD,
    ),
    "CostsAccepted": of_members(
        "Costs are accepted.",
        {"accepted": {"type": "integer", "minimum": 1, "description": "Costs that are accepted."}},
    ),
    "ExchangeRatesAccepted": of_members(
        "Exchange rates are added.",
        {
            "exchange_rates_id": {
                "type": ["string", "null"],
                "description": "By which they can be withdrawn; null in a dry run.",
            },
            "accepted": {"type": "integer", "minimum": 1, "description": "Rates that are added."},
            "pairs": {
                "type": "integer",
                "minimum": 1,
                "description": "Pairs of currencies that they are of.",
            },
            "left_out": {
                "type": "integer",
                "minimum": 0,
                "description": "Rates of other currencies or days than those chosen.",
            },
        },
    ),
    "AddedExchangeRates": of_members("What one request added.", _ADDED_RATES),
    "AddedExchangeRatesPage": of_members(
        "A page of what was added, the latest first.",
        {
            "exchange_rates": {
                "type": "array",
                "items": reference("AddedExchangeRates"),
                "description": "What was added and not withdrawn.",
            },
            "next": _NEXT,
        },
    ),
    "ListedKey": of_members("An API key, without its secret.", _KEY),
    "KeyPage": of_members(
        "A page of keys, the oldest first.",
        {
            "keys": {"type": "array", "items": reference("ListedKey"), "description": "The keys."},
            "next": _NEXT,
        },
    ),
    "CreatedKey": of_members(
        "A new API key.",
        {
            **_KEY,
            "key": {
                "type": ["string", "null"],
                "description": "The key, shown this once; null for a dry run and for a repeat under an "
                "Idempotency-Key.",
            },
        },
    ),
    "DayNote": of_members("A note on a day.", _NOTE),
    "DayNotePage": of_members(
        "A page of notes, by day.",
        {
            "notes": {"type": "array", "items": reference("DayNote"), "description": "The notes."},
            "next": _NEXT,
        },
    ),
    "DefinitionChange": of_members("A change of what figures of the past are made by.", _DEFINITION_CHANGE),
    "DefinitionChangePage": of_members(
        "A page of changes, the newest first.",
        {
            "changes": {
                "type": "array",
                "items": reference("DefinitionChange"),
                "description": "The changes.",
            },
            "next": _NEXT,
        },
    ),
    "SecretSet": of_members("A secret of a destination, without what it is.", _SECRET),
    "SecretsSet": of_members(
        "Secrets of a destination.",
        {"secrets": {"type": "array", "items": reference("SecretSet"), "description": "By name."}},
    ),
    "NewSecret": of_members(
        "A secret that was set.",
        {
            **_SECRET,
            "value": {
                "type": ["string", "null"],
                "description": "What was made here, shown this once; null for what was sent, and for a dry"
                " run.",
            },
        },
    ),
    "Wished": of_members(
        "What is to be done, written down.",
        {
            "wish_id": {"type": "integer", "description": "Counts what was wished; 0 for a dry run."},
            "action": {"type": "string", "enum": list(ACTIONS), "description": "What is to be done."},
            "destination_id": {"type": ["string", "null"], "description": "Id of the destination, if one."},
            "wished_at": {**_MOMENT, "description": "When it was wished, UTC."},
        },
    ),
    "ShownEvent": of_members("An event as received and as understood.", _SHOWN),
    "RecentEvents": of_members(
        "The newest events, newest first.",
        {
            "events": {"type": "array", "items": reference("ShownEvent"), "description": "The events."},
            "next": {
                "type": ["string", "null"],
                "description": "`before` of the next page, or null.",
            },
        },
    ),
    "RejectedReport": of_members(
        "What was sent and not accepted.",
        {
            "received_at": _SHOWN["received_at"],
            "path": {"type": "string", "description": _REJECTED["path"]},
            "sender": {
                "type": ["string", "null"],
                "enum": ["browser", "server", None],
                "description": _REJECTED["sender"],
            },
            "reason": {"type": "string", "description": _REJECTED["reason"]},
            "body": {
                "type": "string",
                "description": "The beginning of what was sent; API keys are blanked.",
            },
            "is_cut": {"type": "boolean", "description": "Whether more was sent than is shown."},
        },
    ),
    "RecentRejected": of_members(
        "What was not accepted, newest first.",
        {
            "rejected": {
                "type": "array",
                "items": reference("RejectedReport"),
                "description": "The reports.",
            }
        },
    ),
    "EventReport": of_members(
        "One report of an event.",
        {
            "wins": {"type": "boolean", "description": "Whether this report counts, of those with one id."},
            **_SHOWN,
        },
    ),
    "EventReports": of_members(
        "All reports with one event id.",
        {
            "event_id": _EVENT_ID,
            "reports": {
                "type": "array",
                "minItems": 1,
                "items": reference("EventReport"),
                "description": "In the order of arrival.",
            },
        },
    ),
    "Health": of_members(
        "The process answers.",
        {"status": {"type": "string", "enum": ["live", "ready"], "description": "What it is."}},
    ),
}
"""By name."""


def stored(
    shape: dict[str, Any], description: str, key: dict[str, Any], beside: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What is shown of a definition: key, version, shape, and what stands beside it; all is always there."""
    properties = {
        **key,
        "version": {"type": "integer", "minimum": 0, "description": "Counts its changes, from 1."},
        "received_us": {"type": ["integer", "null"], "description": "When it arrived, Unix microseconds."},
        **shape["properties"],
        **(beside or {}),
    }
    return of_members(description, properties)


def listed(kind: Kind, one: str) -> dict[str, Any]:
    """A page of definitions of a kind."""
    items = {"type": "array", "items": reference(one), "description": "By id."}
    return of_members(f"A page of definitions: {kind.plural}.", {kind.plural: items, "next": _NEXT})
