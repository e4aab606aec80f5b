"""The overview: how the project is doing, compared with other days, and what is behind it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from read_api.bins import within
from read_api.comparison import Comparison
from read_api.dashboard.access import AnyViewer
from read_api.dashboard.change import Change, change, traced_difference
from read_api.dashboard.defined import ingest_of
from read_api.dashboard.figures import ago, period
from read_api.dashboard.ingest import UnreachableError
from read_api.dashboard.over_time import chart, sparkline, table
from read_api.dashboard.rendering import html
from read_api.dashboard.view import View, frame, viewing
from read_api.filters import Filter, not_applied, path_to
from read_api.metrics import METRICS, Measured, Metric, Scope, Sums
from read_api.parameters import Days
from read_api.ranking import TRAFFIC, Line, count, ranked
from read_api.reports import timeline
from read_api.reports.changes import Moved, values_moved
from read_api.reports.projects import Project, project
from read_api.slices import Slice

PATH = "/app/projects/{project_id}"

CARDS = (
    "net_revenue",
    "conversions",
    "conversion_rate",
    "average_order_value",
    "ad_spend",
    "pending_value",
)
BESIDE = {"conversion_rate": "sessions", "ad_spend": "roas"}
"""The metric that a card has in small, which is drawn as the others are."""

MEANINGS = {
    "net_revenue": "Approved conversions after their refunds, less refunds without a sale.",
    "conversions": "Approved and pending conversions.",
    "conversion_rate": "Conversions ÷ sessions. Known bots are excluded.",
    "average_order_value": "Net revenue of conversions ÷ approved conversions.",
    "ad_spend": "Spend as last reported. ROAS is net revenue on these days ÷ spend in its currency.",
    "pending_value": "Reported amounts that count once they are approved.",
}

PANELS = {
    "traffic": (
        ("source", "Sources"),
        ("medium", "Medium"),
        ("campaign", "Campaigns"),
        ("channel", "Channels"),
    ),
    "pages": (("landing_page", "Landing pages"),),
    "outcomes": (("goals", "Goals"), ("events", "Events")),
    "audience": (("country", "Countries"), ("device", "Devices")),
}
"""Four panels and their tabs; the address has the tab of each by its name."""

PANEL_ROWS = 10
MOVERS = 3
MOVING = ("source", "campaign", "channel", "landing_page", "country")
"""Of these dimensions are the values that moved net revenue."""

LATEST_EVENTS = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Card:
    """A metric at a glance: in each currency, how it changed, and its line."""

    key: str
    metric: Metric
    meaning: str
    totals: list[Measured]
    change: Change | None
    spark: dict[str, str]
    is_chosen: bool
    beside: "Card | None"
    unfiltered: list[Filter]


@dataclass(frozen=True)
class Choices:
    """What the address chooses of this page: metric and currency of the chart, a tab of each panel."""

    metric: str
    currency: str
    tabs: dict[str, str]
    comparison: Comparison | None

    @property
    def own(self) -> dict[str, str]:
        """What an address of this page says besides filters and days."""
        return _said({"metric": self.metric, "currency": self.currency, **self.tabs})

    def address(self, view: View, **changes: str) -> str:
        """This page's with some of its choices changed; all others stay."""
        said = _said({"metric": self.metric, "currency": self.currency, **self.tabs, **changes})
        return view.url("overview", **said)


def _said(choices: dict[str, str]) -> dict[str, str]:
    """Those that an address must name: not what a page shows anyway."""
    plain = {"metric": CARDS[0], **{panel: tabs[0][0] for panel, tabs in PANELS.items()}}
    return {name: value for name, value in choices.items() if value and value != plain.get(name)}


@router.get(f"{PATH}/overview")
def overview(request: Request, viewer: AnyViewer) -> Response:
    """Six metrics with what they are compared with, one of them drawn, and what is behind them."""
    with viewing(
        request,
        viewer,
        "overview",
        compares=True,
        compared_with="previous",
        converts=True,
        chooses_by_credit=True,
    ) as view:
        known = project(view.reading, view.project_id)
        chosen = _choices(view)
        scope = _scope(view, known)
        of = timeline.span(view.days, view.known, known.time_zone, chosen.comparison)
        context: dict[str, Any] = {
            "chosen": chosen,
            "is_empty": of is None,
            "status": _status(view, known),
            "unfiltered": not_applied("rpt_data_trust", scope.filters, view.reading),
        }
        if of is not None:
            context |= _figures(view, known, chosen, scope, of)
            context["panels"] = [_panel(view, scope, chosen, name) for name in PANELS]
        return view.render("overview.html", context)


@router.get(f"{PATH}/overview/live")
def latest_events(request: Request, viewer: AnyViewer) -> Response:
    """How many events arrived within a minute, for a piece of the page that asks again and again."""
    view = frame(request, viewer, "overview")
    since = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    try:
        asked = ingest_of(request).get(
            viewer.read, viewer.project_id, "events", "recent", limit=LATEST_EVENTS
        )
    except UnreachableError as refused:
        return html("overview_live.html", {"view": view, "problem": refused.detail})
    times = [datetime.fromisoformat(each["received_at"]) for each in (asked or {}).get("events", [])]
    latest = sum(each.astimezone(UTC).replace(tzinfo=None) >= since for each in times)
    rows = Slice("events", view.project_id).where("received_at.from", since)
    context = {
        "view": view,
        "problem": "",
        "latest": rows.figure("count(*)", latest),
        "is_cut": latest == LATEST_EVENTS,
    }
    return html("overview_live.html", context)


def _choices(view: View) -> Choices:
    asked = view.request.query_params
    metric = asked.get("metric", "")
    currency = asked.get("currency", "")
    tabs = {}
    for panel in PANELS:
        there = [tab for tab, _ in _tabs(view, panel)]
        tabs[panel] = asked[panel] if asked.get(panel) in there else there[0]
    return Choices(
        metric if metric in METRICS else CARDS[0],
        currency if currency in view.currencies.conversions else "",
        tabs,
        view.comparison,
    )


def _scope(view: View, known: Project) -> Scope:
    return Scope(view.reading, view.project_id, view.days, view.filters, view.model, known.default_model)


def _tabs(view: View, panel: str) -> list[tuple[str, str]]:
    """Those of a panel; a build of an older version has no channels."""
    return [
        (tab, title)
        for tab, title in PANELS[panel]
        if tab != "channel" or path_to("rpt_traffic", tab, view.reading)
    ]


def _figures(view: View, known: Project, chosen: Choices, scope: Scope, of: timeline.Span) -> dict[str, Any]:
    by_hour = of.over.size == "hour"
    sums = timeline.lines(scope, of, METRICS.values(), by_hour)
    currencies = view.currencies.in_order(
        sums[0].currencies(name for metric in METRICS.values() for name in metric.sums)
    )
    metric = METRICS[chosen.metric]
    main = chosen.currency or timeline.main_currency(sums[0], metric, view.currencies)
    drawn_of, drawn_sums = of, sums
    if by_hour and not timeline.has_hours(metric):
        days = timeline.span(view.days, view.known, known.time_zone, chosen.comparison, has_hours=False)
        assert days is not None
        drawn_of, drawn_sums = days, timeline.lines(scope, days, [metric], False)
    drawn = timeline.line(drawn_of, metric, main, drawn_sums)
    when = period(of.compared) if of.compared else ""
    net = METRICS[CARDS[0]]
    net_currency = timeline.main_currency(sums[0], net, view.currencies)
    return {
        "cards": [_card(view, key, chosen, of, sums, when, by_hour) for key in CARDS],
        "left_out": sums[0].left_out(currencies),
        "metric": metric,
        "line": drawn,
        "currency": main,
        "currencies": [each for each in currencies if metric.is_by_currency],
        "size": drawn_of.over.size,
        "span": drawn_of,
        "chart": chart(drawn, drawn_of, view.units),
        "rows": table(drawn, drawn_of),
        "shown_days": period(of.days),
        "compared_days": when,
        "is_cut": of.compared is not None and within(of.compared, view.known) != of.compared,
        "known_days": period(view.known),
        "movers": _movers(view, scope.on(of.days), of.compared, net_currency) if of.compared else [],
        "movers_unfiltered": not_applied("rpt_traffic", scope.filters, view.reading),
        "moved": timeline.line(of, net, net_currency, sums) if of.compared else None,
        "line_unfiltered": drawn_sums[0].scope.not_applied(metric),
        "difference": traced_difference,
        "change": change,
    }


def _card(
    view: View,
    key: str,
    chosen: Choices,
    of: timeline.Span,
    sums: tuple[Sums, Sums | None],
    when: str,
    by_hour: bool,
) -> Card:
    metric = METRICS[key]
    shown, compared = sums
    there = view.currencies.in_order(shown.currencies(metric.sums)) if metric.is_by_currency else []
    main = timeline.main_currency(shown, metric, view.currencies)
    line = timeline.line(of, metric, main, sums)
    totals = [line.total, *(shown.total(metric, each) for each in there if each != main)]
    changed = None
    if compared is not None and (line.total or line.compared_total):
        is_good = metric.is_good
        changed = change(line.total, line.compared_total, view.units, when)
        changed = replace(changed, is_good=None) if is_good is None else changed
    beside = BESIDE.get(key)
    has_line = timeline.has_hours(metric) or not by_hour
    return Card(
        key,
        metric,
        MEANINGS.get(key, ""),
        # An amount of nothing, or of what can't be divided, is none.
        [each for each in totals if each.total is not None and (each or not metric.is_by_currency or there)],
        changed,
        sparkline(line.values, of.over.is_unfinished) if has_line else {"line": "", "end": ""},
        key == chosen.metric,
        _card(view, beside, chosen, of, sums, when, by_hour) if beside else None,
        shown.scope.not_applied(metric),
    )


def _movers(view: View, scope: Scope, compared: Days | None, currency: str) -> list[tuple[str, Moved]]:
    """The values that moved net revenue most, of whatever dimension: those of several overlap."""
    assert compared is not None
    found = [
        (dimension, row)
        for dimension in MOVING
        if path_to("rpt_traffic", dimension, view.reading)
        for each in [values_moved(scope, compared, dimension, MOVERS + 1).get(currency)]
        if each is not None
        for row in each.rows
        if row.value is not None and row.minor
    ]
    return sorted(found, key=lambda it: (-abs(it[1].minor), MOVING.index(it[0]), it[1].value))[:MOVERS]


def _panel(view: View, scope: Scope, chosen: Choices, name: str) -> dict[str, Any]:
    """A table of ten rows by the tab that is chosen."""
    tab = chosen.tabs[name]
    tabs = _tabs(view, name)
    found: dict[str, Any] = {"name": name, "tab": tab, "tabs": tabs, "title": dict(tabs)[tab], "names": {}}
    if tab == "goals":
        rows = scope.rows("rpt_goals", "report_date")
        found |= {"mart": "rpt_goals", "heads": (("completions", "Completions"), ("sessions", "Sessions"))}
        found["lines"] = _counted(view, rows, "goal_id", ("completions", "sessions"))
        named = view.reading.rows(
            "select goal_id, name from dim_goals where project_id = ?", [view.project_id]
        )
        found["names"] = {goal_id: title for goal_id, title in named if title}
    elif tab == "events":
        rows = scope.rows("rpt_event_counts", "event_date")
        found |= {"mart": "rpt_event_counts", "heads": (("events", "Events"),)}
        found["lines"] = _counted(view, rows.where("name.is", "set"), "name", ("events",))
    else:
        rows = scope.rows("rpt_traffic", "report_date")
        ranking = ranked(view.reading, rows, replace(TRAFFIC, by=tab), PANEL_ROWS, view.currencies.in_order)
        found |= {
            "mart": "rpt_traffic",
            "heads": (("sessions", "Sessions"), ("credit_nano", "Conversions")),
            "lines": ranking.lines,
            "ranking": ranking,
        }
    found["unfiltered"] = not_applied(found["mart"], scope.filters, view.reading)
    found["most"] = max((line[found["heads"][0][0]].total for line in found["lines"]), default=0)
    return found


def _counted(view: View, rows: Slice, by: str, columns: tuple[str, ...]) -> list[Line]:
    """The first values of a column by counts, which overlap: nothing is summed over them."""
    condition, values = rows.condition
    found = view.reading.rows(
        f"""
        select {by}, {", ".join(f"sum({name})" for name in columns)}
        from {rows.mart}
        where {condition}
        group by {by}
        order by 2 desc, 1
        limit ?
        """,  # noqa: S608
        [*values, PANEL_ROWS],
    )
    return [
        Line(
            value,
            {
                name: count(rows.where(by, value), name, number)
                for name, number in zip(columns, numbers, strict=True)
            },
        )
        for value, *numbers in found
    ]


def _status(view: View, known: Project) -> dict[str, Any]:
    """How fresh the figures are, and how many warnings the days shown have."""
    received = known.last_received_at.replace(tzinfo=UTC) if known.last_received_at else None
    warnings = Slice("rpt_data_trust", view.project_id).on("report_date", view.days)
    return {
        "newest": ago(received, datetime.now(UTC)) if received else "",
        "received": received,
        # The day before the one in which the newest report came: it was over by then.
        "complete": received.astimezone(ZoneInfo(known.time_zone)).date() - timedelta(days=1)
        if received
        else None,
        "warnings": warnings.where("severity", "warning").read(view.reading, "count(distinct measure)"),
    }
