"""Settings of a project: numbers and choices that its models compute with. What is left out is the default.

Stored as shown: `time_zone`, `reporting_currency`, `lookback_days`, `half_life_days`, `session_gap_minutes`,
`counts_direct`, `postbacks_take_extended_status`, `own_hosts`, `ignored_referrers`, `link_hosts`.
"""

import re
import zoneinfo
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, Field

from ingest_api.definitions.kind import Single
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


MAX_HOSTS = 100
"""In each list."""
MAX_LABELS = 8
"""Of a listed host: models look no further up from the end of one that is seen."""

_HOST = re.compile(
    rf"(?=.{{1,253}}\Z)(?:android-app://)?[a-z0-9_-]{{1,63}}(?:[.][a-z0-9_-]{{1,63}}){{0,{MAX_LABELS - 1}}}"
)


def _host(value: str) -> str:
    host = value.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(
            "must be a host alone, e.g. pay.example, or an app, e.g. android-app://example.app;"
            " as browsers send it: without port and path, xn--… for other letters"
        )
    return host


Hosts = Annotated[list[Annotated[str, AfterValidator(_host)]], Field(max_length=MAX_HOSTS)]


def web_host(value: str) -> str:
    """A host of web pages, in lower case. Raises ValueError."""
    if value.lower().startswith("android-app:"):
        raise ValueError("must be a host of web pages, not an app")
    return _host(value)


WebHosts = Annotated[list[Annotated[str, AfterValidator(web_host)]], Field(max_length=MAX_HOSTS)]


class ProjectSettings(OwnShape):
    """Windows include their end; a session ends after `session_gap_minutes` without a page view.

    Links from `own_hosts`, `ignored_referrers` and hosts below them are no source of visits. Where
    `link_hosts` lists any, definitions of links may lead to these and to hosts below them only.
    """

    time_zone: Annotated[str, AfterValidator(_known_time_zone)] = "UTC"
    reporting_currency: Currency = "USD"
    lookback_days: Annotated[int, Field(ge=1, le=90), Whole] = 30
    half_life_days: Annotated[int, Field(ge=1, le=365), Whole] = 7
    session_gap_minutes: Annotated[int, Field(ge=1, le=1440), Whole] = 30
    counts_direct: bool = False
    postbacks_take_extended_status: bool = False
    own_hosts: Hosts = Field(default_factory=list)
    ignored_referrers: Hosts = Field(default_factory=list)
    link_hosts: WebHosts = Field(default_factory=list)


SETTINGS = Single(
    kind="settings",
    noun="settings",
    shape=ProjectSettings,
    example={
        "time_zone": "Europe/Madrid",
        "reporting_currency": "EUR",
        "lookback_days": 60,
        "counts_direct": True,
        "own_hosts": ["shop.example", "checkout.example"],
        "ignored_referrers": ["bank.example"],
        "link_hosts": ["shop.example", "offers.example"],
    },
)
