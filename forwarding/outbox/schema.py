"""Tables of the outbox. One list for both engines; times are Unix microseconds, flags 0 and 1.

outbox             one row: whose it is, who may write, how far wishes and publications were followed
deliveries         messages about conversions; `ordinal` counts those of one destination and conversion
told               what each destination knows of each conversion (`fingerprint`), and what it was last
                   planned to be told (`planned_fingerprint`); no row is ever deleted
attempts           requests, by delivery; kept 30 days
destination_state  paused, held, the breaker, the plan in progress
planned_days       how many deliveries were planned on each day, for the surge guard
"""

DestinationKey = tuple[str, str]
"""Project and destination."""

NEVER_US = 2**62
"""`due_us` of what waits for something else than time."""

PARTLY = "partly"
"""Reason of what is delivered in a request of which the platform refused some: which, it does not say."""

WAITING = ("queued", "retrying", "held")

UNDERWAY = (
    "({table}.state IN ('sending', 'accepted')"
    " OR ({table}.state IN ('queued', 'retrying', 'held') AND {table}.may_be_known = 1)"
    f" OR ({{table}}.state = 'delivered' AND {{table}}.reason = '{PARTLY}'))"
)
"""Condition for what can't be taken back and has not come to its end, so that its successors wait.

So is what was sent without an answer: the receiver may know it. What waits otherwise can be cancelled."""

_TABLES = (
    """
    outbox (
        id {int} PRIMARY KEY,
        installation {text} NOT NULL,
        storage {text} NOT NULL,
        created_us {int} NOT NULL,
        lease_owner {text},
        lease_until_us {int} NOT NULL,
        wish_id {int} NOT NULL,
        planned_build {text}
    )
    """,
    """
    deliveries (
        delivery_id {key} PRIMARY KEY,
        project_id {key} NOT NULL,
        destination_id {key} NOT NULL,
        destination_version {int} NOT NULL,
        conversion_id {key} NOT NULL,
        ordinal {int} NOT NULL,
        kind {text} NOT NULL,
        build_id {text} NOT NULL,
        fingerprint {text},
        state_wanted {text},
        value_minor {int},
        currency {text},
        event_us {int},
        facts {text},
        state {text} NOT NULL,
        reason {text},
        due_us {int} NOT NULL,
        may_be_known {int} NOT NULL DEFAULT 0,
        tries {int} NOT NULL DEFAULT 0,
        checks {int} NOT NULL DEFAULT 0,
        expires_us {int},
        held_us {int},
        lease_owner {text},
        lease_until_us {int},
        batch_id {text},
        split_id {text},
        remote_id {text},
        status {int},
        error_code {text},
        error_text {text},
        created_us {int} NOT NULL,
        first_try_us {int},
        done_us {int}
    )
    """,
    """
    told (
        project_id {key} NOT NULL,
        destination_id {key} NOT NULL,
        conversion_id {key} NOT NULL,
        ordinal {int},
        fingerprint {text},
        state {text},
        value_minor {int},
        currency {text},
        known_as {text},
        told_us {int},
        planned_ordinal {int} NOT NULL,
        planned_fingerprint {text},
        PRIMARY KEY (project_id, destination_id, conversion_id)
    )
    """,
    """
    attempts (
        delivery_id {key} NOT NULL,
        n {int} NOT NULL,
        started_us {int} NOT NULL,
        ms {int} NOT NULL,
        status {int},
        error_code {text} NOT NULL,
        answer {text} NOT NULL,
        PRIMARY KEY (delivery_id, n)
    )
    """,
    """
    destination_state (
        project_id {key} NOT NULL,
        destination_id {key} NOT NULL,
        paused {int} NOT NULL DEFAULT 0,
        reason {text},
        since_us {int},
        held_us {int},
        held_reason {text},
        breaker_us {int},
        probe_us {int},
        probes {int} NOT NULL DEFAULT 0,
        planned_build {text},
        plan_build {text},
        plan_held {int} NOT NULL DEFAULT 0,
        PRIMARY KEY (project_id, destination_id)
    )
    """,
    """
    planned_days (
        project_id {key} NOT NULL,
        destination_id {key} NOT NULL,
        day {int} NOT NULL,
        deliveries {int} NOT NULL,
        PRIMARY KEY (project_id, destination_id, day)
    )
    """,
)

_INDEXES = (
    "UNIQUE INDEX IF NOT EXISTS deliveries_in_order"
    " ON deliveries (project_id, destination_id, conversion_id, ordinal)",
    "INDEX IF NOT EXISTS deliveries_due ON deliveries (project_id, destination_id, due_us, delivery_id)"
    " WHERE state IN ('queued', 'retrying')",
    "INDEX IF NOT EXISTS deliveries_accepted ON deliveries (project_id, destination_id, due_us)"
    " WHERE state = 'accepted'",
    "INDEX IF NOT EXISTS deliveries_sending ON deliveries (lease_until_us) WHERE state = 'sending'",
    "INDEX IF NOT EXISTS deliveries_by_state ON deliveries (project_id, destination_id, state, created_us)",
    "INDEX IF NOT EXISTS deliveries_by_age ON deliveries (project_id, created_us, delivery_id)",
    "INDEX IF NOT EXISTS deliveries_by_batch ON deliveries (batch_id) WHERE batch_id IS NOT NULL",
    "INDEX IF NOT EXISTS deliveries_with_facts ON deliveries (done_us) WHERE facts IS NOT NULL",
    "INDEX IF NOT EXISTS attempts_by_age ON attempts (started_us)",
)

TABLES = tuple(table.split("(", 1)[0].strip() for table in _TABLES)


def statements(is_postgres: bool) -> list[str]:
    """What makes the tables and indexes that are missing."""
    # Keys sort by their bytes in either engine, as in DuckDB: two sorted readings can be compared in steps.
    types = (
        {"int": "bigint", "text": "text", "key": 'text COLLATE "C"'}
        if is_postgres
        else {"int": "INTEGER", "text": "TEXT", "key": "TEXT"}
    )
    options = "" if is_postgres else " STRICT, WITHOUT ROWID"
    return [
        *(f"CREATE TABLE IF NOT EXISTS {table.format(**types).strip()}{options}" for table in _TABLES),
        *(f"CREATE {index}" for index in _INDEXES),
    ]
