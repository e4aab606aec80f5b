"""What reports can be asked for: days, build, country, currency, pages. Each is read from the query here.

An empty value is an absent one. Errors are Refusals 400 that name the parameter and what it takes.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Depends, Query

from funnelhouse.problems import Refusal
from publication.layout import BUILD_ID, DEV_BUILD

MAX_LIMIT = 10_000
DEFAULT_LIMIT = 1_000

# Beyond it a cursor was not made by us.
_MAX_OFFSET = 1 << 56

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_BUILD = re.compile(rf"{BUILD_ID}|{DEV_BUILD}")
_BUILD_MEANS = (
    "An older kept build; 410 when it is gone. For keys of scope admin also `dev-<name>`: what was built "
    "last in that home to edit in."
)
_CURSOR = re.compile(rf"(?P<build>{_BUILD.pattern})\.(?P<offset>[0-9]{{1,18}})")


@dataclass(frozen=True)
class Days:
    """Days of the project's time zone, both included; None leaves that end open."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: date) -> bool:
        first, last = self.bounds
        return first <= day <= last

    @property
    def bounds(self) -> tuple[date, date]:
        """Both ends, for `between ? and ?`."""
        return self.first or date.min, self.last or date.max


@dataclass(frozen=True)
class Page:
    """Rows to return, and how many come before them."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0


ALL_DAYS = Days()
FIRST_PAGE = Page()

REPORTED, REPORTING = "reported", "reporting"
MONEY = (REPORTED, REPORTING)
"""How amounts are read: each in its own currency, or all in the project's reporting currency."""

AsOf = date | datetime
"""A day of the project, to its end, or a moment in UTC (naive): what had arrived by then is known."""


@dataclass(frozen=True)
class PageAsked:
    """A page, and the build that its cursor names."""

    page: Page
    build_id: str | None


def cursor(build_id: str, offset: int | None) -> str | None:
    """The cursor of the page that begins after so many rows; None where there is none."""
    return None if offset is None else f"{build_id}.{offset}"


def day(name: str, text: str | None) -> date | None:
    """A day as YYYY-MM-DD; raises Refusal 400."""
    if not text:
        return None
    try:
        if _ISO_DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Refusal(400, f"{name} must be a date as YYYY-MM-DD")


def utc_moment(text: str) -> datetime:
    """A time in ISO 8601, as UTC and naive; without an offset it is UTC. Raises ValueError, OverflowError."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def whole_number(name: str, text: str | None, default: int, most: int) -> int:
    """A number from 1 to `most`; raises Refusal 400."""
    if not text:
        return default
    number = int(text) if _WHOLE_NUMBER.fullmatch(text) else 0
    if not 1 <= number <= most:
        raise Refusal(400, f"{name} must be a whole number from 1 to {most}")
    return number


def one_of(name: str, text: str | None, values: tuple[str, ...], default: str) -> str:
    """One of these words; raises Refusal 400."""
    if not text:
        return default
    if text not in values:
        raise Refusal(400, f"{name} must be one of " + ", ".join(values))
    return text


# Coroutines, because FastAPI sends plain functions to a thread.
async def _days(
    first: Annotated[
        str | None,
        Query(alias="from", description="First day, YYYY-MM-DD.", json_schema_extra={"format": "date"}),
    ] = None,
    last: Annotated[
        str | None,
        Query(
            alias="to", description="Last day, included, YYYY-MM-DD.", json_schema_extra={"format": "date"}
        ),
    ] = None,
) -> Days:
    days = Days(day("from", first), day("to", last))
    if days.first and days.last and days.first > days.last:
        raise Refusal(400, "from must not be after to")
    return days


async def _build(
    build: Annotated[str | None, Query(description=_BUILD_MEANS)] = None,
) -> str | None:
    if build and not _BUILD.fullmatch(build):
        raise Refusal(400, "build must be the id of a build, as `builds` lists them")
    return build or None


async def _country(
    country: Annotated[str | None, Query(description="ISO 3166-1 alpha-2 code, any case.")] = None,
) -> str | None:
    if country and not _COUNTRY.fullmatch(country):
        raise Refusal(400, "country must be a two-letter ISO 3166-1 code")
    return country.upper() if country else None


async def _currency(
    currency: Annotated[str | None, Query(description="Only amounts of this ISO 4217 currency.")] = None,
) -> str | None:
    if currency and not _CURRENCY.fullmatch(currency):
        raise Refusal(400, "currency must be a three-letter ISO 4217 code")
    return currency.upper() if currency else None


async def _money(
    money: Annotated[
        str | None,
        Query(
            description="reported (default): each amount in its own currency; reporting: all amounts in the "
            "project's reporting currency, at the rate of their day. What has no rate is left out of sums "
            "then, and null by itself; the report `unconverted` says what that is."
        ),
    ] = None,
) -> str:
    return one_of("money", money, MONEY, REPORTED)


async def _as_of(
    as_of: Annotated[
        str | None,
        Query(
            description="Money as known at the end of that day (YYYY-MM-DD), or at a moment (ISO 8601; "
            "without an offset UTC): what arrived later is left out."
        ),
    ] = None,
) -> AsOf | None:
    if not as_of:
        return None
    if _ISO_DATE.fullmatch(as_of):
        return day("as_of", as_of)
    try:
        return utc_moment(as_of)
    except (ValueError, OverflowError):
        raise Refusal(400, "as_of must be a date as YYYY-MM-DD or a time as in ISO 8601") from None


async def _page(
    limit: Annotated[
        str | None,
        Query(
            description=f"Rows of a page at most, 1 to {MAX_LIMIT}; default {DEFAULT_LIMIT}. A page of "
            "long rows ends sooner: `next` says whether more follow."
        ),
    ] = None,
    following: Annotated[
        str | None, Query(alias="cursor", description="`next` of the page before; it names its build.")
    ] = None,
) -> PageAsked:
    rows = whole_number("limit", limit, DEFAULT_LIMIT, MAX_LIMIT)
    if not following:
        return PageAsked(Page(rows), None)
    named = _CURSOR.fullmatch(following)
    if named is None or int(named["offset"]) > _MAX_OFFSET:
        raise Refusal(400, "cursor must be `next` of the page before")
    return PageAsked(Page(rows, int(named["offset"])), named["build"])


AskedDays = Annotated[Days, Depends(_days)]
AskedBuild = Annotated[str | None, Depends(_build)]
AskedCountry = Annotated[str | None, Depends(_country)]
AskedCurrency = Annotated[str | None, Depends(_currency)]
AskedMoney = Annotated[str, Depends(_money)]
AskedAsOf = Annotated[AsOf | None, Depends(_as_of)]
AskedPage = Annotated[PageAsked, Depends(_page)]
