"""What a figure is, in words: `conversions credited to google by last touch, May 2026`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from read_api.days_in_words import written_day, written_range
from read_api.reports.projects import Project
from read_api.reports.receipt_asked import Expression
from read_api.slices import Figure

_COUNTED = {
    "fct_sessions": "sessions",
    "fct_conversions": "conversions",
    "fct_conversion_ledger": "ledger entries",
    "fct_link_clicks": "clicks",
    "fct_goal_completions": "completions",
    "fct_attribution": "credits",
    "fct_costs": "costs",
    "fct_touches": "touchpoints",
    "fct_forwardings": "conversions chosen to be sent",
    "fct_conversion_reports": "reports",
    "fct_experiment_exposures": "exposures",
}
_SUMMED = {
    "credit_nano": "conversions",
    "pending_credit_nano": "pending conversions",
    "net_amount_minor": "net revenue",
    "credited_amount_minor": "net revenue",
    "reporting_net_amount_minor": "net revenue",
    "amount_minor": "revenue",
    "refunded_minor": "refunds",
    "cost_minor": "ad spend",
    "shared_cost_minor": "shared ad spend",
    "assisted_amount_minor": "assisted net revenue",
    "dropped_off": "dropped off",
    "converted": "people who converted",
    "exposed": "people exposed",
    "returned": "people who returned",
}
_ENTRIES = {
    "sale": "sales",
    "approval": "later approvals",
    "rejection": "rejections",
    "refund": "refunds",
    "restatement": "restatements",
    "reversal": "reversals",
}
"""Entries of the ledger, by reason."""

_CREDITED = ("rpt_traffic", "rpt_campaigns", "rpt_sources", "rpt_attribution", "rpt_goal_attribution")
_CREDITS = ("credit_nano", "pending_credit_nano", "net_amount_minor")
_OF_ENTRIES = ("reason", "conversion_id", "conversion_id.is")
_LATER = tuple(words for reason, words in _ENTRIES.items() if reason != "sale")
"""Entries that may be booked long after the sale on whose day they count."""

_NAMED = {
    "is_bot": {True: "by bots", False: "without bots"},
    "is_direct": {True: "direct", False: "not direct"},
}


def said(figure: Figure, asked: Expression, project: Project) -> str:
    """What the number of a figure counts."""
    conditions = [(name, value) for name, value in figure.of.filters if not _is_day(name)]
    text = _thing(figure, asked)
    entries = _entries(figure) if figure.of.mart == "fct_conversion_ledger" else ""
    if entries:
        text = entries if "_minor" in asked.column else f"{text}: {entries}"
        conditions = [
            (name, value)
            for name, value in conditions
            if name not in _OF_ENTRIES or (name == "conversion_id" and value)
        ]
    if figure.of.schema and "_minor" in asked.column:
        text += f" in {project.reporting_currency}"
    if figure.of.mart in _CREDITED and asked.column in _CREDITS:
        source = dict(conditions).get("source")
        model = dict(conditions).get("model", project.default_model)
        to = f" to {source}" if isinstance(source, str) else ""
        by = " or ".join(_model(each) for each in _several(model))
        text += f" credited{to} by {by}"
        conditions = [
            (name, value)
            for name, value in conditions
            if name != "model" and not (name == "source" and isinstance(source, str))
        ]
    if "_minor" in asked.column:
        conditions = [(name, value) for name, value in conditions if name != "currency"]
    words = [each for name, value in conditions if (each := _condition(name, value))]
    if figure.but and figure.behind:
        names = " and ".join(_name(each) for each in figure.but.split(","))
        words.append(f"{names} is none of the first {figure.behind.first}")
    since, known = (dict(figure.of.filters).get(f"learnt_date.{end}") for end in ("from", "to"))
    days = _days([each for each in figure.of.filters if not each[0].startswith("learnt_date.")])
    if days and entries in _LATER:
        # An entry counts on the day of its sale, whenever it was booked.
        days = f"for sales of {days}"
    if since:
        days += f"{', ' if days else ''}known since {range_in_words(since, known)}"
    elif known:
        days += f"{', ' if days else ''}as known on {written_day(known)}"
    return text + (f" where {' and '.join(words)}" if words else "") + (f", {days}" if days else "")


def _thing(figure: Figure, asked: Expression) -> str:
    if asked.function == "count":
        if asked.is_distinct:
            names = " and ".join(_name(each) for each in asked.columns)
            return f"different values of {names}"
        return _COUNTED.get(figure.of.mart, "rows")
    if figure.of.mart == "fct_conversion_ledger" and asked.function == "sum":
        return "net revenue"
    is_spent = figure.of.mart == "fct_costs" and asked.column.endswith("amount_minor")
    name = "ad spend" if is_spent else _SUMMED.get(asked.column, _name(asked.column))
    return f"largest {name}" if asked.function == "max" else name


def _entries(figure: Figure) -> str:
    """Which entries of the ledger, by why they are there; empty where they are not told apart by it."""
    of = dict(figure.of.filters)
    is_unmatched = of.get("conversion_id.is") == "null" or of.get("conversion_id", "") is None
    reason = of.get("reason")
    if reason is None:
        return "refunds without a sale" if is_unmatched else ""
    words = " or ".join(_ENTRIES.get(each, each) for each in _several(reason))
    return f"{words} without a sale" if is_unmatched else words


def _name(column: str) -> str:
    return column.removesuffix("_id").removesuffix("_minor").removesuffix("_nano").replace("_", " ")


def _model(model: str) -> str:
    return "first touch (all time)" if model == "first_touch_lifetime" else model.replace("_", " ")


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


_VERBS = {
    "": "is",
    "not": "is not",
    "contains": "contains",
    "search": "contains",
    "from": "is at least",
    "to": "is at most",
}


def _condition(name: str, value: Any) -> str:
    *marts, last = name.split(".")
    how = ""
    if last in ("is", "not", "contains", "search", "from", "to"):
        how, last = last, marts.pop()
    if last in _NAMED and isinstance(value, bool):
        return _NAMED[last][value]
    thing = _name(last)
    if last == "conversion_id" and (value is None or how == "is"):
        return "a sale is known" if value == "set" else "no sale is known"
    if value is None or (how == "is" and value == "null"):
        return f"{thing} is empty"
    if how == "is":
        return f"{thing} is set"
    verb = _VERBS[how]
    return f"{thing} {verb} " + " or ".join(_text(each) for each in _several(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_day(name: str) -> bool:
    column = name.split(".")[-2] if "." in name else ""
    return name.endswith((".from", ".to")) and column.endswith(("_date", "_at"))


def _days(filters: Sequence[tuple[str, Any]]) -> str:
    """Of several ranges, the one that lies in all of them."""
    firsts = [value for name, value in filters if _is_day(name) and name.endswith(".from")]
    lasts = [value for name, value in filters if _is_day(name) and name.endswith(".to")]
    moments = [value for value in (*firsts, *lasts) if isinstance(value, datetime)]
    if moments:
        first, last = min(moments), max(moments)
        return f"{written_day(first)}, {first:%H:%M} to {last:%H:%M} UTC"
    return range_in_words(max(firsts, default=None), min(lasts, default=None))


def range_in_words(first: date | None, last: date | None) -> str:
    """A range of days, in a few words; all time is nothing."""
    if first is None or last is None:
        one = first or last
        return "" if one is None else f"{'from' if first else 'up to'} {written_day(one)}"
    return written_range(first, last)


_NOTE = "What was counted is not published row by row: these are the report's own rows."

_NOTES: Mapping[tuple[str, str], str] = {
    ("rpt_landing_pages", "shared_cost_minor"): "A campaign's cost of a day is shared over the landing pages "
    "of its sessions of that day, in proportion to their number: these are the shares.",
    ("rpt_pages", ""): "Page views are counted, not published one by one: these are the report's own rows.",
    ("rpt_funnels", ""): "Who took which step is not published person by person: these are the report's own "
    "rows, by day of entry and source.",
    ("rpt_funnels", "median_seconds"): "The shortest time within which half of them got there, from the "
    "first step on.",
    ("rpt_cohorts", ""): "People are counted by the week in which they were first seen, and not published "
    "one by one: this is the report's own row.",
    ("rpt_paths", ""): "Which conversion took which path is not published: these are the report's own rows.",
    ("rpt_paths", "path_median_seconds"): "The shortest time within which half of the path's conversions "
    "came, from its first touch on.",
    ("rpt_channel_importance", "removal_effect"): "The share of conversions that a Markov chain over all "
    "journeys loses when the source is taken out of it.",
    ("rpt_channel_importance", "removal_effect_share"): "The removal effect over the sum of all sources' "
    "removal effects.",
    ("rpt_channel_importance", "shapley_value"): "What the source adds to the conversion rate, on average "
    "over all orders in which sources could have joined.",
    ("rpt_channel_importance", "shapley_error"): "How far the contribution may be off, because orders are "
    "drawn at random.",
    ("rpt_channel_importance", ""): "Journeys are counted, not published one by one: this is the report's "
    "own row.",
    ("rpt_experiments", ""): "It follows from how many people were exposed, and how many of them converted "
    "afterwards: this is the report's own row.",
    (
        "rpt_event_counts",
        "",
    ): "Events are counted, not published one by one: these are the report's own rows.",
    ("rpt_time_to_convert", ""): "How long each conversion took is counted, not published one by one: these "
    "are the report's own rows.",
    ("rpt_data_trust", ""): "What this measure counts is not published row by row: these are the report's "
    "own rows, by day and detail.",
}
"""What is said where rows are those of the report; by mart, and by column where it has a formula."""


def why_not_facts(mart: str, asked: Expression) -> str:
    """What is said where the rows of a figure are the report's own."""
    if asked.is_distinct:
        return "Each value is counted once, however many rows of the report have it."
    return _NOTES.get((mart, asked.column)) or _NOTES.get((mart, "")) or _NOTE
