import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from outbox_home import Book, Clock, Home, Plain, forwarding, running, service_of, until
from receivers import Reply


@pytest.fixture
def home(tmp_path, location):
    home = Home(tmp_path / "home", location)
    home.define()
    return home


@pytest.fixture
def book():
    with Book() as book:
        yield book


def once(home, book, platform=None, clock=None):
    """Forward one round; the outbox is there before what is published, as in a house that runs."""
    return asyncio.run(service_of(home, platform or Plain(book.url), book, clock).run_once())


def test_what_is_wanted_is_told_once(home, book):
    once(home, book)
    home.publish([forwarding("a"), forwarding("b", value_minor=250), forwarding("c", is_wanted=False)])
    assert once(home, book).is_well
    once(home, book)
    home.publish([forwarding("a"), forwarding("b", value_minor=250), forwarding("c", is_wanted=False)])
    once(home, book)
    assert book.of("a") == [(1, "create", 1000)]
    assert book.of("b") == [(1, "create", 250)]
    assert len(book.told) == 2
    assert home.states() == {"delivered": 2}


def test_what_changes_is_told_again_and_what_is_rejected_or_gone_taken_back(home, book):
    once(home, book)
    home.publish([forwarding("a"), forwarding("b"), forwarding("c"), forwarding("d")])
    once(home, book)
    home.publish(
        [
            forwarding("a", value_minor=900),
            forwarding("b", is_wanted=False, not_wanted_reason="rejected", state="rejected"),
            forwarding("d", is_wanted=False, not_wanted_reason="consent_denied"),
        ]
    )
    once(home, book)
    assert book.of("a") == [(1, "create", 1000), (2, "restate", 900)]
    assert book.of("b") == [(1, "create", 1000), (2, "retract", 0)]
    assert book.of("c") == [(1, "create", 1000), (2, "retract", 0)]
    assert book.of("d") == [(1, "create", 1000)]
    home.publish([forwarding("a", value_minor=900), forwarding("b"), forwarding("d")])
    once(home, book)
    assert book.of("b")[2:] == [(3, "restate", 1000)]
    assert book.known["net", "b"]["before"] == ["retracted", 0]
