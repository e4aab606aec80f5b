"""What the outbox says of itself, in SQLite and PostgreSQL: only of the project that asks, and in pages."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from example_outbox import ATTEMPTS, BUILD, CONVERSION, DELIVERIES, PAUSED, us, write_outbox

from forwarding.deliveries import Told
from forwarding.outbox import reading
from forwarding.outbox.store import OutboxStore, open_existing_outbox
from funnelhouse.settings import Settings
from record.landing import Location


@pytest.fixture
def store(location: Location, tmp_path: Path) -> Iterator[OutboxStore]:
    """The outbox of a home beside one kind of landing store."""
    settings = Settings(home=tmp_path / "home", landing=location if isinstance(location, str) else "")
    where = settings.landing or settings.outbox_path
    assert open_existing_outbox(where) is None
    write_outbox(settings)
    opened = open_existing_outbox(where)
    assert opened is not None
    with closing(opened):
        yield opened


def ids(found: list[reading.Found]) -> list[int]:
    return [int(each.delivery_id.removeprefix("msg_")) for each in found]


def test_deliveries_come_newest_first_in_pages_that_join(store: OutboxStore) -> None:
    whole = reading.deliveries(store, "shop", limit=100)
    assert ids(whole) == [*range(12, 0, -1)], "none of another project"
    walked, after = list[int](), None
    while page := reading.deliveries(store, "shop", after=after, limit=5):
        walked += ids(page)
        after = (page[-1].created_us, page[-1].delivery_id)
    assert walked == ids(whole)
    assert ids(reading.deliveries(store, "shop", destination_id="meta", state="skipped", limit=2)) == [5, 4]
    assert ids(reading.deliveries(store, "shop", conversion_id=CONVERSION, limit=9)) == [11, 1]
    assert ids(reading.deliveries(store, "shop", since_us=us(11), limit=9)) == [12, 11]
    assert reading.deliveries(store, "nobody", limit=9) == []
    assert reading.deliveries(store, "shop", conversion_id="a\0b", limit=9) == []
    assert reading.delivery(store, "shop", "msg_\0") is None
    due = {number: each.due_us for number, each in zip(ids(whole), whole, strict=True)}
    assert (due[8], due[9], due[1]) == (us(600), None, None), "nothing is due that waits for somebody"


def test_one_delivery_has_its_facts_and_attempts(store: OutboxStore) -> None:
    first = str(DELIVERIES[0]["delivery_id"])
    found = reading.delivery(store, "shop", first)
    assert found is not None
    assert [(each.n, each.status, each.code) for each in found.attempts] == [
        (1, None, "timeout"),
        (2, 200, ""),
    ]
    assert found.delivery().facts["transaction_id"] == "order-1"
    assert found.attempts[1].answer == ATTEMPTS[1][-1]
    assert (found.delivery().kind, found.delivery().before) == ("create", None)
    assert reading.delivery(store, "other", first) is None
    blanked = reading.delivery(store, "shop", str(DELIVERIES[11]["delivery_id"]))
    assert blanked is not None
    assert blanked.facts is None


def test_what_was_told_before_is_said_of_a_change(store: OutboxStore) -> None:
    changed = reading.delivery(store, "shop", str(DELIVERIES[9]["delivery_id"]))
    assert changed is not None
    assert changed.delivery().before == Told("approved", 3000, "USD")


def test_what_is_known_of_a_conversion(store: OutboxStore) -> None:
    told = reading.told_of(store, "shop", CONVERSION)
    assert told == {"meta": reading.ToldRow("approved", 4999, "USD", us(30))}
    assert reading.told_of(store, "other", CONVERSION) == {}


def test_how_it_goes_with_each_destination(store: OutboxStore) -> None:
    found = reading.destinations(store, "shop")
    assert list(found) == ["crm", "meta", "network", "old"]
    meta, network, crm = found["meta"], found["network"], found["crm"]
    assert meta.counts == {"delivered": 2, "skipped": 3, "dead": 1}
    assert list(meta.skipped.items()) == [("too_old", 2), ("no_identifier", 1)]
    assert (meta.told, meta.told_differently) == (2, 1)
    # From the report to the delivery, half an hour before the first was planned.
    assert meta.took_us == [60 * 60_000_000, 120 * 60_000_000]
    assert meta.is_breaker_open
    assert (network.is_paused, network.reason, network.since_us) == (True, PAUSED, us(20))
    assert network.oldest_waiting_us == us(7)
    assert (crm.is_held, crm.reason, crm.since_us, crm.planned_build) == (True, "surge", us(9), BUILD)
    assert crm.took_us == [], "what is blanked cannot be timed"
    assert not found["old"].is_held
    assert list(reading.destinations(store, "other")) == ["meta"]


def test_metrics_are_of_all_projects(store: OutboxStore) -> None:
    found = reading.totals(store, us(60))
    assert (found.waiting, found.held, found.paused, found.failing) == (2, 1, 1, 1)
    assert found.oldest_waiting_us == us(7)
    assert found.told_differently == 1
    assert found.attempts == {"2xx": 1, "5xx": 1, "no_answer": 1}
    assert reading.totals(store, us(60 * 30)).attempts == {}, "of the last day"
