"""Real customer journeys of the package `mta` 0.0.9 (MIT), laid out in time as visits and conversions.

Its file `mta/data/data.csv.gz` is aggregated. One row is a path of channels, e.g. `eta > iota > eta`, and
stands for `total_conversions` journeys along that path which ended in a conversion and `total_null` which did
not; `total_conversion_value` is the value of those conversions together. Undone, that is 88,387 journeys with
378,209 touches and 19,785 conversions.
"""

import csv
import gzip
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

LAST_MOMENT = datetime(2026, 6, 30, 23, 0, tzinfo=UTC)
"""Nothing in the demo happens later than this."""

SPREAD_HOURS = 624
"""Journeys end spread over this many hours; with the longest path (89 steps) all of them fit into 30 days."""

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Journey:
    """One visitor's way: channels in the order of the visits; `value_cents` is None without a conversion."""

    number: int
    channels: tuple[str, ...]
    value_cents: int | None


def data_file() -> Path:
    """Path of the data file inside the installed package; nothing of the package is imported.

    Raises FileNotFoundError when the package is not installed.
    """
    spec = importlib.util.find_spec("mta")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("The demo's data is missing: pip install 'funnelhouse[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data" / "data.csv.gz"


def read_journeys(path: Path) -> Iterator[Journey]:
    """Journeys of the file, numbered from 0 in its order: of each row first those that converted.

    A row's value is rounded to cents (half to even: many values end in half a cent, and rounding those up
    would add a few dollars in all) and split over its conversions; the cents left over go to the first ones.
    """
    number = 0
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            channels = tuple(row["path"].split(" > "))
            conversions = int(row["total_conversions"])
            for value in split_cents(row_cents(row), conversions):
                yield Journey(number, channels, value)
                number += 1
            for _ in range(int(row["total_null"])):
                yield Journey(number, channels, None)
                number += 1


def row_cents(row: dict[str, str]) -> int:
    """Value of a row of the file in whole cents."""
    return int(Decimal(row["total_conversion_value"]).quantize(CENT) / CENT)


def split_cents(cents: int, parts: int) -> list[int]:
    """Cents in equal parts that add up to them; what does not divide goes to the first parts."""
    if parts == 0:
        return []
    each, left_over = divmod(cents, parts)
    return [each + (1 if part < left_over else 0) for part in range(parts)]


def events_of(journey: Journey) -> Iterator[dict[str, Any]]:
    """OpenAnalytics events of a journey: a page view per step, an hour apart, then its conversion if any.

    An hour is more than the session gap, so each step is a session of its own. Ids repeat from run to run.
    """
    visitor = f"visitor-{journey.number:05}"
    ends = LAST_MOMENT - timedelta(minutes=10, hours=journey.number % SPREAD_HOURS)
    for step, channel in enumerate(journey.channels):
        yield {
            "event_type": "pageview",
            "event_id": f"{visitor}-{step + 1}",
            "anonymous_id": visitor,
            "url": "https://shop.example/",
            "utm_source": channel,
            "timestamp": _milliseconds(ends - timedelta(hours=len(journey.channels) - 1 - step)),
        }
    if journey.value_cents is not None:
        yield {
            "event_type": "conversion",
            "event_name": "purchase",
            "event_id": f"{visitor}-order",
            "anonymous_id": visitor,
            "user_id": f"customer-{journey.number:05}",
            "transaction_id": f"order-{journey.number:05}",
            "revenue": journey.value_cents / 100,
            "currency": "USD",
            "timestamp": _milliseconds(ends + timedelta(minutes=10)),
        }


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
