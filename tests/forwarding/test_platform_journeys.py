"""From publications through the outbox to the books of Meta and Google, with a clock that the test moves."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google_receiver import GoogleReceiver, TokenServer
from meta_receiver import MetaReceiver, meta_error
from outbox_home import START, Clock, Home, forwarding
from receivers import Receiver, Reply, settings_for
from sample_conversions import google_destination, hashed, meta_destination

from forwarding.platforms import PLATFORMS
from forwarding.service import Service
from forwarding.transport import Transport
from record.landing import open_store
from record.secrets import new_secret_key, set_secret

TOKEN = "EAAB-meta-token"


@dataclass
class House:
    """A home whose outbox is made already, receivers, and the clock that all of them live by."""

    home: Home
    clock: Clock
    meta: MetaReceiver
    tokens: TokenServer
    google: GoogleReceiver

    def secret(self, destination_id: str, name: str, value: str) -> None:
        settings = self.home.settings
        with closing(open_store(settings.landing_store)) as store:
            set_secret(store, settings.secret_keys, ("shop", destination_id, name), value)

    def forward(self, *, after_s: float = 0) -> None:
        """Look and send until nothing is due."""
        self.clock.move(after_s)
        settings = self.home.settings
        platforms = {kind: make(settings) for kind, make in PLATFORMS.items()}
        service = Service(settings, lambda: Transport(settings), lambda: platforms, now_us=self.clock)
        asyncio.run(service.run_once())

    def publish(self, *rows: Mapping[str, Any]) -> None:
        self.home.publish(rows)

    def reasons(self, destination_id: str) -> dict[str, int]:
        """How deliveries ended, with the reason where there is one."""
        return dict(
            self.home.query(
                "SELECT state || coalesce(': ' || reason, ''), count(*) FROM deliveries"
                " WHERE destination_id = ? GROUP BY 1",
                destination_id,
            )
        )

    @property
    def values(self) -> dict[str, float | None]:
        """What Google has, by transaction id."""
        return {key[2]: each.value for key, each in self.google.book.items()}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = Clock()

    def now() -> float:
        return clock.us / 1e6

    with (
        MetaReceiver(token=TOKEN, now=now) as meta,
        TokenServer(now=now) as tokens,
        GoogleReceiver(tokens) as google,
    ):
        yield made(tmp_path / "home", clock, meta, tokens, google)


def made(
    folder: Path, clock: Clock, meta: MetaReceiver, tokens: TokenServer, google: GoogleReceiver
) -> House:
    urls = {"meta_url": meta.url, "google_url": google.url, "google_token_url": tokens.token_url}
    receivers: tuple[Receiver, ...] = (meta, tokens, google)
    allowed = settings_for(*receivers).forward_allow
    home = Home(folder, secret_keys=new_secret_key("one"), forward_allow=allowed, **urls)
    home.define("meta", **meta_destination().body)
    home.define("google", **google_destination().body)
    house = House(home, clock, meta, tokens, google)
    house.secret("meta", "access_token", TOKEN)
    for name, value in tokens.refresh_secrets.items():
        house.secret("google", name, value)
    house.forward()
    return house


def conversion(order: str, destination: str, **given: Any) -> dict[str, Any]:
    somebody = json.dumps([hashed(f"{order}@shop.example")])
    identified: dict[str, Any] = {"em_meta": somebody, "em_google": somebody}
    return forwarding(order, destination_id=destination, destination_kind=destination, **(identified | given))


def rejected(order: str, destination: str) -> dict[str, Any]:
    return conversion(
        order, destination, is_wanted=False, not_wanted_reason="rejected", state="rejected", value_minor=0
    )


def test_books_equal_what_was_published(house: House) -> None:
    """Google's follows each change, Meta's stays as it was told first."""
    house.publish(*[conversion(order, name) for order in "abc" for name in ("meta", "google")])
    house.forward()
    assert {each.event["event_id"]: each.value for each in house.meta.book} == dict.fromkeys(
        "abc", (10, "USD")
    )
    assert house.reasons("google") == {"accepted": 3}

    changed = [
        row
        for name in ("meta", "google")
        for row in (
            conversion("a", name, value_minor=750),
            rejected("b", name),
            conversion("c", name),
            conversion("d", name, value_minor=1),
        )
    ]
    house.publish(*changed)
    house.forward(after_s=60)
    # Google has not said yet what became of the first three: nothing is restated meanwhile.
    assert house.values == {"a": 10, "b": 10, "c": 10, "d": 0.01}
    for _ in range(4):
        house.forward(after_s=1860)
    assert house.values == {"a": 7.5, "b": 0, "c": 10, "d": 0.01}
    assert house.google.made_by_restating == []
    assert house.reasons("google") == {"delivered": 6}
    assert house.reasons("meta") == {
        "delivered": 4,
        "skipped: cannot_restate": 1,
        "skipped: cannot_retract": 1,
    }
    assert {each.event["event_id"]: each.value[0] for each in house.meta.book} == {
        "a": 10,
        "b": 10,
        "c": 10,
        "d": 0.01,
    }


def test_a_poison_event_among_five_hundred(house: House) -> None:
    house.meta.poison.add("order-77")
    house.google.poison.add("order-78")
    rows = [conversion(f"order-{number}", name) for number in range(500) for name in ("meta", "google")]
    house.publish(*rows)
    house.forward()
    for _ in range(2):
        house.forward(after_s=1860)
    assert house.reasons("meta") == {"dead: 100/2804048": 1, "delivered": 499}
    assert house.reasons("google") == {"dead: INVALID_EVENT": 1, "delivered": 499}
    assert len(house.meta.book) == len(house.google.book) == 499


def test_an_expired_token_pauses_until_there_is_another(house: House) -> None:
    house.meta.tokens.clear()
    house.meta.expired.add(TOKEN)
    house.tokens.is_revoked = True
    house.publish(*[conversion(order, name) for order in "ab" for name in ("meta", "google")])
    house.forward()
    house.forward(after_s=10 * 86_400)
    assert house.meta.book == [] and house.google.book == {}
    assert house.reasons("google") == {"queued": 2}

    house.meta.tokens.add("EAAB-new")
    house.meta.expired.clear()
    house.secret("meta", "access_token", "EAAB-new")
    house.tokens.is_revoked = False
    house.clock.us -= int(timedelta(days=10).total_seconds() * 1e6)
    for name in ("meta", "google"):
        house.home.wish("resume", name)
    house.forward(after_s=60)
    assert len(house.meta.book) == len(house.google.book) == 2
    everything = json.dumps(house.home.query("SELECT * FROM attempts"), default=repr)
    everything += json.dumps(house.home.query("SELECT * FROM deliveries"), default=repr)
    for secret in (TOKEN, "EAAB-new", *house.tokens.refresh_secrets.values(), *house.tokens.tokens):
        assert secret not in everything


def test_a_part_that_failed_is_found_by_splitting(house: House) -> None:
    house.google.invalid["order-5"] = "INVALID_GCLID"
    house.publish(*[conversion(f"order-{number}", "google") for number in range(8)])
    house.forward()
    house.forward(after_s=1860)
    assert house.reasons("google") == {"delivered: partly": 8}
    [(batch,)] = house.home.query("SELECT DISTINCT batch_id FROM deliveries")
    house.home.wish("split", "google", batch_id=batch)
    for _ in range(8):
        house.forward(after_s=1860)
    assert house.reasons("google") == {"dead: INVALID_GCLID": 1, "delivered": 7}
    assert len(house.google.book) == 7


def test_an_outage_of_a_day_loses_nothing(house: House) -> None:
    house.meta.fault = Reply(503)
    house.google.fault = Reply(502, b"<html>")
    house.publish(*[conversion(order, name) for order in "ab" for name in ("meta", "google")])
    for _ in range(24):
        house.forward(after_s=3600)
    assert house.meta.book == [] and house.google.book == {}
    house.meta.fault = house.google.fault = None
    # Each round is a process of its own here, which does not know that the others are waited for less.
    for _ in range(8):
        house.forward(after_s=6 * 3600)
    assert len(house.meta.book) == len(house.google.book) == 2
    assert house.reasons("meta") == house.reasons("google") == {"delivered": 2}


def test_throttling_slows_down_and_loses_nothing(house: House) -> None:
    house.meta.faults += [meta_error(80003), meta_error(4)]
    house.publish(conversion("a", "meta"))
    house.forward()
    house.forward(after_s=30)
    assert len(house.meta.requests) == 1
    for _ in range(4):
        house.forward(after_s=400)
    assert house.reasons("meta") == {"delivered": 1} and len(house.meta.book) == 1


def test_what_waited_too_long_is_told_to_nobody(house: House) -> None:
    week_ago = START - timedelta(days=6, hours=22)
    house.meta.fault = Reply(503)
    house.publish(conversion("a", "meta", occurred_at=week_ago), conversion("b", "meta"))
    house.forward()
    house.meta.fault = None
    for _ in range(3):
        house.forward(after_s=3600)
    assert [each.event["event_id"] for each in house.meta.book] == ["b"]
    assert house.reasons("meta").keys() - {"delivered"} in ({"skipped: too_old"}, {"dead: expired"})


def test_a_test_reaches_the_platform_and_counts_nowhere(house: House) -> None:
    for name in ("meta", "google"):
        house.home.wish("test", name)
    house.forward()
    assert house.reasons("meta") == {"skipped: no_test_event_code": 1}
    assert house.reasons("google") == {"delivered": 1} and house.google.validated == 1
    house.home.define("meta", **meta_destination(test_event_code="TEST1").body)
    house.home.wish("test", "meta")
    house.forward(after_s=1)
    assert len(house.meta.datasets["1234567890"].tested) == 1
    assert house.meta.book == [] and house.google.book == {}
