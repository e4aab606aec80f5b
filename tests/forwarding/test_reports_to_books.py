"""From reports over HTTP, through real builds, to the books of four receivers: told once, and equal."""

import asyncio
import base64
import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from google_receiver import GoogleReceiver, TokenServer
from meta_receiver import MetaReceiver
from receivers import PostbackReceiver, WebhookReceiver
from servers import Server, start_ingest

from forwarding.platforms import PLATFORMS
from forwarding.service import Service
from forwarding.transport import Transport
from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from orchestration.build import run_build
from publication.layout import published_builds
from publication.publishing import hold, release

SIGNING = "whsec_" + base64.b64encode(b"reports to books, 32 bytes long.").decode()
META_TOKEN = "EAAB-meta-token"
PASSWORD = "pass word&more=1"
EMAIL = "Ada.Lovelace+ads@GoogleMail.com"

POSTBACK = {
    "name": "Push network",
    "kind": "postback",
    "on": "every_change",
    "sources": ["push-network"],
    "url": "{url}/pb?click={external}&payout={payout}&status={status}&tx={tx}&pw={secret:password}",
}
META = {"name": "Meta", "kind": "meta", "dataset_id": "1234567890", "names": ["purchase"]}
GOOGLE = {
    "name": "Google",
    "kind": "google",
    "account_id": "1234567890",
    "conversion_action_id": "987654321",
    "names": ["purchase"],
}
WEBHOOK = {"name": "Our own", "kind": "webhook", "url": "{url}/hook", "include": ["hashes"]}


class House:
    """An ingest server on a home, its builds, and what is forwarded from it, at a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.postback = PostbackReceiver()
        self.webhook = WebhookReceiver(SIGNING, any_time=True)
        self.ahead_s = 0.0
        self.meta = MetaReceiver(token=META_TOKEN, now=self.now)
        self.tokens = TokenServer(now=self.now)
        self.google = GoogleReceiver(self.tokens)
        self.receivers = (self.postback, self.webhook, self.meta, self.tokens, self.google)
        environment = {
            "FUNNELHOUSE_FORWARD_ALLOW": ",".join(receiver.place for receiver in self.receivers),
            "FUNNELHOUSE_SECRET_KEYS": f"k1:{base64.b64encode(bytes(32)).decode()}",
        }
        self.ingest: Server = start_ingest(folder / "home", **environment)
        self.settings = Settings(
            home=folder / "home",
            forward_allow=environment["FUNNELHOUSE_FORWARD_ALLOW"],
            secret_keys=environment["FUNNELHOUSE_SECRET_KEYS"],
            meta_url=self.meta.url,
            google_url=self.google.url,
            google_token_url=self.tokens.token_url,
        )
        with closing(self.ingest.store()) as store:
            key = create_key(store, "shop", ["ingest", "admin"], 1)
            set_access(store, "shop", postbacks="open")
        self.client = httpx.Client(
            base_url=self.ingest.url, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )

    def now(self) -> float:
        return time.time() + self.ahead_s

    def close(self) -> None:
        self.client.close()
        self.ingest.stop()
        for receiver in self.receivers:
            receiver.close()

    def put(self, path: str, body: Any) -> None:
        answer = self.client.put(f"/v1/projects/shop/{path}", json=body)
        assert answer.status_code < 300, answer.text

    def report(self, **event: Any) -> None:
        answer = self.client.post("/v1/projects/shop/events", json=event)
        assert answer.status_code == 202, answer.text

    def build(self, **options: Any) -> None:
        assert run_build(self.ingest.settings, **options).failures == ()

    def forward(self) -> None:
        """As `funnelhouse forward --once` does it."""
        service = Service(
            self.settings,
            lambda: Transport(self.settings),
            lambda: {kind: make(self.settings) for kind, make in PLATFORMS.items()},
            now_us=lambda: int(self.now() * 1_000_000),
        )
        asyncio.run(service.run_once())

    def forwardings(self, destination_id: str) -> dict[str, dict[str, Any]]:
        """What the warehouse says that a destination should know, by transaction id."""
        path = (self.settings.published_dir / "current").resolve() / "marts.duckdb"
        with duckdb.connect(str(path), read_only=True) as marts:
            rows = marts.execute(
                "select * from fct_forwardings where destination_id = ?", [destination_id]
            ).fetch_arrow_table()
        return {row["transaction_id"]: row for row in rows.to_pylist()}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    try:
        yield found
    finally:
        found.close()


def define(house: House) -> None:
    house.put(
        "traffic-sources/push-network",
        {"name": "Push", "source": "push", "medium": "cpm", "click_id_param": "clickid"},
    )
    for destination_id, body, receiver in (
        ("push-network", POSTBACK, house.postback),
        ("meta", META, house.meta),
        ("google", GOOGLE, house.google),
        ("own", WEBHOOK, house.webhook),
    ):
        filled = {
            name: value.replace("{url}", receiver.url) if name == "url" else value
            for name, value in body.items()
        }
        house.put(f"destinations/{destination_id}", filled)
    secrets = {
        ("push-network", "password"): PASSWORD,
        ("meta", "access_token"): META_TOKEN,
        **{("google", name): value for name, value in house.tokens.refresh_secrets.items()},
        ("own", "signing_secret"): SIGNING,
    }
    for (destination_id, name), value in secrets.items():
        house.put(f"destinations/{destination_id}/secrets/{name}", {"value": value})


def view(house: House, visitor: str, query: str, hit: str) -> None:
    house.report(
        event_type="pageview",
        anonymous_id=visitor,
        visit_id=hit,
        url=f"https://www.shop.example/lamp?{query}",
        page_id="lamp",
        page_kind="offer",
    )


def sale(house: House, visitor: str, order: str, amount: float, status: str, **properties: Any) -> None:
    house.report(
        event_type="conversion",
        event_name="purchase",
        anonymous_id=visitor,
        revenue=amount,
        currency="EUR",
        transaction_id=order,
        status=status,
        properties=properties,
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.long
def test_books_equal_the_warehouse_and_nothing_is_told_twice(house: House) -> None:
    define(house)
    # An outbox that is younger than what is published could be one that was lost.
    house.forward()
    view(house, "ada", "utm_source=push&utm_medium=cpm&clickid=CLK%261&fbclid=Fb_1-x", "hit-ada")
    view(house, "bob", "gclid=G-1", "hit-bob")
    clicked_ms = time.time() * 1000
    sale(house, "ada", "o-1", 49.90, "approved", email=EMAIL)
    sale(house, "bob", "o-2", 20, "hold")
    # Its network is not to hear of it; our own systems are, with the flag.
    silent = house.client.get("/pb/shop/?hit=hit-ada&tx=o-3&rev=7&currency=EUR&disable_postbacks=true")
    assert silent.status_code == 200
    house.build()
    house.forward()

    assert house.postback.book == [
        {"click": "CLK&1", "payout": "49.90", "status": "sale", "tx": "o-1", "pw": PASSWORD}
    ]
    (told,) = house.meta.book
    assert told.event["event_name"] == "Purchase"
    assert told.event["event_id"] == "o-1"
    assert told.value == (49.9, "EUR")
    people = told.event["user_data"]
    assert people["em"] == [sha256(EMAIL.lower())]
    prefix, dots, millis, fbclid = people["fbc"].split(".")
    assert (prefix, dots, fbclid) == ("fb", "1", "Fb_1-x")
    # The time of the click, not of the order.
    assert abs(int(millis) - clicked_ms) < 60_000
    ((_, _, order),) = house.google.book
    assert order == "o-1"
    booked = house.google.book[("1234567890", "987654321", "o-1")]
    assert (booked.value, booked.currency) == (49.9, "EUR")
    assert {"emailAddress": sha256("adalovelace@googlemail.com")} in booked.event["userData"][
        "userIdentifiers"
    ]
    assert {data["transaction_id"]: data["state"] for data in house.webhook.conversions.values()} == {
        "o-1": "approved",
        "o-2": "pending",
        "o-3": "approved",
    }
    flags = {data["transaction_id"]: data["is_forwardable"] for data in house.webhook.conversions.values()}
    assert flags == {"o-1": True, "o-2": True, "o-3": False}

    # One is approved, one refunded in full; a late page view comes before all of it, and the two are merged.
    sale(house, "bob", "o-2", 20, "approved")
    house.report(event_type="refund", transaction_id="o-1", currency="EUR", user_id="ada-1")
    house.report(
        event_type="pageview",
        anonymous_id="ada",
        url="https://www.shop.example/late?utm_source=push&utm_medium=cpm&clickid=OTHER",
        timestamp=int((time.time() - 3600) * 1000),
    )
    house.report(event_type="identify", anonymous_id="ada", user_id="ada-1")
    house.build()
    house.forward()
    assert [(each["tx"], each["status"], each["payout"]) for each in house.postback.book[1:]] == [
        ("o-1", "refunded", "0.00")
    ]
    assert [booked.event["event_id"] for booked in house.meta.book] == ["o-1", "o-2"]
    # What it accepted has to be processed before it can be restated.
    assert house.google.book[("1234567890", "987654321", "o-1")].value == 49.9
    house.ahead_s += 3600
    house.forward()
    house.ahead_s += 3600
    house.forward()
    values = {key[2]: booked.value for key, booked in house.google.book.items()}
    assert values == {"o-1": 0, "o-2": 20}
    assert house.google.made_by_restating == house.google.changed_identifiers == []
    states = {data["transaction_id"]: data["state"] for data in house.webhook.conversions.values()}
    assert states["o-1"] == "refunded"
    assert states["o-2"] == "approved"

    # Built from nothing, in a new warehouse: nobody hears of it again.
    heard = [len(receiver.requests) for receiver in house.receivers]
    house.settings.warehouse_path.unlink()
    house.build()
    house.forward()
    assert [len(receiver.requests) for receiver in house.receivers] == heard
    assert_books_equal(house)


def assert_books_equal(house: House) -> None:
    """Each book says what the warehouse says, but for what cannot be said there any more."""
    hooks = {data["transaction_id"]: data for data in house.webhook.conversions.values()}
    posted = {said["tx"]: said for said in house.postback.book}
    metas = [booked.event["event_id"] for booked in house.meta.book]
    googles = {key[2]: booked for key, booked in house.google.book.items()}
    assert len(metas) == len(set(metas))
    assert house.meta.datasets["1234567890"].doubles == []
    assert house.google.made_by_restating == house.google.changed_identifiers == []
    for order, row in house.forwardings("own").items():
        if row["is_wanted"]:
            assert (hooks[order]["state"], hooks[order]["value_minor"]) == (row["state"], row["value_minor"])
        elif order in hooks:
            assert hooks[order]["state"] in ("rejected", "refunded")
    for order, row in house.forwardings("push-network").items():
        if row["is_wanted"]:
            assert posted[order]["payout"] == f"{row['value_minor'] / 100:.2f}"
        elif order in posted and row["not_wanted_reason"] in ("rejected", "refunded"):
            assert posted[order]["payout"] == "0.00"
    for order, row in house.forwardings("google").items():
        if row["is_wanted"]:
            assert round(googles[order].value * 100) == row["value_minor"]
        elif order in googles and row["not_wanted_reason"] in ("rejected", "refunded"):
            assert googles[order].value == 0
    for order, row in house.forwardings("meta").items():
        # It keeps the first value for ever, and takes nothing back.
        assert not row["is_wanted"] or order in metas


@pytest.mark.slow
def test_books_are_equal_after_any_history(house: House) -> None:
    """Status, amounts, refunds, flags, merges, late views, roll-backs, a warehouse that is lost."""
    chance = random.Random(19)
    define(house)
    house.forward()
    orders: list[str] = []
    for build in range(40):
        for _ in range(5):
            number = len(orders)
            visitor = f"visitor-{number // 2}"
            view(
                house,
                visitor,
                f"utm_source=push&utm_medium=cpm&clickid=C{number}&fbclid=F{number}",
                f"h{number}",
            )
            orders.append(f"o-{number}")
            status = chance.choice(["approved", "approved", "hold", "rejected"])
            sale(house, visitor, orders[-1], chance.randint(1, 90), status, email=f"{visitor}@shop.example")
        for _ in range(4):
            change(house, chance, orders)
        event = build % 10
        if event == 3:
            house.settings.warehouse_path.unlink()
        house.build(full_refresh=event == 6)
        if event == 8:
            # Whoever looks at an older build is told nothing that it says.
            builds = published_builds(house.settings.published_dir)
            hold(house.settings.published_dir, builds[0])
            house.forward()
            release(house.settings.published_dir)
        house.forward()
        house.ahead_s += 3600
        house.forward()
    for _ in range(3):
        house.ahead_s += 3600
        house.forward()
    assert_books_equal(house)
    assert len(house.webhook.conversions) > 100


def change(house: House, chance: random.Random, orders: list[str]) -> None:
    """Something that changes what is known of an order, or of whose it is."""
    order = chance.choice(orders)
    visitor = f"visitor-{int(order[2:]) // 2}"
    match chance.randrange(6):
        case 0:
            status = chance.choice(["approved", "rejected", "hold"])
            sale(house, visitor, order, chance.randint(1, 90), status, email=f"{visitor}@shop.example")
        case 1:
            house.report(
                event_type="refund", transaction_id=order, currency="EUR", revenue=chance.randint(1, 40)
            )
        case 2:
            house.report(event_type="refund", transaction_id=order, currency="EUR")
        case 3:
            house.report(event_type="identify", anonymous_id=visitor, user_id=f"user-{chance.randrange(20)}")
        case 4:
            house.report(
                event_type="pageview",
                anonymous_id=visitor,
                url="https://www.shop.example/late?utm_source=google&gclid=late",
                timestamp=int((time.time() - chance.randrange(7200)) * 1000),
            )
        case 5:
            hit, tx = f"h{order[2:]}", f"pb-{order}"
            flag = chance.choice(["", "&disable_postbacks=true"])
            answer = house.client.get(
                f"/pb/shop/?hit={hit}&tx={tx}&rev={chance.randint(1, 50)}&currency=EUR{flag}"
            )
            assert answer.status_code == 200
