"""One page of one project: its place in the menu, the days and country asked for, and the build it reads.

    dates     a name such as last_30_days, `all`, `own` (`from` and `to`); none: the latest days with data
    country   ISO 3166-1 alpha-2; none: all

They stay in every address, so that a page can be handed on. What cannot be read is taken for absent: an old
link shows a page, not an error.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response

from funnelhouse.published import read_published
from read_api.dashboard.access import Here
from read_api.dashboard.figures import ago
from read_api.dashboard.ingest import Ingest
from read_api.dashboard.rendering import html
from read_api.date_ranges import NAMED_RANGES
from read_api.parameters import Days
from read_api.publications import Publications, Reader
from read_api.reports import builds
from read_api.reports.projects import today

LATEST = "latest_30_days"
ALL = "all"
OWN = "own"

DATE_OPTIONS = (
    (LATEST, "Latest 30 days with data"),
    ("today", "Today"),
    ("yesterday", "Yesterday"),
    ("last_7_days", "Last 7 days"),
    ("last_30_days", "Last 30 days"),
    ("last_90_days", "Last 90 days"),
    ("this_week", "This week"),
    ("last_week", "Last week"),
    ("this_month", "This month"),
    ("last_month", "Last month"),
    ("this_year", "This year"),
    ("last_year", "Last year"),
    (ALL, "All"),
    (OWN, "Own dates"),
)

MENU = (
    ("Results", (("overview", "Overview"), ("revenue", "Revenue history"), ("conversions", "Conversions"))),
    (
        "Traffic",
        (
            ("sources", "Sources"),
            ("landing-pages", "Landing pages"),
            ("attribution", "Attribution"),
            ("channel-importance", "Channel importance"),
            ("paths", "Paths"),
        ),
    ),
    (
        "Behaviour",
        (
            ("funnels", "Funnels"),
            ("goals", "Goals"),
            ("cohorts", "Cohorts"),
            ("experiments", "Experiments"),
            ("people", "People"),
        ),
    ),
    ("Data", (("live", "Live events"), ("data-trust", "Data trust"))),
)

_TITLES = {slug: title for _, pages in MENU for slug, title in pages}
_COUNTRY = re.compile(r"[A-Za-z]{2}")


@dataclass
class View:
    """What a page's template knows besides its figures. `days` are the days shown."""

    request: Request
    here: Here
    page: str
    reader: Reader | None = None
    title: str = ""
    takes_dates: bool = False
    takes_country: bool = False
    dates: str = LATEST
    days: Days = field(default_factory=Days)
    country: str | None = None
    countries: list[str] = field(default_factory=list)

    menu = MENU
    date_options = DATE_OPTIONS

    @property
    def project_id(self) -> str:
        """The project, as it is called everywhere."""
        return self.here.project_id

    @property
    def projects(self) -> list[str]:
        """The projects that this session sees."""
        return list(self.here.signed_in.projects)

    @property
    def may_edit(self) -> bool:
        """Whether a key of the session may define things here."""
        return self.here.admin is not None

    @property
    def csrf_token(self) -> str:
        """For every form."""
        return self.here.signed_in.session.csrf_token

    @property
    def first(self) -> date:
        """First day shown."""
        return self.days.first or date.min

    @property
    def last(self) -> date:
        """Last day shown."""
        return self.days.last or date.max

    @property
    def reading(self) -> Reader:
        """The build that this page reads; only of `viewing`."""
        assert self.reader is not None
        return self.reader

    @property
    def build(self) -> str | None:
        """The build that the figures are of."""
        return self.reader.build_id if self.reader else None

    @property
    def published_ago(self) -> str:
        """How long ago that was published."""
        published = datetime.fromisoformat(self.reading.facts["published_at"])
        return ago(published, datetime.now(UTC))

    @property
    def failed_at(self) -> datetime | None:
        """When the last build ended, if it failed; UTC, as templates show it."""
        return failed_at(self.request)

    @property
    def figures_of(self) -> datetime | None:
        """When what is shown was published; None while nothing is."""
        published = read_published(self.request.app.state.publications.published_dir)
        return published.published_at.astimezone(UTC).replace(tzinfo=None) if published else None

    @property
    def ingest_url(self) -> str:
        """The project in the ingest API, as examples show it."""
        ingest: Ingest = self.request.app.state.ingest
        return f"{ingest.base_url}/v1/projects/{self.project_id}"

    @property
    def query(self) -> dict[str, str]:
        """What of the address goes on to other pages."""
        return {
            name: value
            for name in ("dates", "from", "to", "country")
            if (value := self.request.query_params.get(name, ""))
        }

    @property
    def address(self) -> str:
        """This page's, without its query."""
        return self.request.url.path

    def url(self, page: str, **changes: str) -> str:
        """The address of a page of this project, keeping dates and country; '' takes a parameter away."""
        query = {name: value for name, value in {**self.query, **changes}.items() if value}
        if query.get("dates") != OWN:
            query.pop("from", None)
            query.pop("to", None)
        return _address(self.project_id, page, query)

    def conversion(self, conversion_id: str) -> str:
        """The address of a conversion's explanation."""
        # To a browser a dot between two slashes is a place, not a name.
        return self.url("conversions/" + quote(conversion_id).replace("/.", "%2F."))

    def project_address(self, project_id: str) -> str:
        """The same page of another project; what is one of its things has no namesake there."""
        page = self.page if self.page in _TITLES else "overview"
        return _address(project_id, page, {n: v for n, v in self.query.items() if n != "country"})

    def render(self, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> Response:
        """The page."""
        return html(template, {"view": self, **(context or {})}, status)


def failed_at(request: Request) -> datetime | None:
    """When the last build ended, if it failed; UTC and naive."""
    last = builds.last_build(request.app.state.last_build_path)
    if last is None or last.outcome != "failed":
        return None
    return last.ended_at.replace(tzinfo=None)


def _address(project_id: str, page: str, query: Mapping[str, str]) -> str:
    address = f"/app/projects/{project_id}/{page}"
    return f"{address}?{urlencode(query)}" if query else address


def frame(request: Request, here: Here, page: str, title: str = "") -> View:
    """A page without figures of a build."""
    return View(request, here, page, title=title or _TITLES[page])


@contextmanager
def viewing(
    request: Request,
    here: Here,
    page: str,
    *,
    title: str = "",
    dates: bool = True,
    country: bool = False,
    default: str = LATEST,
) -> Iterator[View]:
    """A page over the current build, which may choose `dates` and `country`. Raises NotPublishedError.

    `default` are the dates of an address that names none.
    """
    publications: Publications = request.app.state.publications
    with publications.current(here.project_id) as reader:
        view = frame(request, here, page, title)
        view.reader = reader
        view.takes_dates, view.takes_country = dates, country
        asked = request.query_params
        view.dates, view.days = _days(reader, here.project_id, asked, default)
        if country:
            view.countries = _countries(reader, here.project_id)
            given = asked.get("country", "")
            view.country = given.upper() if _COUNTRY.fullmatch(given) else None
            if view.country is not None and view.country not in view.countries:
                view.countries = sorted([*view.countries, view.country])
        yield view


def _days(reader: Reader, project_id: str, asked: Mapping[str, str], default: str) -> tuple[str, Days]:
    """The choice of dates, and the days that it means now."""
    name = asked.get("dates") or default
    if name == OWN:
        ends = [day for name in ("from", "to") if (day := _day(asked.get(name, "")))]
        # Until both are chosen, the latest days are there to be changed.
        return OWN, Days(*sorted(ends)) if len(ends) == 2 else _latest(reader, project_id)
    now = today(reader, project_id, datetime.now(UTC))
    if name in NAMED_RANGES and name in dict(DATE_OPTIONS):
        return name, Days(*NAMED_RANGES[name](now))
    if name == ALL:
        first, last = _data_days(reader, project_id)
        return ALL, Days(first or now, last or now)
    return LATEST, _latest(reader, project_id)


def _latest(reader: Reader, project_id: str) -> Days:
    """The 30 days that end with the last day of which there is something."""
    _, last = _data_days(reader, project_id)
    last = last or today(reader, project_id, datetime.now(UTC))
    return Days(last - timedelta(days=29), last)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _data_days(reader: Reader, project_id: str) -> tuple[date | None, date | None]:
    """First and last day of the project with sessions or conversions."""
    rows = reader.rows(
        "select min(report_date), max(report_date) from rpt_traffic where project_id = ?", [project_id]
    )
    return rows[0]


def _countries(reader: Reader, project_id: str) -> list[str]:
    rows = reader.rows(
        "select distinct country from rpt_traffic where project_id = ? and country is not null order by 1",
        [project_id],
    )
    return [country for (country,) in rows]
