"""Who was told what of one conversion, when, and why not."""

from dataclasses import dataclass
from datetime import datetime

from forwarding.outbox import reading
from read_api.forwarded import Forwarded
from read_api.reader import Reader
from read_api.reports.deliveries import DeliveryLine, Filters, at, deliveries
from read_api.reports.forwardings import Forwarding, of_conversion

MOST_DELIVERIES = 200


@dataclass(frozen=True, slots=True)
class Known:
    """What a destination knows of a conversion."""

    state: str
    value_minor: int | None
    currency: str | None
    told_at: datetime


@dataclass(frozen=True, slots=True)
class ToldTo:
    """One destination: what it should know as published, what it knows, and each message, newest first."""

    destination_id: str
    name: str
    should: Forwarding | None
    known: Known | None
    deliveries: list[DeliveryLine]


def told_of(of: Forwarded, reader: Reader, project_id: str, conversion_id: str) -> list[ToldTo]:
    """By destination. Raises Refusal 503."""
    should = {each.destination_id: each for each in of_conversion(reader, project_id, conversion_id)}
    filters = Filters(conversion=conversion_id, limit=MOST_DELIVERIES)
    lines, _ = deliveries(of, project_id, filters)
    with of.outbox() as store:
        told = {} if store is None else reading.told_of(store, project_id, conversion_id)
    known = {
        key: Known(each.state, each.value_minor, each.currency, at(each.told_us))
        for key, each in told.items()
    }
    names = {key: str(each.body["name"]) for key, each in of.destinations(project_id).items()}
    keys = should.keys() | known.keys() | {each.destination_id for each in lines}
    return [
        ToldTo(
            key,
            names.get(key, key),
            should.get(key),
            known.get(key),
            [each for each in lines if each.destination_id == key],
        )
        for key in sorted(keys)
    ]
