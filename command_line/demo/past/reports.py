"""What arrives at the shop's Funnelhouse, and what it does to the shop's money."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from command_line.demo.past.shop_world import CURRENCY

Sender = Literal["browser", "backend", "app", "booking", "phone", "network", "link", "mistaken"]
"""Who reports: pages and the shop's backend (OpenAnalytics), its app (Segment), the tool that books
consultations (Pagent), the table of orders by phone (Superfunnel), a network (FunnelFlux), clicks on links,
and an old script whose reports are refused."""

State = Literal["approved", "pending", "rejected"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Report:
    """What one sender says once; `arrives` is when. `body` is in its dialect's own shape."""

    arrives: datetime
    sender: Sender
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Booking:
    """What a report does to the shop's money: a sale, a new state of one, or a refund of some of it.

    A refund without a sale has `is_known` false: it counts, but for no conversion.
    """

    arrives: datetime
    what: Literal["sale", "state", "refund"]
    sale: str
    cents: int = 0
    currency: str = CURRENCY
    state: State = "approved"
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Totals:
    """Conversions of a currency that were not rejected, and what those that are approved are worth, net."""

    conversions: int
    net_cents: int


@dataclass(slots=True)
class Past:
    """All that ever arrives, of which some may lie ahead."""

    reports: list[Report] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)

    def until(self, now: datetime) -> "Past":
        """What has arrived by now, in the order of its arrival."""
        return Past(_arrived(self.reports, now), _arrived(self.bookings, now))

    def totals(self) -> dict[str, Totals]:
        """By currency."""
        sales: dict[str, Booking] = {}
        states: dict[str, State] = {}
        refunded: Counter[str] = Counter()
        for booking in sorted(self.bookings, key=lambda booking: booking.arrives):
            if booking.what == "sale":
                sales[booking.sale] = booking
            if booking.what == "refund" and booking.is_known:
                refunded[booking.sale] += booking.cents
            elif booking.what != "refund":
                states[booking.sale] = booking.state
        conversions: Counter[str] = Counter()
        net_cents: Counter[str] = Counter()
        for sale in sales.values():
            conversions[sale.currency] += states[sale.sale] != "rejected"
            if states[sale.sale] == "approved":
                net_cents[sale.currency] += sale.cents - refunded[sale.sale]
        return {
            currency: Totals(conversions[currency], net_cents[currency]) for currency in sorted(conversions)
        }


_Arriving = TypeVar("_Arriving", Report, Booking)


def _arrived(arriving: Iterable[_Arriving], now: datetime) -> list[_Arriving]:
    return sorted((each for each in arriving if each.arrives <= now), key=lambda each: each.arrives)


@dataclass(slots=True)
class Making:
    """A past that is being made: one stream of random numbers, and what they came to so far."""

    midnight: datetime
    """When today began, in UTC."""
    draw: random.Random
    past: Past = field(default_factory=Past)
    orders: int = 0

    def at(self, days_ago: int) -> datetime:
        """A moment of a day; most are in the evening."""
        second = int(self.draw.triangular(0, 24 * 3600 - 1, 20 * 3600))
        return self.midnight - timedelta(days=days_ago) + timedelta(seconds=second)

    def happens(self, chance: float) -> bool:
        """Whether something of this chance happens."""
        return self.draw.random() < chance

    def one_of(self, chances: Mapping[_T, float] | Sequence[tuple[_T, float]]) -> _T:
        """One value, drawn by its weight."""
        pairs = list(chances.items()) if isinstance(chances, Mapping) else list(chances)
        return self.draw.choices([value for value, _ in pairs], [chance for _, chance in pairs])[0]

    def say(self, sender: Sender, at: datetime, body: dict[str, Any]) -> datetime:
        """Report what happened at a moment; returns when that arrives."""
        seconds = self.draw.uniform(0.5, 4)
        if sender == "browser" and self.happens(0.01):
            # A phone that was offline sends hours later.
            seconds = self.draw.uniform(2, 30) * 3600
        arrives = at + timedelta(seconds=seconds)
        self.past.reports.append(Report(arrives, sender, body))
        return arrives

    def book(self, booking: Booking) -> None:
        """Note what a report does to the shop's money."""
        self.past.bookings.append(booking)

    def order_number(self) -> str:
        """The next one."""
        self.orders += 1
        return f"LH-{10_000 + self.orders}"


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds."""
    return int(moment.timestamp() * 1000)
