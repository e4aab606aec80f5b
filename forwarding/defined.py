"""What projects have defined of forwarding, in the landing store: destinations and their secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from forwarding.deliveries import Destination
from forwarding.outbox.schema import DestinationKey
from record.landing.store import LandingStore
from record.secrets import Secret, SecretError, SecretKey, read_secret

_RECENT = 100
"""PostgreSQL shows a commit with a higher id before one with a lower: so many ids are looked at."""


@dataclass(frozen=True, slots=True)
class Defined:
    """What is defined. `secrets`: by destination and name. `unreadable`: why a secret can't be read."""

    destinations: Mapping[DestinationKey, Destination]
    secrets: Mapping[DestinationKey, Mapping[str, Secret]]
    unreadable: Sequence[str]


def version_of_defined(store: LandingStore) -> tuple[object, ...]:
    """Differs when something may have been defined since; cheap. Raises LandingError."""
    recent = store.query(f"SELECT id FROM definitions ORDER BY id DESC LIMIT {_RECENT}")  # noqa: S608
    secrets = store.query(
        "SELECT count(*), max(set_us), max(previous_until_us), min(key_id), max(key_id)"
        " FROM destination_secrets"
    )
    return (*recent, *secrets)


def has_destinations(store: LandingStore) -> bool:
    """Whether any destination was ever defined. Raises LandingError."""
    return bool(store.query("SELECT 1 FROM definitions WHERE kind = 'destination' LIMIT 1"))


def destinations_of(store: LandingStore, project_id: str | None = None) -> dict[DestinationKey, Destination]:
    """The newest definitions, without those that were deleted; None for all projects. Raises LandingError."""
    of_project, values = ("", ()) if project_id is None else ("AND project_id = ?", (project_id,))
    rows = store.query(
        f"""
        SELECT numbered.project_id, numbered.destination_id, number, body FROM (
            SELECT
                project_id, key AS destination_id, id, body,
                row_number() OVER (PARTITION BY project_id, key ORDER BY {store.row_order}) AS number,
                lead(id) OVER (PARTITION BY project_id, key ORDER BY {store.row_order}) AS next_id
            FROM definitions WHERE kind = 'destination' {of_project}
        ) AS numbered
        WHERE next_id IS NULL AND body IS NOT NULL
        """,  # noqa: S608
        *values,
    )
    return {
        (project, destination_id): Destination(project, destination_id, number, orjson.loads(body))
        for project, destination_id, number, body in rows
    }


def read_defined(store: LandingStore, keys: Sequence[SecretKey]) -> Defined:
    """The newest definitions and all secrets. Raises LandingError."""
    destinations = destinations_of(store)
    secrets: dict[DestinationKey, dict[str, Secret]] = {}
    unreadable = []
    for project_id, destination_id, name in store.query(
        "SELECT project_id, destination_id, name FROM destination_secrets"
    ):
        try:
            secret = read_secret(store, keys, (project_id, destination_id, name))
        except SecretError as error:
            unreadable.append(str(error))
            continue
        if secret is not None:
            secrets.setdefault((project_id, destination_id), {})[name] = secret
    return Defined(destinations, secrets, unreadable)
