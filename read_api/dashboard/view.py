"""One page of one project: its place in the menu, what its address asks for, and the build it reads.

    dates     a name such as last_30_days, `all`, `own` (`from` and `to`); none: the latest days with data
    f         conditions (`read_api/filters.py`), as often as there are some
    model     an attribution model; none: the project's
    compare   as `read_api/comparison.py` has it; `compare_from` and `compare_to` for own days
    money     `reporting` for all amounts in the currency, or `reported`; none: what a project needs

They stay in every address, so that a page can be handed on. What cannot be read is said on the page with a
way back (`UnreadableError`): figures are never those of another filter than the one that is shown. Addresses
of older versions have `country=DE` for `f=country:is:DE`.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from read_api.bins import within
from read_api.comparison import COMPARISONS, NONE, Comparison, comparison
from read_api.currencies import Currencies
from read_api.dashboard.access import Viewer
from read_api.dashboard.figures import Units, ago, period
from read_api.dashboard.first_steps import Steps, first_steps
from read_api.dashboard.ingest import Ingest
from read_api.dashboard.rendering import html
from read_api.date_ranges import NAMED_RANGES
from read_api.filters import DIMENSIONS, MAX_FILTERS, OPERATORS, Filter, applied, not_applied, parsed
from read_api.parameters import MONEY, REPORTED, REPORTING, Days, day
from read_api.publications import NotPublishedError, Publications
from read_api.reader import Reader
from read_api.reports import builds, filter_values, summary
from read_api.reports.conversion import ModelCredit
from read_api.reports.projects import known_days, project, today
from read_api.reports.unconverted import Left, one_currency, unconverted
from read_api.slices import Figure, Slice, slice_of

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
    ("last_7_days", "Last 7 full days"),
    ("last_30_days", "Last 30 full days"),
    ("last_90_days", "Last 90 full days"),
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
            ("performance", "Performance"),
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
    (
        "Data",
        (
            ("setup", "Setup"),
            ("exchange-rates", "Exchange rates"),
            ("live", "Live events"),
            ("data-trust", "Data trust"),
        ),
    ),
)

TITLES = {slug: title for _, pages in MENU for slug, title in pages}
_KEPT = ("dates", "from", "to", "f", "model", "compare", "compare_from", "compare_to", "money")
# What an address has beside them that is not a page's own choice, or not any more when another one is made.
_NOT_KEPT = (
    *("added", "pairs", "left_out", "withdrawn"),
    "country",
    "offset",
    "cursor",
    "after",
    "rows",
    "saved",
)
_COUNTRY = re.compile(r"[A-Za-z]{2}")

UNDATED = frozenset(
    {
        "rpt_paths",
        "rpt_channel_importance",
        "rpt_experiments",
        "dim_projects",
        "dim_people",
        "dim_identifiers",
        "rpt_exchange_rates",
    }
)
"""Marts whose rows are not of a day."""


@dataclass
class View:
    """What a page's template knows besides its figures. `days` are the days shown."""

    request: Request
    viewer: Viewer
    page: str
    reader: Reader | None = None
    title: str = ""
    takes_dates: bool = False
    takes_filters: bool = False
    takes_comparison: bool = False
    takes_model: bool = False
    """What of the filter bar the page shows; all of it stays in its addresses."""
    takes_money: bool = False
    """Whether amounts of the page can be read in one currency, and that makes a difference."""
    money: str = REPORTED
    chooses_by_credit: bool = False
    dates: str = LATEST
    days: Days = field(default_factory=Days)
    known: Days = field(default_factory=Days)
    """From the first to the last day of which there is something."""
    default_dates: str = LATEST
    """Those of an address that names none."""
    currencies: Currencies = field(default_factory=lambda: Currencies("USD", {}))
    units: Units = field(default_factory=lambda: Units({}))
    filters: tuple[Filter, ...] = ()
    model: str = ""
    """The attribution model that credit is of: the project's, unless the address names another."""
    models: tuple[str, ...] = ()
    comparison: Comparison | None = None
    compared: Days | None = None
    """What the address asks to compare with, and the days that this means now; None where none is known."""
    unread: frozenset[str] = frozenset()
    """Parameters of the address that cannot be read."""
    is_of_days: bool = True
    """Whether money on the page is of the days shown; else of all time."""
    is_empty: bool = False
    """Whether the project has no figures yet: then the page shows what is to be done for the first ones."""
    is_said_when_empty: bool = False
    """Whether the page has something to say without figures; others show the steps alone."""

    menu = MENU
    dimensions = DIMENSIONS
    operators = OPERATORS

    @cached_property
    def steps(self) -> Steps:
        """The first steps, of a project that is empty."""
        return first_steps(self.request, self.viewer)

    @cached_property
    def time_zone(self) -> str:
        """In which times are written: the project's, as far as the current build knows it."""
        publications: Publications = self.request.app.state.publications
        try:
            with publications.current(self.project_id) as reader:
                return project(reader, self.project_id).time_zone
        except (NotPublishedError, Refusal):
            return "UTC"

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
    def may_send(self) -> bool:
        """Whether a key of the session may send events of this project."""
        return self.viewer.send is not None

    @property
    def csrf_token(self) -> str:
        """For every form."""
        return self.viewer.signed_in.session.csrf_token

    def rows(self, mart: str, days_column: str | None = "report_date", **columns: object) -> Slice:
        """The project's rows of a mart on the days shown with these values; None asks nothing."""
        found = Slice(mart, self.project_id)
        if self.reader is not None:
            found = slice_of(self.reader, mart, self.project_id)
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

    def unfiltered(self, *marts: str) -> list[tuple[str, str]]:
        """What rows of one of the marts are not filtered by although the address asks for it, in words.

        By dimension, or `dates`; for the panel that shows them.
        """
        reader, found = self.reader, dict[str, str]()
        for mart in marts if reader is not None else ():
            for each in not_applied(mart, self.filters, self.reading):
                known = found.get(each.dimension)
                found[each.dimension] = f"{known}, {each.words}" if known else each.words
            if mart in UNDATED and self._asked_dates:
                found["dates"] = self._asked_dates
        return list(found.items())

    @property
    def shows_model(self) -> bool:
        """Whether another model would change what is shown: credit, or what is chosen by it."""
        return self.takes_model or (self.chooses_by_credit and any(each.of_credit for each in self.filters))

    @property
    def date_options(self) -> list[tuple[str, str]]:
        """Choices of dates: the default of a page stays unnamed until somebody names it."""
        is_unnamed = not self.request.query_params.get("dates")
        return [("" if is_unnamed and name == self.dates else name, label) for name, label in DATE_OPTIONS]

    @property
    def comparison_options(self) -> list[tuple[str, str]]:
        """Choices of what to compare with: that of a page which nobody asked for stays unnamed, too."""
        is_unnamed = not self.request.query_params.get("compare")
        chosen = self.comparison.name if self.comparison else NONE
        return [("" if is_unnamed and name == chosen else name, label) for name, label in COMPARISONS.items()]

    @property
    def money_options(self) -> list[tuple[str, str]]:
        """Choices of the currency; what nobody asked for stays unnamed, too."""
        is_unnamed = not self.request.query_params.get("money")
        labels = {REPORTING: f"All in {self.currencies.own}", REPORTED: "As reported"}
        return [("" if is_unnamed and name == self.money else name, label) for name, label in labels.items()]

    @property
    def shown_money(self) -> str:
        """Which of those is chosen."""
        return self.request.query_params.get("money", "")

    @cached_property
    def unconverted(self) -> list[Left]:
        """What totals leave out, because it has no rate to the project's currency; on the days shown."""
        if self.money != REPORTING:
            return []
        days = self.days if self.is_of_days else Days()
        return unconverted(self.reading, self.project_id, days, self.filters, self.model)

    @property
    def unconverted_marts(self) -> list[str]:
        """Those that have it."""
        return sorted({each.number.of.mart for each in self.unconverted})

    @property
    def asked(self) -> summary.Filters:
        """Days, filters and model, as the summary's queries take them."""
        return summary.Filters(self.days, filters=self.filters, model=self.model)

    @property
    def shown_dates(self) -> str:
        """Which of those is chosen."""
        return self.dates if self.request.query_params.get("dates") else ""

    @property
    def shown_fields(self) -> list[str]:
        """What of the address the bar has fields for, so that it needs no hidden ones."""
        return [
            *(("dates", "from", "to") if self.takes_dates else ()),
            *(("compare", "compare_from", "compare_to") if self.takes_comparison else ()),
            *(("model",) if self.shows_model else ()),
            *(("money",) if self.takes_money else ()),
        ]

    @property
    def filter_dimensions(self) -> dict[str, str]:
        """The dimensions that this build has, as pages call them."""
        return {
            name: label for name, label in DIMENSIONS.items() if filter_values.is_there(self.reading, name)
        }

    @property
    def bar_words(self) -> str:
        """What is looked at, where there is no room for fields."""
        dates = dict(DATE_OPTIONS)[self.dates] if self.takes_dates else ""
        return " · ".join(each for each in (self.project_id, dates) if each)

    @cached_property
    def unknown(self) -> dict[str, list[str]]:
        """Values by dimension that filters name and this build has none of."""
        found: dict[str, list[str]] = {}
        for each in self.filters if self.reader is not None else ():
            for value in each.values if each.operator in ("is", "is_not") else ():
                if not filter_values.is_known(self.reading, self.project_id, each.dimension, value):
                    found.setdefault(each.dimension, []).append(value)
        return found

    def is_filterable(self, dimension: str, value: object) -> bool:
        """Whether a filter can name this value of a dimension."""
        try:
            parsed([_text(dimension, "is", value)])
        except Refusal:
            return False
        return self.reader is None or filter_values.is_there(self.reading, dimension)

    def is_chosen(self, dimension: str, value: object) -> bool:
        """Whether a filter asks for this value."""
        return _text(dimension, "is", value) in self._texts

    def with_filter(self, dimension: str, value: object, operator: str = "is") -> str:
        """The address of this page with one more filter; a value is either wanted or excluded."""
        text = _text(dimension, operator, value)
        opposite = _text(dimension, "is_not" if operator == "is" else "is", value)
        kept = [each for each in self._texts if each not in (text, opposite)]
        return self._filtered([*kept, text][-MAX_FILTERS:])

    def toggled(self, dimension: str, value: object) -> str:
        """The address of this page with this filter, or without it where it has it."""
        if not self.is_chosen(dimension, value):
            return self.with_filter(dimension, value)
        return self._filtered([each for each in self._texts if each != _text(dimension, "is", value)])

    def without(self, removed: Filter) -> str:
        """The address of this page without one of its filters."""
        return self.only(*(each for each in self.filters if each != removed))

    def only(self, *filters: Filter) -> str:
        """The address of this page with these filters alone."""
        return self._filtered([text for each in filters for text in each.texts])

    def _filtered(self, texts: list[str]) -> str:
        return self.here(f=texts)

    @property
    def _texts(self) -> list[str]:
        return [text for each in self.filters for text in each.texts]

    @property
    def most_rows(self) -> int:
        """Of a table: a few, or as many as a page can bear when somebody asks for more."""
        return MOST_ROWS if self.request.query_params.get("rows") == "more" else FEW_ROWS

    @property
    def _asked_dates(self) -> str:
        name = self.request.query_params.get("dates", "")
        if name in ("", ALL):
            return ""
        if name == OWN:
            return period(self.days)
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
    def query(self) -> dict[str, list[str]]:
        """What of the address goes on to other pages, but for what cannot be read."""
        asked = self.request.query_params
        found = {name: [value for value in asked.getlist(name)[-1:] if value] for name in _KEPT}
        found["f"] = asked_filters(self.request)
        if self.unread & {"f", "country"}:
            found["f"] = [each for each in found["f"] if _is_readable(each)][:MAX_FILTERS]
        return {name: values for name, values in found.items() if values and name not in self.unread - {"f"}}

    @property
    def own(self) -> dict[str, list[str]]:
        """What the address chooses of this page alone."""
        asked = self.request.query_params
        names = [
            name for name in asked if name not in (*_KEPT, *_NOT_KEPT) and not name.startswith("filter_")
        ]
        return {name: asked.getlist(name) for name in names}

    @property
    def address(self) -> str:
        """This page's, without its query."""
        return self.request.url.path

    def url(self, page: str, /, **changes: str | Iterable[str]) -> str:
        """The address of a page of this project, keeping what all pages keep; '' takes a parameter away.

        What this page is compared with goes along, even where nobody asked for it.
        """
        kept = self.query
        if page != self.page and self.comparison and self.comparison.name != OWN and "compare" not in kept:
            kept = {**kept, "compare": [self.comparison.name]}
        return _address(self.project_id, page, _changed(kept, changes))

    def here(self, **changes: str | Iterable[str]) -> str:
        """The address of this page from its first row on, keeping its own choices too."""
        return _address(self.project_id, self.page, _changed({**self.query, **self.own}, changes))

    @property
    def exported(self) -> str:
        """The address of what this page lists, as a file."""
        return _address(self.project_id, f"{self.page}-export", _changed({**self.query, **self.own}, {}))

    def plain(self, page: str) -> str:
        """The address of a page of this project that keeps nothing: a form has it all in fields."""
        return _address(self.project_id, page, {})

    def conversion(self, conversion_id: str) -> str:
        """The address of a conversion's explanation."""
        # To a browser a dot between two slashes is a place, not a name.
        return self.url("conversions/" + quote(conversion_id).replace("/.", "%2F."))

    def project_address(self, project_id: str) -> str:
        """The same page of another project; what is one of its things has no namesake there."""
        page = self.page if self.page in TITLES else "overview"
        return _address(project_id, page, {n: v for n, v in self.query.items() if n not in ("f", "model")})

    def render(self, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> Response:
        """The page."""
        return html(template, {"view": self, **(context or {})}, status)


def titled(page: str) -> str:
    """What the menu calls a page; '' for one that is not in it."""
    return TITLES.get(page, "")


def failed_at(request: Request) -> datetime | None:
    """When the last build ended, if it failed; UTC and naive."""
    last = builds.last_build(request.app.state.last_build_path)
    if last is None or last.outcome != "failed":
        return None
    return last.ended_at.replace(tzinfo=None)


def _address(project_id: str, page: str, query: Mapping[str, Iterable[str]]) -> str:
    address = f"/app/projects/{project_id}/{page}"
    return f"{address}?{urlencode(query, doseq=True)}" if query else address


def _changed(
    query: Mapping[str, Iterable[str]], changes: Mapping[str, str | Iterable[str]]
) -> dict[str, list[str]]:
    """A query with changes; own days go with their choice."""
    every = {**query, **changes}
    found = {
        name: [each for each in ([value] if isinstance(value, str) else value) if each]
        for name, value in every.items()
    }
    for choice, ends in (("dates", ("from", "to")), ("compare", ("compare_from", "compare_to"))):
        if found.get(choice) != [OWN]:
            found |= {name: [] for name in ends}
    return {name: values for name, values in found.items() if values}


def _text(dimension: str, operator: str, value: object) -> str:
    """A filter as an address says it; no value is a value too."""
    if value is None:
        return f"{dimension}:{'empty' if operator == 'is' else 'set'}"
    return f"{dimension}:{operator}:{value}"


def asked_filters(request: Request) -> list[str]:
    """Filters as the address has them; a country is one, as older versions wrote it."""
    country = request.query_params.get("country", "")
    texts = [text for text in request.query_params.getlist("f") if text]
    return [*texts, f"country:is:{country.upper()}"] if country else texts


def _is_readable(text: str) -> bool:
    try:
        parsed([text])
    except Refusal:
        return False
    return True


class NoFiguresError(NotPublishedError):
    """Nothing is published: `view` shows the first steps."""

    def __init__(self, view: View) -> None:
        super().__init__()
        view.is_empty = True
        self.view = view


class UnreadableError(Refusal):
    """Something in a page's address cannot be read: `view` says so, and leads back to the page without it."""

    def __init__(self, view: View, problem: str, *names: str) -> None:
        super().__init__(400, problem)
        view.unread = frozenset(names)
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
    filters: bool = True,
    compares: bool = False,
    compared_with: str = NONE,
    credits: bool = False,
    converts: bool = False,
    chooses_by_credit: bool = False,
    default: str = LATEST,
    said_when_empty: bool = False,
    also_known: Callable[[Reader, str], Days] | None = None,
) -> Iterator[View]:
    """A page over the current build. Raises NoFiguresError, or UnreadableError for its address.

    What it takes of the filter bar: `dates`, `filters` (a page about one thing is of that thing, whatever is
    filtered), days that it `compares` with, the model that it `credits` by, or by whose credit filters of
    traffic choose conversions; and whether it `converts` amounts to one currency, which it does where an
    address asks for that, or a project has several. An address that names no dates has those of `default` and
    is `compared_with` that. `said_when_empty`: see View. `also_known` are days of a project on which the page
    knows something, with or without sessions and conversions.
    """
    publications: Publications = request.app.state.publications
    view = frame(request, viewer, page, title)
    try:
        current = publications.current(viewer.project_id)
    except NotPublishedError:
        raise NoFiguresError(view) from None
    with current as reader:
        known = project(reader, viewer.project_id)
        models = tuple(reader.facts.get("attribution_models", ()))
        asked = _asked(view, models)
        view.reader = reader
        if converts:
            _convert(view)
        view.is_said_when_empty = said_when_empty
        view.takes_dates, view.takes_filters = dates, filters
        view.takes_comparison, view.takes_model = compares, credits
        view.chooses_by_credit = chooses_by_credit
        view.known, conversions = known_days(reader, viewer.project_id)
        if also_known is not None:
            view.known = _both(view.known, also_known(reader, viewer.project_id))
        view.is_empty = not known.events
        view.currencies = Currencies(known.reporting_currency, conversions)
        is_only_one = not {each for each in conversions if each} - {known.reporting_currency}
        own = known.reporting_currency if is_only_one else ""
        view.units = Units(reader.facts.get("currency_decimals"), own)
        view.time_zone = known.time_zone
        view.filters = asked if filters else ()
        view.models = models
        view.model = request.query_params.get("model") or known.default_model
        view.default_dates = default
        view.dates, view.days = _days(reader, viewer.project_id, request.query_params, default, view.known)
        if compares:
            view.comparison = _comparison(request.query_params, compared_with, view.days)
            compared = view.comparison.days(view.days) if view.comparison else None
            view.compared = compared if compared and within(compared, view.known) else None
        yield view


def _convert(view: View) -> None:
    """Read amounts as the address says, else in one currency where some are converted."""
    offers = one_currency(view.reading, view.project_id).converts
    asked = view.request.query_params.get("money", "")
    view.money = asked or (REPORTING if offers else REPORTED)
    view.takes_money = offers or view.money == REPORTING
    try:
        view.reading.convert(view.money)
    except Refusal as refused:
        raise UnreadableError(view, refused.detail, "money") from None


def _asked(view: View, models: tuple[str, ...]) -> tuple[Filter, ...]:
    """The filters of the address. Raises UnreadableError for the first thing in it that can't be read."""
    asked = view.request.query_params
    try:
        filters = parsed(asked_filters(view.request))
    except Refusal as refused:
        raise UnreadableError(view, refused.detail, "f", "country") from None
    country = asked.get("country", "")
    if country and not _COUNTRY.fullmatch(country):
        raise UnreadableError(view, "country must be a two-letter ISO 3166-1 code", "country")
    if asked.get("model") and asked.get("model") not in models:
        raise UnreadableError(view, "model must be one of " + ", ".join(models), "model")
    if asked.get("dates") and asked.get("dates") not in dict(DATE_OPTIONS):
        raise UnreadableError(view, "dates must be one of " + ", ".join(dict(DATE_OPTIONS)), "dates")
    if asked.get("money") and asked.get("money") not in MONEY:
        raise UnreadableError(view, "money must be one of " + ", ".join(MONEY), "money")
    compare = asked.get("compare")
    if compare and compare not in COMPARISONS:
        raise UnreadableError(view, "compare must be one of " + ", ".join(COMPARISONS), "compare")
    for choice, first, last in (("dates", "from", "to"), ("compare", "compare_from", "compare_to")):
        try:
            own = [day(name, asked.get(name)) for name in (first, last)] if asked.get(choice) == OWN else []
        except Refusal as refused:
            raise UnreadableError(view, refused.detail, choice, first, last) from None
        ends = [end for end in own if end]
        if choice == "compare" and sorted(ends) != ends:
            raise UnreadableError(view, f"{first} must not be after {last}", choice, first, last)
    return filters


def _comparison(asked: Mapping[str, str], default: str, shown: Days) -> Comparison | None:
    """What to compare with. Until both of one's own days are chosen, the previous ones can be changed."""
    name = asked.get("compare") or default
    first, last = asked.get("compare_from"), asked.get("compare_to")
    if name == OWN and not (first and last):
        return Comparison(OWN, Comparison("previous").days(shown) or shown)
    return comparison(name, first, last)


def _days(
    reader: Reader, project_id: str, asked: Mapping[str, str], default: str, known: Days
) -> tuple[str, Days]:
    """The choice of dates, and the days that it means now."""
    name = asked.get("dates") or default
    if name == OWN:
        ends = [end for name in ("from", "to") if (end := day(name, asked.get(name)))]
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


def _both(one: Days, other: Days) -> Days:
    """From the first day of either to the last."""
    firsts = [first for first in (one.first, other.first) if first is not None]
    lasts = [last for last in (one.last, other.last) if last is not None]
    return Days(min(firsts, default=None), max(lasts, default=None))
