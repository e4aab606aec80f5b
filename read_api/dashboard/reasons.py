"""Reasons and kinds that marts have as code words, as pages say them."""

UNMATCHED = {
    "nothing_named": "no report names a visit",
    "not_seen": "no page view has the ID that was reported",
    "clicked_later": "the ad click came after the report",
    "run_ended": "the last page view of the visitor was more than four days before the postback",
    "page_not_seen": "the visitor did not view that page, or an offer, in that visit",
}
"""Why a conversion has no visit."""

TOUCHES = {
    "within_look_back": "within the look-back",
    "named_visit": "the visit that a report names",
    "first_ever": "the first of all: for first touch (all time) only",
    "before_look_back": "before the look-back",
    "after_conversion": "after the conversion",
    "direct": "a direct visit is no touch",
    "bot": "by a bot",
    "conversion_rejected": "the conversion is rejected",
}
"""Why a touch shares the credit or not."""

LEDGER = {
    "sale": "Sale",
    "approval": "Approved later",
    "rejection": "Rejected",
    "refund": "Refunded",
    "restatement": "Restated",
    "reversal": "Reversed",
}

REFUNDS = {
    "sale_not_known": "no sale with this ID is known",
    "other_currency": "in another currency than its sale",
    "more_than_was_left": "more than was left of its sale",
}
"""Why a refund found no sale."""

SET_ASIDE = {
    "amount_unreadable": "the amount cannot be read",
    "day_unreadable": "the day cannot be read",
    "id_too_long": "the ID is too long",
    "incomplete": "something is missing",
    "no_json": "not JSON",
    "not_a_hash": "not a hash",
    "time_out_of_range": "the time is out of range",
    "too_long": "too long",
    "unknown_kind": "an unknown kind",
    "same_event_id_other_content": "the event ID of another one, with other content",
}
"""Why no rule can use a report, cost or definition."""

_OF_MEASURES = {
    "conversions_unmatched": UNMATCHED,
    "conversions_without_visit": UNMATCHED,
    "unmatched_refunds": REFUNDS,
    "events_set_aside": SET_ASIDE,
    "costs_set_aside": SET_ASIDE,
    "definitions_set_aside": SET_ASIDE,
}
_KINDS_OF_ID = {"user": "user ID", "email": "hashed e-mail", "phone": "hashed phone", "visitor": "visitor ID"}
_CONFLICTS = {
    "junk": "a value that means nobody",
    "not_a_hash": "not a hash",
    "over_limit": "more users than one ID may link",
}
_CLICKS = {"store": "the landing store took none", "rate_limit": "above the rate limit"}


def of_measure(measure: str, detail: str | None) -> str | None:
    """A detail of a data-trust measure in words; names that senders gave stay as they are."""
    if detail is None:
        return None
    if measure in _OF_MEASURES:
        return _OF_MEASURES[measure].get(detail, detail)
    first, _, last = detail.rpartition(" ")
    if measure == "identity_conflicts" and last in _CONFLICTS:
        return f"{_KINDS_OF_ID.get(first, first)}: {_CONFLICTS[last]}"
    if measure == "clicks_unrecorded" and last in _CLICKS:
        return f"{first}: {_CLICKS[last]}"
    return detail
