"""Which facts a figure's rows are: by mart and column of a report, how they are listed.

A report's figure is checked against the facts, not against itself: rows are those of facts, and what they add
up to has to be the report's number. Where facts don't say it (who dropped out of a funnel, what a source's
removal costs), the rows are the report's own, and `note` says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from read_api.reader import Reader
from read_api.reports.projects import Project
from read_api.reports.receipt_asked import Expression
from read_api.reports.receipt_words import why_not_facts
from read_api.slices import CREDIT_DIGITS, PATHS, Figure

SHOWN = (
    "happened_at",
    "day",
    "name",
    "person_id",
    "transaction_id",
    "source",
    "credit_nano",
    "amount_minor",
    "currency",
    "conversion_id",
    "session_id",
)
"""What is shown of a row, where it is known."""

ONE_CONVERSION = 10**CREDIT_DIGITS

DISTINCT = " as place, row_number() over (partition by "
"""In the base of listings of distinct values, which are chosen among the figure's own rows already."""


@dataclass(frozen=True)
class Near:
    """What a join asks besides, so that days far away are not read, and where that missed a row."""

    condition: str
    is_missed: str


@dataclass(frozen=True)
class Listing:
    """Rows, one for each line of a receipt; every expression names the relation that it is of.

    `columns` are the report's columns as these rows have them, `joins` relations that are read where an
    expression needs them: each has one row at most for one of `base`. `near` says of a joined relation how
    close in time its row nearly always is. `ignored` are columns of the report that say nothing of its rows.
    """

    base: str
    columns: Mapping[str, str]
    weight: str
    time: str
    key: str
    shown: Mapping[str, str]
    joins: Mapping[str, str] = field(default_factory=dict)
    where: str = "true"
    values: tuple[Any, ...] = ()
    ignored: frozenset[str] = frozenset()
    near: Mapping[str, Near] = field(default_factory=dict)
    aggregate: str = "sum"
    note: str = ""
    """Why these are not the facts; empty where they are."""

    @property
    def alias(self) -> str:
        """What expressions call a row of `base`."""
        return self.base.rpartition(" ")[2]


_IDS = {
    "fct_conversions": "conversion_id",
    "fct_attribution": "attribution_id",
    "fct_conversion_ledger": "entry_id",
}


@dataclass(frozen=True)
class Known:
    """What listings depend on besides the figure."""

    reader: Reader
    project: Project

    def columns(self, mart: str, alias: str) -> dict[str, str]:
        """The columns of a mart in this build; none of a mart that it lacks."""
        found = self.reader.marts.get(mart)
        return {} if found is None else {each.name: f"{alias}.{each.name}" for each in found.columns}

    def row_key(self, mart: str, alias: str = "") -> str:
        """What tells rows of a mart apart; of a view, which has no `rowid`, all of the row."""
        column = _IDS.get(mart, "") if mart in self.reader.converted else "rowid"
        return ".".join(each for each in (alias, column) if each) or mart


Lister = Callable[[Known, str, Figure], Listing | None]
"""Makes the listing of a column's figure; None where the facts of this build don't say it."""

_CONVERSIONS = "inner join fct_conversions as conversions on {} = conversions.conversion_id"
_OF_CREDIT = {
    "happened_at": "credits.converted_at",
    "day": "credits.conversion_date",
    "name": "conversions.name",
    "person_id": "credits.person_id",
    "transaction_id": "conversions.transaction_id",
    "source": "credits.source",
    "credit_nano": "credits.credit_nano",
    "amount_minor": "credits.credited_amount_minor",
    "currency": "credits.currency",
    "conversion_id": "credits.conversion_id",
    "session_id": "conversions.session_id",
}
_OF_SESSION = {
    "happened_at": "sessions.started_at",
    "day": "sessions.session_date",
    "name": "sessions.landing_page",
    "person_id": "sessions.person_id",
    "source": "sessions.source",
    "session_id": "sessions.session_id",
}
_OF_CONVERSION = {
    "happened_at": "conversions.occurred_at",
    "day": "conversions.conversion_date",
    "name": "conversions.name",
    "person_id": "conversions.person_id",
    "transaction_id": "conversions.transaction_id",
    "amount_minor": "conversions.net_amount_minor",
    "currency": "conversions.currency",
    "conversion_id": "conversions.conversion_id",
    "session_id": "conversions.session_id",
}
_OF_COMPLETION = {
    "happened_at": "completions.completed_at",
    "day": "completions.completion_date",
    "name": "completions.goal_id",
    "person_id": "completions.person_id",
    "conversion_id": "completions.conversion_id",
    "session_id": "completions.session_id",
}
_CREDIT_WEIGHTS = {
    "credit_nano": "credits.credit_nano",
    "pending_credit_nano": "case when credits.state = 'pending' then credits.credit_nano else 0 end",
    "net_amount_minor": "credits.credited_amount_minor",
}


def listing(known: Known, figure: Figure, asked: Expression) -> Listing:
    """The rows of a figure."""
    mart = figure.of.mart
    lister = _LISTERS.get((mart, asked.column)) if asked.function == "sum" else None
    if lister is None and not mart.startswith("rpt_"):
        return _of_itself(known, figure, asked, "")
    found = lister(known, asked.column, figure) if lister else None
    return found or of_report(known, figure, asked)


def of_report(known: Known, figure: Figure, asked: Expression) -> Listing:
    """The report's own rows."""
    return _of_itself(known, figure, asked, why_not_facts(figure.of.mart, asked))


def _of_itself(known: Known, figure: Figure, asked: Expression, note: str) -> Listing:
    """The rows of the mart that a figure is of, or of its distinct values the first row of each."""
    mart = figure.of.mart
    columns = known.columns(mart, "found")
    key = known.row_key(mart, "found")
    time = next((columns[each] for each in _TIMES if each in columns), "")
    day = next((columns[each] for each in columns if each.endswith("_date") or each == "cohort_week"), "")
    shown = {name: columns[name] for name in SHOWN if name in columns} | dict(_NAMES.get(mart, {}))
    texts = [each for each in _DIMENSIONS if each in columns]
    if "name" not in shown and texts:
        shown["name"] = f"concat_ws(' · ', {', '.join(columns[each] for each in texts)})"
    shown |= ({"happened_at": time} if time else {}) | ({"day": day} if day else {})
    if mart in _AMOUNTS:
        shown["amount_minor"] = columns[_AMOUNTS[mart]]
    weight = columns.get(asked.column, "1")
    if asked.is_distinct:
        return _distinct(known, figure, asked, columns, shown, note)
    joins: dict[str, str] = {}
    if mart == "fct_conversion_ledger":
        # An entry names its conversion alone, which has the order.
        key, shown["transaction_id"] = "found.entry_id", "conversions.transaction_id"
        joins["conversions"] = (
            "left join fct_conversions as conversions on found.conversion_id = conversions.conversion_id"
        )
    return Listing(
        f"{mart} as found",
        columns,
        weight,
        time or day or "1",
        key,
        shown,
        joins,
        aggregate="max" if asked.function == "max" else "sum",
        note=note,
    )


def _distinct(
    known: Known,
    figure: Figure,
    asked: Expression,
    columns: Mapping[str, str],
    shown: Mapping[str, str],
    note: str,
) -> Listing:
    """The first of the rows with the same values; which those are is decided among the figure's own."""
    condition, values = figure.of.condition
    if figure.but and figure.behind:
        left_out, more = left_out_condition(figure, {each: f"{figure.of.mart}.{each}" for each in columns})
        condition, values = f"{condition} and {left_out}", [*values, *more]
    of = ", ".join(asked.columns)
    # A null is a value of a row, and none by itself.
    is_value = "true" if len(asked.columns) > 1 or "row(" in figure.column else f"{of} is not null"
    row = known.row_key(figure.of.mart)
    base = (
        f"(select *, {row}{DISTINCT}{of} order by {row}) as number "  # noqa: S608
        f"from {figure.of.mart} where {condition} and {is_value}) as found"
    )
    return Listing(
        base,
        columns,
        "1",
        "found.place",
        "found.place",
        shown,
        {},
        "found.number = 1",
        tuple(values),
        note=note,
    )


def left_out_condition(figure: Figure, columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    """That a row has none of the values that are listed beside the figure."""
    assert figure.behind is not None
    listed, values = figure.behind.listed(figure)
    names = figure.but.split(",")
    same = " and ".join(f"listed.{name} is not distinct from {columns[name]}" for name in names)
    return f"not exists (select 1 from ({listed}) as listed where {same})", values  # noqa: S608


def _traffic_sessions(known: Known, _column: str, _figure: Figure) -> Listing:
    return Listing(
        "fct_sessions as sessions",
        known.columns("fct_sessions", "sessions")
        | {"report_date": "sessions.session_date", "currency": _own_currency(known)},
        "1",
        "sessions.started_at",
        "sessions.session_id",
        _OF_SESSION,
        where="not sessions.is_bot",
    )


def _own_currency(known: Known) -> str:
    """The project's currency, on whose rows a report has what has none; it is three letters."""
    return "'" + known.project.reporting_currency.replace("'", "''") + "'"


def _credits(known: Known, column: str) -> Listing:
    return Listing(
        "fct_attribution as credits",
        known.columns("fct_attribution", "credits")
        | {"report_date": "credits.conversion_date", "net_amount_minor": "credits.credited_amount_minor"},
        _CREDIT_WEIGHTS[column],
        "credits.converted_at",
        "credits.attribution_id",
        _OF_CREDIT,
        {"conversions": _CONVERSIONS.format("credits.conversion_id")},
    )


def _attribution(known: Known, column: str, _figure: Figure) -> Listing:
    return _credits(known, column)


def _traffic_credit(known: Known, column: str, _figure: Figure) -> Listing:
    """What the project's own model credits; country and device are those of the conversion."""
    of = _credits(known, column)
    visits = known.columns("fct_sessions", "visits")
    columns = {"country": "conversions.country", "landing_page": "touches.landing_page"}
    if "device" in visits:
        columns["device"] = "visits.device"
    return Listing(
        of.base,
        {**of.columns, **columns},
        of.weight,
        of.time,
        of.key,
        of.shown,
        {
            **of.joins,
            "touches": "left join fct_touches as touches on credits.touch_id = touches.touch_id",
            "visits": "left join fct_sessions as visits on conversions.session_id = visits.session_id",
        },
        "credits.model = ?",
        (known.project.default_model,),
    )


def _goal_credit(known: Known, column: str, _figure: Figure) -> Listing:
    """Of conversions that completed the goal; a conversion completes a goal once."""
    of = _credits(known, column)
    return Listing(
        "(select credits.*, completions.goal_id from fct_attribution as credits inner join "
        "fct_goal_completions as completions "
        "on credits.conversion_id = completions.conversion_id) as credits",
        {**of.columns, "goal_id": "credits.goal_id"},
        of.weight,
        of.time,
        of.key,
        of.shown,
        of.joins,
    )


def _costs(known: Known, _column: str, _figure: Figure) -> Listing:
    columns = known.columns("fct_costs", "costs")
    return Listing(
        "fct_costs as costs",
        {**columns, "report_date": "costs.cost_date", "cost_minor": "costs.amount_minor"},
        "costs.amount_minor",
        "costs.cost_date",
        known.row_key("fct_costs", "costs"),
        {
            "day": "costs.cost_date",
            "name": "coalesce(costs.campaign, costs.medium)",
            "source": "costs.source",
            "amount_minor": "costs.amount_minor",
            "currency": "costs.currency",
        },
    )


def _landing_sessions(known: Known, column: str, figure: Figure) -> Listing:
    of = _traffic_sessions(known, column, figure)
    columns = {**of.columns, "landing_page": "coalesce(sessions.landing_page, '(none)')"}
    return Listing(of.base, columns, of.weight, of.time, of.key, of.shown, where=of.where)


_LANDED_WEIGHTS = {
    "conversions": "1",
    "pending_conversions": "case when conversions.state = 'pending' then 1 else 0 end",
    "net_amount_minor": "conversions.net_amount_minor",
}
_LANDED = {
    "report_date": "coalesce(sessions.session_date, conversions.conversion_date)",
    "landing_page": "coalesce(sessions.landing_page, '(none)')",
}
_SESSIONS = {
    "sessions": "left join fct_sessions as sessions "
    "on conversions.session_id = sessions.session_id and not sessions.is_bot"
}


def _landed_conversions(known: Known, column: str, _figure: Figure) -> Listing:
    """On the day and page of the session that led to them."""
    return Listing(
        "fct_conversions as conversions",
        known.columns("fct_conversions", "conversions") | _LANDED,
        _LANDED_WEIGHTS[column],
        "conversions.occurred_at",
        "conversions.conversion_id",
        _OF_CONVERSION,
        _SESSIONS,
        "conversions.state <> 'rejected'",
    )


def _converting_sessions(known: Known, _column: str, _figure: Figure) -> Listing:
    """Once for each currency that was converted in, whichever the figure is read in."""
    currency = _own_currency(known) if known.reader.converted else "sessions.currency"
    return Listing(
        "(select sessions.*, conversions.currency from fct_sessions as sessions inner join (select distinct "
        "session_id, currency from main.fct_conversions where state <> 'rejected') as conversions "
        "on sessions.session_id = conversions.session_id where not sessions.is_bot) as sessions",
        known.columns("fct_sessions", "sessions")
        | {
            "report_date": "sessions.session_date",
            "landing_page": "coalesce(sessions.landing_page, '(none)')",
            "currency": currency,
        },
        "1",
        "sessions.started_at",
        "sessions.session_id || ' ' || sessions.currency",
        _OF_SESSION,
    )


def _page_conversions(known: Known, column: str, _figure: Figure) -> Listing:
    """That happened on a page, or were reported for it."""
    columns = known.columns("fct_conversions", "conversions")
    return Listing(
        "fct_conversions as conversions",
        {**columns, "report_date": "conversions.conversion_date"},
        _LANDED_WEIGHTS[column],
        "conversions.occurred_at",
        "conversions.conversion_id",
        _OF_CONVERSION,
        where="conversions.state <> 'rejected' and conversions.page_id is not null",
    )


def _path_conversions(known: Known, column: str, _figure: Figure) -> Listing:
    """With their amounts as the conversions have them, which what is credited has to add up to."""
    own = ("path", "touches", "seconds", "days_to_convert")
    return Listing(
        f"(select conversions.*, {', '.join(f'paths.{name}' for name in own)} "  # noqa: S608
        f"from fct_conversions as conversions inner join {PATHS} as paths "
        "on conversions.conversion_id = paths.conversion_id) as conversions",
        known.columns("fct_conversions", "conversions") | {name: f"conversions.{name}" for name in own},
        _LANDED_WEIGHTS[column],
        "conversions.occurred_at",
        "conversions.conversion_id",
        _OF_CONVERSION,
    )


_COMPLETION_WEIGHTS = {
    "completions": "1",
    "conversions": "case when completions.conversion_id is null then 0 else 1 end",
    "sessions": "1",
}


def _completions(known: Known, column: str, _figure: Figure) -> Listing:
    base = "fct_goal_completions as completions"
    where = "completions.conversion_id is not null" if column == "conversions" else "true"
    if column == "sessions":
        # A session that completed it several times counts on the day of the first.
        base = (
            "(select *, row_number() over (partition by project_id, goal_id, session_id "
            "order by completed_at, completion_id) as number "
            "from fct_goal_completions where session_id is not null) as completions"
        )
        where = "completions.number = 1"
    return Listing(
        base,
        known.columns("fct_goal_completions", "completions")
        | {
            "report_date": "completions.completion_date",
            "country": "coalesce(conversions.country, sessions.country)",
        },
        _COMPLETION_WEIGHTS[column],
        "completions.completed_at",
        "completions.completion_id",
        {
            **_OF_COMPLETION,
            "transaction_id": "conversions.transaction_id",
            "amount_minor": "conversions.net_amount_minor",
            "currency": "conversions.currency",
            "source": "sessions.source",
        },
        {
            "conversions": "left join fct_conversions as conversions "
            "on completions.conversion_id = conversions.conversion_id",
            "sessions": "left join fct_sessions as sessions on completions.session_id = sessions.session_id",
        },
        where,
        near={
            "sessions": Near(
                "sessions.session_date between completions.completion_date - 7 "
                "and completions.completion_date",
                "completions.session_id is not null and sessions.session_id is null",
            )
        },
    )


def _exposed(_known: Known, column: str, _figure: Figure) -> Listing:
    """People, each at their first exposure to a variant."""
    named = ("project_id", "experiment_id", "variant_id", "person_id")
    which = "where has_several_variants " if column == "exposed_to_several" else ""
    same = " and ".join(f"exposures.{name} = people.{name}" for name in (*named, "exposed_at"))
    return Listing(
        f"(select {', '.join(named)}, min(exposed_at) as exposed_at "  # noqa: S608
        f"from fct_experiment_exposures {which}group by {', '.join(named)}) as people",
        {name: f"people.{name}" for name in named},
        "1",
        "people.exposed_at",
        "people.person_id",
        {
            "happened_at": "people.exposed_at",
            "day": "firsts.exposure_date",
            "name": "people.variant_id",
            "person_id": "people.person_id",
            "session_id": "firsts.session_id",
        },
        {
            "firsts": "left join lateral (select min(exposure_date) as exposure_date, "  # noqa: S608
            "min(session_id) as session_id from fct_experiment_exposures as exposures "
            f"where {same}) as firsts on true"
        },
        # A variant's people are the same whatever goal it is judged by.
        ignored=frozenset({"goal_id"}),
    )


_OF_MEASURE = {
    "conversions": ("fct_conversions", "conversions.state", "true"),
    "conversions_unmatched": (
        "fct_conversions",
        "conversions.unmatched_reason",
        "conversions.unmatched_reason is not null and conversions.matched_by = 'none'",
    ),
    "conversions_without_visit": (
        "fct_conversions",
        "conversions.unmatched_reason",
        "conversions.unmatched_reason is not null and conversions.matched_by <> 'none'",
    ),
    "suspected_doubles": ("fct_conversions", "conversions.name", "conversions.is_suspected_double"),
    "postback_on_other_page_kind": ("fct_conversions", "null", "conversions.has_other_page_kind"),
    "default_payouts": ("fct_conversions", "conversions.page_id", "conversions.is_default_payout"),
    "conversions_without_amount": (
        "fct_conversions",
        "conversions.name",
        "conversions.amount_minor is null and conversions.state <> 'rejected'",
    ),
    "sessions": ("fct_sessions", "null", "true"),
    "bot_sessions": ("fct_sessions", "null", "sessions.is_bot"),
}
"""By a measure of data trust that counts facts: the mart, what the report's `detail` is, and which rows."""


def _trust(_known: Known, _column: str, figure: Figure) -> Listing | None:
    """What a measure counts, of those that count facts."""
    measure = dict(figure.of.filters).get("measure")
    if not isinstance(measure, str) or measure not in _OF_MEASURE:
        return None
    mart, detail, where = _OF_MEASURE[measure]
    alias = mart.removeprefix("fct_")
    day = "session_date" if mart == "fct_sessions" else "conversion_date"
    shown = _OF_SESSION if mart == "fct_sessions" else _OF_CONVERSION
    return Listing(
        f"{mart} as {alias}",
        {"project_id": f"{alias}.project_id", "report_date": f"{alias}.{day}", "detail": detail},
        "1",
        shown["happened_at"],
        f"{alias}.{mart.removeprefix('fct_').removesuffix('s')}_id",
        shown,
        where=where,
        ignored=frozenset({"measure", "severity"}),
    )


_LISTERS: Mapping[tuple[str, str], Lister] = {
    ("rpt_traffic", "sessions"): _traffic_sessions,
    ("rpt_campaigns", "sessions"): _traffic_sessions,
    ("rpt_sources", "sessions"): _traffic_sessions,
    ("rpt_sources", "net_amount_minor"): _traffic_credit,
    ("rpt_campaigns", "cost_minor"): _costs,
    **{
        (mart, name): _traffic_credit for mart in ("rpt_traffic", "rpt_campaigns") for name in _CREDIT_WEIGHTS
    },
    ("rpt_attribution", "credit_nano"): _attribution,
    ("rpt_attribution", "net_amount_minor"): _attribution,
    ("rpt_goal_attribution", "credit_nano"): _goal_credit,
    ("rpt_goal_attribution", "net_amount_minor"): _goal_credit,
    ("rpt_landing_pages", "sessions"): _landing_sessions,
    ("rpt_landing_pages", "converting_sessions"): _converting_sessions,
    **{("rpt_landing_pages", name): _landed_conversions for name in _LANDED_WEIGHTS},
    (PATHS, "conversions"): _path_conversions,
    (PATHS, "net_amount_minor"): _path_conversions,
    ("rpt_pages", "conversions"): _page_conversions,
    ("rpt_pages", "net_amount_minor"): _page_conversions,
    **{("rpt_goals", name): _completions for name in _COMPLETION_WEIGHTS},
    ("rpt_experiments", "exposed"): _exposed,
    ("rpt_experiments", "exposed_to_several"): _exposed,
    ("rpt_data_trust", "occurrences"): _trust,
}
"""Columns of reports whose rows are listed from facts."""

_TIMES = (
    "occurred_at",
    "started_at",
    "converted_at",
    "learnt_at",
    "completed_at",
    "clicked_at",
    "exposed_at",
    "touched_at",
    "first_seen_at",
    "valid_from",
)
"""When a row of a mart happened."""

_DIMENSIONS = (
    "channel",
    "source",
    "medium",
    "campaign",
    "landing_page",
    "page_id",
    "path",
    "goal_id",
    "funnel_name",
    "step_name",
    "experiment_name",
    "variant_id",
    "measure",
    "detail",
    "event_type",
    "id_type",
    "id_value",
)
"""What names a row of a report."""

_NAMES: Mapping[str, Mapping[str, str]] = {
    "fct_conversion_ledger": {"name": "found.reason"},
    "fct_sessions": {"name": "found.landing_page"},
    "fct_link_clicks": {"name": "found.link_id"},
    "fct_attribution": {"name": "found.model"},
    "fct_goal_completions": {"name": "found.goal_id"},
    "fct_forwardings": {"name": "found.destination_id"},
    "dim_projects": {"name": "found.project_id"},
}
_AMOUNTS = {"fct_conversions": "net_amount_minor", "fct_attribution": "credited_amount_minor"}
"""The amount that a row is worth, where it is called otherwise."""
