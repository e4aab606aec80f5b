"""The shop's orders: taken, refunded, and reported to ingest as a backend does, with a key."""

import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from command_line.demo.shop.definitions import CURRENCY, PROJECT, PURCHASE, Lamp, dollars

# What the tracker fills into a form; whatever else a form brings is no id.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a customer, who is known by a cookie of the shop's own."""

    number: str
    customer: str
    lamp: Lamp
    is_refunded: bool = False

    @property
    def price(self) -> str:
        """What was paid."""
        return dollars(self.lamp.price_cents)

    @property
    def conversion_id(self) -> str:
        """Of the conversion that both reports of this order are: project, dialect, and its business key."""
        return f"{PROJECT}/openanalytics:order:{PURCHASE}:{self.number}"


class OrderBook:
    """Orders in memory, for as long as the demo runs. Safe to use from several threads."""

    def __init__(self, ingest_url: str, key: str) -> None:
        self._client = httpx.Client(
            base_url=f"{ingest_url}/v1/projects/{PROJECT}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
            trust_env=False,
        )
        self._orders: dict[str, Order] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections to ingest."""
        self._client.close()

    def find(self, number: str) -> Order | None:
        """The order of this number."""
        return self._orders.get(number)

    def of(self, customer: str) -> list[Order]:
        """The customer's orders, latest first."""
        with self._lock:
            return [order for order in reversed(self._orders.values()) if order.customer == customer]

    def take(self, customer: str, lamp: Lamp, filled: Mapping[str, str]) -> Order:
        """Take an order and report it as a sale; `filled` is what the tracker filled into the form.

        Raises httpx.HTTPError when ingest does not take the report: then there is no order.
        """
        order = Order(f"LF-{secrets.randbelow(900_000) + 100_000}", customer, lamp)
        visit = {"anonymous_id": "vid", "visit_id": "hit", "session_id": "sessionId"}
        ids = {ours: filled.get(theirs, "") for ours, theirs in visit.items()}
        self._report(
            "conversion", order, {name: value for name, value in ids.items() if _ID.fullmatch(value)}
        )
        with self._lock:
            self._orders[order.number] = order
        return order

    def refund(self, order: Order) -> None:
        """Refund an order in full, once. Raises httpx.HTTPError when ingest does not take the report."""
        if order.is_refunded:
            return
        self._report("refund", order, {})
        with self._lock:
            self._orders[order.number] = replace(order, is_refunded=True)

    def _report(self, event_type: str, order: Order, ids: Mapping[str, str]) -> None:
        event: dict[str, Any] = {
            "event_type": event_type,
            "event_name": PURCHASE,
            # The same however often it is sent.
            "event_id": f"{order.number}-{event_type}",
            "user_id": order.customer,
            **ids,
            "transaction_id": order.number,
            "revenue": order.lamp.price_cents / 100,
            "currency": CURRENCY,
            "timestamp": time.time_ns() // 1_000_000,
        }
        self._client.post("/events", json=event).raise_for_status()
