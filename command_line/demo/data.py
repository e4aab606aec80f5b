"""What the demo can be filled with, and what must come out of it: a made-up shop's days, or real journeys."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

import orjson

from command_line.demo.journeys import LAST_MOMENT, data_file, events_of, read_journeys
from command_line.demo.past.reports import Totals
from command_line.demo.past.requests import requests_of
from command_line.demo.past.shop_world import CURRENCY, DAYS, PROJECT
from command_line.demo.past.visitors import made_up
from command_line.demo.replay import Request, in_arrays

DataName = Literal["shop", "journeys"]
DATA_NAMES: tuple[DataName, ...] = get_args(DataName)

_PURCHASE_GOAL = {
    "name": "Purchase",
    "match": {"type": "event_name", "value": "purchase"},
    "stage": "purchase",
}


@dataclass(frozen=True)
class Data:
    """What is sent to the project `shop`, and what every model must credit.

    `requests` takes the path of the project's postbacks. `is_past`: they say when they arrived. `touches` are
    visits by source, where all of them are counted as touches. `date_range` is all days, as the funnel report
    takes them.
    """

    origin: str
    requests: Callable[[str], list[Request]]
    is_past: bool
    currency: str
    totals: dict[str, Totals]
    touches: Counter[str] | None
    date_range: str
    adds_up: str
    """What is said when it does, and what of it is real."""


def read_data(name: DataName, now: datetime) -> Data:
    """The data of this name, up to `now`. Raises FileNotFoundError when it is not installed."""
    return _journeys() if name == "journeys" else _shop(now)


def _journeys() -> Data:
    journeys = list(read_journeys(data_file()))
    conversions = sum(journey.value_cents is not None for journey in journeys)
    cents = sum(journey.value_cents or 0 for journey in journeys)
    touches = Counter(channel for journey in journeys for channel in journey.channels)

    def requests(_postbacks: str) -> list[Request]:
        goal = orjson.dumps(_PURCHASE_GOAL)
        events = sorted((e for journey in journeys for e in events_of(journey)), key=lambda e: e["timestamp"])
        return [
            Request("PUT", f"/v1/projects/{PROJECT}/goals/purchase", goal),
            *in_arrays(f"/v1/projects/{PROJECT}/events", events),
        ]

    return Data(
        origin="the source file",
        requests=requests,
        is_past=False,
        currency="USD",
        totals={"USD": Totals(conversions, cents)},
        touches=touches,
        date_range=f"20260501,{LAST_MOMENT:%Y%m%d}",
        adds_up=f"Every model adds up to the source file's totals: {len(journeys):,} journeys, "
        f"{touches.total():,} touches, {conversions:,} conversions worth {cents / 100:,.2f} USD.\n"
        "The journeys are real and anonymised: channels, order and values are those of the package mta.",
    )


def _shop(now: datetime) -> Data:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    past = made_up(midnight)
    totals = past.until(now).totals()
    conversions = sum(total.conversions for total in totals.values())
    money = " and ".join(f"{total.net_cents / 100:,.2f} {currency}" for currency, total in totals.items())
    return Data(
        origin="what was sent",
        requests=lambda postbacks: requests_of(past, midnight, now, postbacks),
        is_past=True,
        currency=CURRENCY,
        totals=totals,
        touches=None,
        date_range=f"{midnight - timedelta(days=DAYS):%Y%m%d},{midnight:%Y%m%d}",
        adds_up=f"Every model adds up to what was sent: {conversions:,} conversions worth {money}, "
        "net of refunds.\n"
        "The shop is made up: its visitors, orders and costs are drawn by a seed, up to this minute. "
        "`make demo DATA=journeys` shows real ones.",
    )
