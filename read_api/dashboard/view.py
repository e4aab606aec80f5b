"""One page of one project: its place in the menu, the days and country asked for, and the build it reads.

    dates     a name such as last_30_days, `all`, `own` (`from` and `to`); none: the latest days with data
    country   ISO 3166-1 alpha-2; none: all

They stay in every address, so that a page can be handed on. What cannot be read is taken for absent: an old
link shows a page, not an error.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response

from funnelhouse.problems import Refusal
from publication.layout import read_kept, read_published
from read_api.dashboard.access import Viewer
from read_api.dashboard.figures import Units, ago
from read_api.dashboard.first_steps import Steps, first_steps
from read_api.dashboard.ingest import Ingest
from read_api.dashboard.layout import Currencies
from read_api.dashboard.rendering import html
from read_api.date_ranges import NAMED_RANGES
from read_api.filters import Filter, applied, parsed
from read_api.parameters import Days
from read_api.publications import NotPublishedError, Publications
from read_api.reader import Reader
from read_api.reports import builds
from read_api.reports.conversion import ModelCredit
from read_api.reports.projects import project, today
from read_api.slices import Figure, Slice

FEW_ROWS = 100
MOST_ROWS = 1000
"""Rows of one table; all others are one line."""

LATEST = "latest_30_days"
ALL = "all"
OWN = "own"

DATE_OPTIONS = (
    (LATEST, "Last 30 days of data"),
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
    (ALL, "All time"),
    (OWN, "Custom range"),
)

MENU = (
    ("Results", (("overview", "Overview"), ("revenue", "Revenue history"), ("conversions", "Conversions"))),
    (
        "Traffic",
        (
            ("sources", "Sources"),
            ("landing-pages", "Landing pages"),
            ("links", "Links"),
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
    ("Sending", (("destinations", "Destinations"), ("deliveries", "Deliveries"))),
    ("Data", (("setup", "Setup"), ("live", "Live events"), ("data-trust", "Data trust"))),
)

TITLES = {slug: title for _, pages in MENU for slug, title in pages}
_CHOICES = ("by", "model", "measure", "goal")
_COUNTRY = re.compile(r"[A-Za-z]{2}")


@dataclass
class View:
    """What a page's template knows besides its figures. `days` are the days shown."""

    request: Request
    viewer: Viewer
    page: str
    reader: Reader | None = None
    title: str = ""
    takes_dates: bool = False
    takes_country: bool = False
    dates: str = LATEST
    unasked_dates: str = ""
    """The dates that the page shows because the address names none, where other pages would show others."""
    days: Days = field(default_factory=Days)
    known: Days = field(default_factory=Days)
    """From the first to the last day of which there is something."""
    country: str | None = None
    countries: list[str] = field(default_factory=list)
    currencies: Currencies = field(default_factory=lambda: Currencies("USD", {}))
    units: Units = field(default_factory=lambda: Units({}))
    filters: tuple[Filter, ...] = ()
    model: str = ""
    """The attribution model that credit is of: the project's, unless the address names another."""
    is_empty: bool = False
    """Whether the project has no figures yet: then the page shows what is to be done for the first ones."""
    is_said_when_empty: bool = False
    """Whether the page has something to say without figures; others show the steps alone."""

    menu = MENU
    date_options = DATE_OPTIONS

    @cached_property
    def steps(self) -> Steps:
        """The first steps, of a project that is empty."""
        return first_steps(self.request, self.viewer)

    @property
    def project_id(self) -> str:
        """The project, as it is called everywhere."""
        return self.viewer.project_id

    @property
    def projects(self) -> list[str]:
        """The projects that this session sees."""
        return list(self.viewer.signed_in.projects)

    @property
    def may_edit(self) -> bool:
        """Whether a key of the session may define things here."""
        return self.viewer.admin is not None

    @property
    def csrf_token(self) -> str:
        """For every form."""
        return self.viewer.signed_in.session.csrf_token

    def rows(self, mart: str, days_column: str | None = "report_date", **columns: object) -> Slice:
        """The project's rows of a mart on the days shown with these values; None asks nothing."""
        found = Slice(mart, self.project_id)
        if days_column is not None:
            found = found.on(days_column, self.days)
        if self.reader is not None:
            found = applied(found, self.filters, self.reader, self.model)
        return found.having(columns)

    def figure(self, mart: str, column: str, number: int | Decimal | None, **columns: object) -> Figure:
        """A number of the project's rows of a mart with these values, whatever the days."""
        return self.rows(mart, None, **columns).figure(column, number)

    def credit(self, conversion_id: str, given: ModelCredit, column: str, number: int | Decimal) -> Figure:
        """What a model gives to one touch of a conversion, or to none."""
        of = self.rows("fct_attribution", None, conversion_id=conversion_id, model=given.model)
        return of.where("touch_id", given.touch_id).where("currency", given.currency).figure(column, number)

    def unfiltered(self, *names: str) -> list[tuple[str, str]]:
        """Of `country` and `dates`, those that the address asks for, in words: for what can't be filtered."""
        asked = {
            "country": f"Country is {self.asked_country}" if self.asked_country else "",
            "dates": self._asked_dates,
        }
        return [(name, asked[name]) for name in names if asked[name]]

    @property
    def choices(self) -> dict[str, str]:
        """What of the address is this page's own."""
        return {name: self.request.query_params.get(name, "") for name in _CHOICES}

    @property
    def most_rows(self) -> int:
        """Of a table: a few, or as many as a page can bear when somebody asks for more."""
        return MOST_ROWS if self.request.query_params.get("rows") == "more" else FEW_ROWS

    @property
    def asked_country(self) -> str | None:
        """The country in the address, whether or not the page knows countries."""
        given = self.request.query_params.get("country", "")
        return given.upper() if _COUNTRY.fullmatch(given) else None

    @property
    def _asked_dates(self) -> str:
        name = self.request.query_params.get("dates", "")
        if name in ("", ALL):
            return ""
        if name == OWN:
            return " to ".join(self.request.query_params.get(end, "") for end in ("from", "to"))
        return dict(DATE_OPTIONS).get(name, "")

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
    def is_held(self) -> bool:
        """Whether readers stay at the build that is shown, whatever is published meanwhile."""
        return read_kept(self.request.app.state.publications.published_dir).held is not None

    @property
    def once(self) -> str:
        """For a form that does something once, however often it is sent."""
        return secrets.token_urlsafe(16)

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
        page = self.page if self.page in TITLES else "overview"
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


class NoFiguresError(NotPublishedError):
    """Nothing is published: `view` shows the first steps."""

    def __init__(self, view: View) -> None:
        super().__init__()
        view.is_empty = True
        self.view = view


def frame(request: Request, viewer: Viewer, page: str, title: str = "") -> View:
    """A page without figures of a build."""
    return View(request, viewer, page, title=title or TITLES[page])


def frame_with_steps(request: Request, viewer: Viewer, page: str) -> View:
    """A page without figures of a build, which shows the first steps while the project has none."""
    view = frame(request, viewer, page)
    view.is_empty, view.is_said_when_empty = not has_figures(request, viewer), True
    return view


def has_figures(request: Request, viewer: Viewer) -> bool:
    """Whether an event of the project is in the current build; true where that cannot be read."""
    publications: Publications = request.app.state.publications
    try:
        with publications.current(viewer.project_id) as reader:
            return project(reader, viewer.project_id).events > 0
    except NotPublishedError:
        return False
    except Refusal:
        return True


@contextmanager
def viewing(
    request: Request,
    viewer: Viewer,
    page: str,
    *,
    title: str = "",
    dates: bool = True,
    country: bool = False,
    default: str = LATEST,
    said_when_empty: bool = False,
    also_known: Callable[[Reader, str], Days] | None = None,
) -> Iterator[View]:
    """A page over the current build, which may choose `dates` and `country`. Raises NoFiguresError.

    `default` are the dates of an address that names none. `said_when_empty`: see View. `also_known` are days
    of a project on which the page knows something, with or without sessions and conversions.
    """
    publications: Publications = request.app.state.publications
    view = frame(request, viewer, page, title)
    try:
        current = publications.current(viewer.project_id)
    except NotPublishedError:
        raise NoFiguresError(view) from None
    with current as reader:
        view.reader = reader
        view.is_said_when_empty = said_when_empty
        view.takes_dates, view.takes_country = dates, country
        asked = request.query_params
        view.known, conversions = _known(reader, viewer.project_id)
        if also_known is not None:
            view.known = _both(view.known, also_known(reader, viewer.project_id))
        known = project(reader, viewer.project_id)
        view.is_empty = not known.events
        view.currencies = Currencies(known.reporting_currency, conversions)
        view.units = Units(reader.facts.get("currency_decimals"))
        view.filters = parsed(asked.getlist("f"))
        models = reader.facts.get("attribution_models", ())
        view.model = asked.get("model", "") if asked.get("model") in models else known.default_model
        view.dates, view.days = _days(reader, viewer.project_id, asked, default, view.known)
        view.unasked_dates = default if default != LATEST and not asked.get("dates") else ""
        if country:
            view.countries = _countries(reader, viewer.project_id)
            view.country = view.asked_country
            if view.country is not None and view.country not in view.countries:
                view.countries = sorted([*view.countries, view.country])
        yield view


def _days(
    reader: Reader, project_id: str, asked: Mapping[str, str], default: str, known: Days
) -> tuple[str, Days]:
    """The choice of dates, and the days that it means now."""
    name = asked.get("dates") or default
    if name == OWN:
        ends = [day for name in ("from", "to") if (day := _day(asked.get(name, "")))]
        if len(ends) == 2:
            return OWN, Days(*sorted(ends))
    now = today(reader, project_id, datetime.now(UTC))
    if name in NAMED_RANGES and name in dict(DATE_OPTIONS):
        return name, Days(*NAMED_RANGES[name](now))
    if name == ALL:
        return ALL, Days(known.first or now, known.last or now)
    last = known.last or now
    # Until both of one's own are chosen, the latest days are there to be changed.
    return OWN if name == OWN else LATEST, Days(last - timedelta(days=29), last)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _known(reader: Reader, project_id: str) -> tuple[Days, dict[str, int]]:
    """First and last day of the project with sessions, conversions or refunds; conversions by currency."""
    rows = reader.rows(
        """
        select currency, min(report_date), max(report_date), sum(credit_nano)
        from rpt_traffic
        where project_id = ?
        group by currency
        union all
        select null, min(conversion_date), max(conversion_date), 0
        from fct_conversion_ledger
        where project_id = ? and conversion_id is null
        """,
        [project_id, project_id],
    )
    firsts = [first for _, first, _, _ in rows if first is not None]
    lasts = [last for _, _, last, _ in rows if last is not None]
    conversions = {currency: nano for currency, _, _, nano in rows if currency is not None}
    return Days(min(firsts, default=None), max(lasts, default=None)), conversions


def _both(one: Days, other: Days) -> Days:
    """From the first day of either to the last."""
    firsts = [first for first in (one.first, other.first) if first is not None]
    lasts = [last for last in (one.last, other.last) if last is not None]
    return Days(min(firsts, default=None), max(lasts, default=None))


def _countries(reader: Reader, project_id: str) -> list[str]:
    rows = reader.rows(
        "select distinct country from rpt_traffic where project_id = ? and country is not null order by 1",
        [project_id],
    )
    return [country for (country,) in rows]
