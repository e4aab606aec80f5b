"""Settings of a project: numbers and choices that its models compute with. What is left out is the default.

Stored as shown: `time_zone`, `reporting_currency`, `lookback_days`, `half_life_days`, `session_gap_minutes`,
`counts_direct`, `postbacks_take_extended_status`.
"""

import zoneinfo
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ingest_api.fields import Currency
from ingest_api.native import OwnShape, Whole


@cache
def _time_zones() -> frozenset[str]:
    # Two entries of the database are no places: the machine's own zone, and one that says "not set".
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def _known_time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError("must be a name of the IANA time zone database, e.g. Europe/Madrid")
    return name


class ProjectSettings(OwnShape):
    """Windows include their end; a session ends after `session_gap_minutes` without a page view."""

    time_zone: Annotated[str, AfterValidator(_known_time_zone)] = "UTC"
    reporting_currency: Currency = "USD"
    lookback_days: Annotated[int, Field(ge=1, le=90), Whole] = 30
    half_life_days: Annotated[int, Field(ge=1, le=365), Whole] = 7
    session_gap_minutes: Annotated[int, Field(ge=1, le=1440), Whole] = 30
    counts_direct: bool = False
    postbacks_take_extended_status: bool = False


EXAMPLE: dict[str, Any] = {
    "time_zone": "Europe/Madrid",
    "reporting_currency": "EUR",
    "lookback_days": 60,
    "counts_direct": True,
}
"""A body of PUT."""
