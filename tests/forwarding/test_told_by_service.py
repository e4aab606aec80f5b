"""Webhooks and postbacks as `forward` tells them: from publications over the outbox to receivers' books."""

import asyncio
import base64
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from outbox_home import Home, forwarding
from receivers import BUSY, CUT, PostbackReceiver, Reply, WebhookReceiver

from forwarding.platforms import PLATFORMS
from forwarding.service import Service
from forwarding.transport import Transport
from record.contract import Definition, row_values
from record.landing import open_store
from record.secrets import new_secret_key, parse_secret_keys, set_secret

PASSWORD = "pa/ss&w=ord <canary>"
COMMON = {"trigger": "every_change", "names": [], "goals": [], "sources": [], "event_names": {}}
EVENTS = {"reject": {"is_wanted": False, "not_wanted_reason": "rejected", "state": "rejected"}}
"""What becomes of conversions."""


def signing_secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(32)).decode()}"


class House:
    """A home with a webhook and a postback, and those who hear them."""

    def __init__(self, folder: Path, endpoint: WebhookReceiver, network: PostbackReceiver) -> None:
        self.endpoint, self.network = endpoint, network
        keys = parse_secret_keys(new_secret_key("k1"))
        self.home = Home(folder)
        allowed = (endpoint.place, network.place)
        self.home.settings = self.home.settings.model_copy(
            update={"secret_keys": keys, "forward_allow": allowed}
        )
        self.home.define("hook", kind="webhook", url=f"{endpoint.url}/hook", include=["hashes"], **COMMON)
        self.define_network()
        self.set_secret("hook", "signing_secret", endpoint.secret)
        self.set_secret("net", "PW", PASSWORD)
        self.forward()

    def define_network(self, **members: Any) -> None:
        query = (
            "click={clickid}&tx={tx}&sum={payout}&cur={currency}&s={status}&pw={secret:PW}&id={delivery_id}"
        )
        given = {"method": "GET", "body": None, "body_format": None, "status_urls": {}, "status_words": {}}
        told = {
            "kind": "postback",
            "is_active": True,
            "concurrency": 8,
            "per_second": None,
            "allow_http": False,
        }
        body = {**COMMON, **given, **told, "url": f"{self.network.url}/pb?{query}", **members}
        row = Definition(
            project_id="shop", kind="destination", key="net", received_us=1, body=json.dumps(body)
        )
        with closing(open_store(self.home.settings.landing_store)) as store:
            store.append([("definitions", [row_values(Definition)(row)])])

    def set_secret(self, destination_id: str, name: str, value: str, **options: Any) -> None:
        with closing(open_store(self.home.settings.landing_store)) as store:
            place = ("shop", destination_id, name)
            set_secret(store, self.home.settings.secret_keys, place, value, **options)

    def publish(self, **conversions: dict[str, Any]) -> None:
        """Publish conversions, by their ids, for both destinations, and forward."""
        self.home.publish(
            forwarding(conversion_id, destination_id=name, destination_kind=kind, **given)
            for conversion_id, given in conversions.items()
            for name, kind in (("hook", "webhook"), ("net", "postback"))
        )
        self.forward()

    def forward(self) -> None:
        settings = self.home.settings
        platforms = {kind: make(settings) for kind, make in PLATFORMS.items()}
        asyncio.run(Service(settings, lambda: Transport(settings), lambda: platforms).run_once())


@pytest.fixture
def house(tmp_path: Path) -> Any:
    with WebhookReceiver(signing_secret()) as endpoint, PostbackReceiver(key="id") as network:
        yield House(tmp_path / "home", endpoint, network)


def of(book: list[dict[str, str]], transaction_id: str) -> list[tuple[str, str]]:
    return [(said["s"], said["sum"]) for said in book if said["tx"] == transaction_id]


def test_both_are_told_what_was_decided_and_what_changed(house: House) -> None:
    house.publish(a={}, b={"value_minor": 250, "currency": "JPY"}, c={"state": "pending"})
    house.publish(a={"value_minor": 900}, b=EVENTS["reject"], c={})
    house.publish(a={"value_minor": 900}, b=EVENTS["reject"], c={})
    assert of(house.network.book, "a") == [("sale", "10.00"), ("sale", "9.00")]
    assert of(house.network.book, "b") == [("sale", "250"), ("rejected", "0.00")]
    assert of(house.network.book, "c") == [("lead", "10.00"), ("sale", "10.00")]
    assert {said["pw"] for said in house.network.book} == {PASSWORD}
    assert {said["click"] for said in house.network.book} == {"click-a", "click-b", "click-c"}

    told = [(said["type"], said["data"]["conversion_id"]) for said in house.endpoint.book.values()]
    assert sorted(told) == [
        ("conversion.created", "a"),
        ("conversion.created", "b"),
        ("conversion.created", "c"),
        ("conversion.restated", "a"),
        ("conversion.restated", "c"),
        ("conversion.reversed", "b"),
    ]
    known = {name: (data["state"], data["value"]) for name, data in house.endpoint.conversions.items()}
    assert known == {"a": ("approved", "9.00"), "b": ("rejected", "0.00"), "c": ("approved", "10.00")}
    assert house.home.states("hook") == house.home.states("net") == {"delivered": 6}


def test_a_network_that_hears_once_hears_of_no_change(house: House) -> None:
    back = "tx={tx}&id={delivery_id}&s=back&sum={payout}"
    house.define_network(trigger="approved", status_urls={"refunded": f"{house.network.url}/back?{back}"})
    now = {"destination_version": 2}
    house.publish(a=now, b=now, c={**now, "external_click_id": None})
    refunded = {**now, "is_wanted": False, "not_wanted_reason": "refunded", "state": "refunded"}
    house.publish(a={**now, "value_minor": 5}, b=refunded, c={**now, "external_click_id": None})
    assert of(house.network.book, "a") == [("sale", "10.00")]
    assert of(house.network.book, "b") == [("sale", "10.00"), ("back", "0.00")]
    assert not of(house.network.book, "c")
    reasons = dict(house.home.query("SELECT conversion_id, reason FROM deliveries WHERE state = 'skipped'"))
    assert reasons == {"a": "cannot_restate", "c": "no_click_id"}


def test_a_new_signing_secret_is_good_at_once_and_so_is_the_old_one(house: House) -> None:
    old, new = house.endpoint.secret, signing_secret()
    house.set_secret("hook", "signing_secret", new, keeps_previous=True)
    house.publish(a={})
    house.endpoint.secret = new
    house.publish(a={}, b={})
    assert len(house.endpoint.book) == 2 and old != new
    house.set_secret("hook", "signing_secret", signing_secret())
    house.publish(a={}, b={}, c={})
    assert len(house.endpoint.book) == 2
    assert house.home.query("SELECT paused FROM destination_state WHERE destination_id = 'hook'") == [(1,)]


def test_no_secret_stands_in_any_file_or_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.network.faults.extend(
        [Reply(500, f"you said {PASSWORD}".encode(), {"X-Said": "pa/ss&w=ord"}), BUSY, CUT]
    )
    caplog.set_level("DEBUG")
    house.publish(a={}, b={}, c={})
    assert len(house.network.requests) == 3
    attempts = house.home.query("SELECT answer FROM attempts WHERE status = 500")
    assert attempts == [("you said ***",)]
    signing = house.endpoint.secret.removeprefix("whsec_")
    for file in house.home.settings.home_dir.rglob("*"):
        held = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
        assert b"canary" not in held and signing.encode() not in held, file
    assert "canary" not in caplog.text and signing not in caplog.text
