"""Who visits the shop and comes back, day by day; what a visit is like is in `visits`."""

import random
from datetime import datetime, timedelta

from command_line.demo.past.reports import Booking, Making, Past, milliseconds
from command_line.demo.past.shop_world import (
    AGAIN,
    BOT,
    BROWSED,
    CHANCES,
    COUNTRIES,
    CURRENCY,
    DAYS,
    DIRECT,
    LETTER,
    ORIGINS,
    SITE,
    USER_AGENTS,
    VARIANTS,
    WEEK,
    Origin,
)
from command_line.demo.past.visits import Visit, Visitor

SEED = 20
"""Every start of the demo draws the same."""


def made_up(midnight: datetime) -> Past:
    """All that happens to a shop whose today begins at `midnight` (UTC), the rest of today included.

    But for the dates it is the same on any day.
    """
    making = Making(midnight, random.Random(SEED))  # noqa: S311 (visitors, no secrets)
    visitors = 0
    for days_ago in reversed(range(DAYS)):
        for origin in ORIGINS:
            expected = origin.visitors_on(days_ago) * WEEK[days_ago % len(WEEK)]
            for _ in range(int(expected + making.draw.random())):
                visitors += 1
                _comes(making, visitors, origin, days_ago)
        _bot(making, days_ago)
    _odds_and_ends(making)
    return making.past


def _comes(making: Making, number: int, origin: Origin, days_ago: int) -> None:
    """A new visitor, with all visits that follow."""
    visitor = Visitor(
        number=number,
        country=making.one_of(COUNTRIES),
        user_agent=making.one_of(USER_AGENTS),
        has_phone_too=making.happens(0.2),
        uses_app=origin is DIRECT and making.happens(0.45),
        variant=making.draw.choice(VARIANTS),
    )
    Visit(making, visitor, origin, days_ago).run()
    while making.happens(CHANCES.returns_as_customer if visitor.user_id else CHANCES.returns):
        days_ago -= int(making.draw.triangular(1, 24, 2))
        if days_ago < 0:
            return
        again = making.one_of(AGAIN)
        if again is LETTER and visitor.user_id is None:
            # Nobody knows where to send it.
            again = DIRECT
        is_on_phone = visitor.has_phone_too and making.happens(0.5)
        Visit(making, visitor, again, days_ago, is_on_phone).run()


def _bot(making: Making, days_ago: int) -> None:
    """A crawler's pages of a day."""
    at = making.at(days_ago)
    for number, path in enumerate(making.draw.sample(BROWSED, 3)):
        at += timedelta(seconds=4)
        body = {
            "event_type": "pageview",
            "event_id": f"bot-{DAYS - days_ago}-{number}",
            "anonymous_id": f"bot-{DAYS - days_ago}",
            "url": f"{SITE}{path}",
            "user_agent": BOT,
            "timestamp": milliseconds(at),
        }
        making.say("browser", at, body)


def _odds_and_ends(making: Making) -> None:
    """What belongs to no visitor: refunds of sales that nobody reported, and reports that are refused."""
    for number, days_ago in enumerate((47, 6), 1):
        at, cents = making.at(days_ago), 4_450 + 1_450 * number
        body = {
            "event_type": "refund",
            "event_id": f"old-refund-{number}",
            "transaction_id": f"LH-0{number}77",
            "revenue": cents / 100,
            "currency": CURRENCY,
            "timestamp": milliseconds(at),
        }
        arrives = making.say("backend", at, body)
        making.book(Booking(arrives, "refund", f"LH-0{number}77", cents, is_known=False))
    for days_ago in (19, 12, 3):
        body = {"event_type": "conversion", "event_name": "purchase", "revenue": "79,00 €"}
        making.say("mistaken", making.at(days_ago), body)
