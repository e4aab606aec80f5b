"""Destinations and an outbox, written row by row, for the pages and reports that read them."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from forwarding.outbox.store import open_outbox
from funnelhouse.settings import Settings
from record.contract import Definition, row_values
from record.landing import open_store

BUILD = "20261101T000000000000Z"
CONVERSION = "shop/openanalytics:001"
CHANGED = "shop/openanalytics:012"
PAUSED = "the access token has expired"

_DAY = datetime(2026, 11, 2, 12, tzinfo=UTC)


def us(minutes: int) -> int:
    """So many minutes after noon of the first day, Unix microseconds."""
    return int((_DAY + timedelta(minutes=minutes)).timestamp()) * 1_000_000


COMMON: dict[str, Any] = {
    "is_active": True,
    "since_us": None,
    "names": [],
    "goals": [],
    "sender": "any",
    "sources": [],
    "value": "net",
    "event_names": {},
    "consent": "assumed",
    "event_id": "transaction_id",
    "skip_suspected_doubles": False,
    "concurrency": 8,
    "per_second": None,
}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "meta": {
        **COMMON,
        "name": "Meta <pixel>",
        "kind": "meta",
        "trigger": "approved",
        "dataset_id": "123",
        "api_version": 25,
        "action_source": "website",
        "event_time": "occurred",
        "limited_data_use": False,
        "limited_data_country": 0,
        "limited_data_state": 0,
        "test_event_code": None,
        "default_country": None,
    },
    "network": {
        **COMMON,
        "name": "Network",
        "kind": "postback",
        "trigger": "created",
        "url": "https://network.example/pb?cid={external}&sum={payout}&pw={secret:password}",
        "method": "GET",
        "body": None,
        "body_format": None,
        "status_urls": dict.fromkeys(("pending", "approved", "rejected", "refunded")),
        "status_words": {
            "pending": "lead",
            "approved": "sale",
            "rejected": "rejected",
            "refunded": "refunded",
        },
        "mode": "all",
        "payout_percent": 100,
        "sample_percent": 100,
        "allow_http": False,
    },
    "crm": {
        **COMMON,
        "name": "CRM",
        "kind": "webhook",
        "trigger": "every_change",
        "url": "https://crm.example/hook",
        "include": [],
    },
    "asleep": {
        **COMMON,
        "name": "Asleep",
        "kind": "webhook",
        "is_active": False,
        "trigger": "every_change",
        "url": "https://asleep.example/hook",
        "include": [],
    },
}
"""As they are stored."""


def facts(conversion_id: str, destination_id: str, **changes: Any) -> dict[str, Any]:
    """What is told of a conversion."""
    return {
        "conversion_id": conversion_id,
        "project_id": conversion_id.partition("/")[0],
        "destination_id": destination_id,
        "is_wanted": True,
        "not_wanted_reason": None,
        "name": "purchase",
        "event_name": "Purchase",
        "occurred_us": us(-60),
        "learnt_us": us(-30),
        "approved_us": us(-30),
        "state": "approved",
        "value_minor": 4999,
        "currency": "USD",
        "dedup_id": "order-1",
        "transaction_id": "order-1",
        "sender": "server",
        "is_forwardable": True,
        "click_id": "Cl1ck",
        "click_id_type": "external",
        "external_click_id": "Cl1ck&x=1",
        "external_ids": '["u1"]',
        "user_agent": "Mozilla/5.0",
        "event_url": "https://shop.example/thanks",
        "fingerprint": "f1",
        **changes,
    }


def delivery(number: int, destination_id: str, state: str, **changes: Any) -> dict[str, Any]:
    """A row of `deliveries`, planned so many minutes after noon."""
    row = {
        "delivery_id": f"msg_{number:026d}",
        "project_id": "shop",
        "destination_id": destination_id,
        "destination_version": 1,
        "conversion_id": f"shop/openanalytics:{number:03d}",
        "ordinal": 1,
        "kind": "create",
        "build_id": BUILD,
        "fingerprint": "f1",
        "state_wanted": "approved",
        "value_minor": 4999,
        "currency": "USD",
        "event_us": us(-60),
        "state": state,
        "due_us": 2**62,
        "tries": 0,
        "created_us": us(number),
        **changes,
    }
    told = facts(row["conversion_id"], destination_id)
    return {"facts": orjson.dumps(told).decode(), **row}


def forwarding(conversion: str, destination_id: str, **changes: Any) -> dict[str, Any]:
    """A row of fct_forwardings."""
    row = {**facts(conversion, destination_id), **changes}
    times = ("occurred", "learnt", "approved")
    return {
        **{name: value for name, value in row.items() if not name.endswith("_us")},
        **{
            f"{name}_at": datetime.fromtimestamp(row[f"{name}_us"] / 1e6, UTC).replace(tzinfo=None)
            for name in times
        },
        "forwarding_id": f"shop/{destination_id}:{conversion}",
        "destination_kind": DESTINATIONS[destination_id]["kind"],
        "destination_version": 1,
        "person_id": "shop/user:u1",
        "is_wanted": row["not_wanted_reason"] is None,
        "matched_by": "visitor",
    }


FORWARDINGS = [
    *(
        forwarding(
            f"shop/openanalytics:{number:03d}", key, occurred_us=us(-60 - number), not_wanted_reason=reason
        )
        for key in ("meta", "network", "crm")
        for number, reason in ((1, None), (2, None), (3, "bot"), (4, "before_since"))
    ),
    forwarding(CONVERSION, "asleep", not_wanted_reason="rejected", state="rejected", value_minor=0),
    forwarding("other/x:1", "meta", project_id="other"),
]
"""What is published of them."""

DELIVERIES = [
    delivery(1, "meta", "delivered", tries=2, status=200, first_try_us=us(2), done_us=us(30)),
    delivery(2, "meta", "delivered", tries=1, status=200, first_try_us=us(2), done_us=us(90)),
    delivery(3, "meta", "skipped", reason="too_old", done_us=us(3)),
    delivery(4, "meta", "skipped", reason="too_old", done_us=us(4)),
    delivery(5, "meta", "skipped", reason="no_identifier", done_us=us(5)),
    delivery(6, "meta", "dead", reason="2804003", tries=1, status=400, error_code="2804003"),
    delivery(7, "network", "queued", due_us=us(8)),
    delivery(8, "network", "retrying", due_us=us(600), tries=3, status=503, error_code="http_503"),
    delivery(9, "crm", "held", reason="surge", held_us=us(9)),
    # Changes what the twelfth row, of the same conversion, had told.
    delivery(
        10,
        "crm",
        "cancelled",
        ordinal=2,
        kind="restate",
        conversion_id=CHANGED,
        reason="superseded",
        done_us=us(11),
    ),
    delivery(
        11,
        "old",
        "delivered",
        conversion_id=CONVERSION,
        tries=1,
        status=204,
        done_us=us(12),
        value_minor=None,
    ),
    delivery(
        12, "crm", "delivered", conversion_id=CHANGED, value_minor=3000, facts=None, tries=1, done_us=us(13)
    ),
    # Of another tenant, newer than all of ours.
    delivery(99, "meta", "delivered", project_id="other", conversion_id="other/x:1", done_us=us(100)),
]
TOLD = [
    ("meta", f"shop/openanalytics:{number:03d}", 1, "f1", "approved", 4999, "USD", us(30), 1, planned)
    # The second is known otherwise than it was planned last, and nothing says why.
    for number, planned in ((1, "f1"), (2, "f2"))
]
ATTEMPTS = [
    (DELIVERIES[0]["delivery_id"], 1, us(2), 15_000, None, "timeout", ""),
    (DELIVERIES[0]["delivery_id"], 2, us(30), 210, 200, "", '{"events_received": 1, "note": "<b>"}'),
    (DELIVERIES[7]["delivery_id"], 1, us(9), 40, 503, "http_503", "busy"),
]


def define_destinations(settings: Settings, project: str = "shop") -> None:
    """Define all of them in the landing store."""
    rows = [
        Definition(
            project_id=project,
            kind="destination",
            key=key,
            body=orjson.dumps(body).decode(),
            received_us=us(-600),
        )
        for key, body in DESTINATIONS.items()
    ]
    settings.home_dir.mkdir(parents=True, exist_ok=True)
    with closing(open_store(settings.landing_store)) as store:
        store.append([("definitions", [row_values(Definition)(row) for row in rows])])


def write_outbox(settings: Settings) -> None:
    """Write the outbox of this home."""
    with closing(open_outbox(settings.landing or settings.outbox_path)) as store, store.transaction():
        for row in DELIVERIES:
            marks = ", ".join("?" for _ in row)
            store.execute(
                f"INSERT INTO deliveries ({', '.join(row)}) VALUES ({marks})",
                *row.values(),
            )
        store.execute_many(
            "INSERT INTO told (project_id, destination_id, conversion_id, ordinal, fingerprint, state,"
            " value_minor, currency, told_us, planned_ordinal, planned_fingerprint)"
            " VALUES ('shop', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            TOLD,
        )
        store.execute_many("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)", ATTEMPTS)
        for values in (
            ("meta", 0, None, None, None, None, us(40)),
            ("network", 1, PAUSED, us(20), None, None, None),
            ("crm", 0, None, None, us(9), "surge", None),
            ("old", 0, None, None, None, None, None),
        ):
            store.execute(
                "INSERT INTO destination_state (project_id, destination_id, paused, reason, since_us,"
                " held_us, held_reason, breaker_us, planned_build) VALUES ('shop', ?, ?, ?, ?, ?, ?, ?, ?)",
                *(*values, BUILD),
            )
