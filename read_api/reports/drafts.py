"""What a destination that no build knows yet would be told, by the conversions of the build.

`fct_forwardings` has rows of defined destinations only. This asks the facts instead: who is picked, by state,
names, goals, sources and senders. What only a build finds out (hashes of people, consent, what single reports
allow, who was first) is not known here, and the next build may therefore tell fewer.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import orjson

from read_api.reader import Reader

Source = tuple[str, str | None]
"""Source and medium of a traffic source; without a medium any."""

_AT_ONCE = 2_000

_OF_CONVERSIONS = (
    "conversion_id",
    "project_id",
    "person_id",
    "name",
    "goal_id",
    "transaction_id",
    "is_forwardable",
    "matched_by",
    "hit_id",
    "session_id",
    "visitor_id",
    "user_id",
    "page_id",
    "click_id",
    "click_id_type",
    "clicked_at",
    "country",
    "currency",
)
_OF_SESSIONS = ("source", "medium", "campaign", "content", "term", "landing_url")


def facts_of_draft(
    reader: Reader, project_id: str, body: Mapping[str, Any], sources: Sequence[Source], since: datetime
) -> Iterator[dict[str, Any]]:
    """Facts of the conversions that its filter picks since then (UTC, naive), latest first.

    `body` is a destination as it is defined, `sources` are those that it names.
    """
    known = {column.name for column in reader.marts["fct_conversions"].columns}
    select = [_selected(f"conversions.{name}" if name in known else "null", name) for name in _OF_CONVERSIONS]
    select += [f"sessions.{name}" for name in _OF_SESSIONS]
    picked, values = _picked(body, sources)
    refused, of_refused = _refused(body, project_id, "is_forwardable" in known)
    names = [
        *(f"{name.removesuffix('_at')}_us" if name.endswith("_at") else name for name in _OF_CONVERSIONS),
        *_OF_SESSIONS,
    ]
    after: tuple[object, ...] = ()
    while True:
        further = "and (conversions.occurred_at, conversions.conversion_id) < (?, ?)" if after else ""
        rows, _ = reader.first_rows(
            f"""
            select
                {", ".join(select)},
                epoch_us(conversions.occurred_at) as occurred_us,
                conversions.state,
                conversions.amount_minor,
                conversions.net_amount_minor,
                {refused} as not_wanted_reason,
                conversions.occurred_at
            from fct_conversions as conversions
            left join fct_sessions as sessions
                on conversions.project_id = sessions.project_id
                and conversions.session_id = sessions.session_id
            where
                conversions.project_id = ? and conversions.occurred_at >= ? and {picked} {further}
            order by conversions.occurred_at desc, conversions.conversion_id desc
            limit ?
            """,  # noqa: S608
            [*of_refused, project_id, since, *values, *after, _AT_ONCE],
        )
        for row in rows:
            facts = dict(zip(names, row[: len(names)], strict=True))
            occurred_us, state, amount, net, reason, occurred_at = row[len(names) :]
            yield {
                **facts,
                **_told(body, facts, net if state == "approved" else amount, amount),
                "occurred_us": occurred_us,
                "learnt_us": occurred_us,
                "approved_us": occurred_us if state == "approved" else None,
                "state": state,
                "is_wanted": reason is None,
                "not_wanted_reason": reason,
            }
            after = (occurred_at, facts["conversion_id"])
        if not rows:
            return


def uncounted(body: Mapping[str, Any]) -> list[str]:
    """Conditions of a draft that are not looked at, in words."""
    return [
        *(["the share that is told"] if body.get("sample_percent", 100) < 100 else []),
        *(["who was first"] if body.get("mode") == "first" else []),
        *(["consent"] if body.get("consent") == "required" else []),
        *(
            ["its own property for deduplication"]
            if str(body.get("event_id")).startswith("property:")
            else []
        ),
    ]


def _selected(expression: str, name: str) -> str:
    if name.endswith("_at") and expression != "null":
        return f"epoch_us({expression}) as {name.removesuffix('_at')}_us"
    return f"{expression} as {name}"


def _picked(body: Mapping[str, Any], sources: Sequence[Source]) -> tuple[str, list[object]]:
    """Which conversions a filter picks: a name or a goal, and a source."""
    conditions, values = ["true"], list[object]()
    names, goals = body.get("names") or [], body.get("goals") or []
    if names or goals:
        conditions.append(
            "(list_contains(?::varchar[], conversions.name) or conversions.conversion_id in (select "
            "conversion_id from fct_goal_completions where project_id = conversions.project_id and "
            "conversion_id is not null and list_contains(?::varchar[], goal_id)))"
        )
        values += [list(names), list(goals)]
    if body.get("sources"):
        # Those that are not defined pick nothing. Who came from nowhere is picked, and not told.
        conditions.append(
            "(coalesce(sessions.source, '(direct)') = '(direct)' or exists (select 1 from (select "
            "unnest(?::varchar[]) as source, unnest(?::varchar[]) as medium) as chosen "
            "where chosen.source = sessions.source "
            "and coalesce(chosen.medium, sessions.medium) = sessions.medium))"
        )
        values += [[source for source, _ in sources], [medium for _, medium in sources]]
    return " and ".join(conditions), values


def _refused(body: Mapping[str, Any], project_id: str, knows_forwardable: bool) -> tuple[str, list[object]]:
    """Why a conversion that is picked is not told; null where it is."""
    values: list[object] = []
    arms = ["when conversions.state = 'rejected' then 'rejected'"]
    arms.append(
        "when conversions.state = 'approved' and conversions.amount_minor > 0 "
        "and conversions.refunded_minor > 0 and conversions.net_amount_minor = 0 then 'refunded'"
    )
    if knows_forwardable and body["kind"] != "webhook":
        arms.insert(0, "when not conversions.is_forwardable then 'not_forwardable'")
    if body.get("sources"):
        arms.append("when coalesce(sessions.source, '(direct)') = '(direct)' then 'no_source'")
    arms.append(
        "when sessions.is_bot and conversions.conversion_id not in (select conversion_id from "
        "fct_conversion_reports where project_id = ? and kind = 'conversion' and conversion_id is not null) "
        "then 'bot'"
    )
    values.append(project_id)
    if body.get("skip_suspected_doubles"):
        arms.append("when conversions.is_suspected_double then 'suspected_double'")
    if body.get("sender") == "server":
        arms.append(
            "when conversions.conversion_id not in (select conversion_id from fct_conversion_reports "
            "where project_id = ? and sender = 'server' and conversion_id is not null) then 'other_sender'"
        )
        values.append(project_id)
    if body.get("trigger") == "approved":
        arms.append("when conversions.state = 'pending' then 'pending'")
    return f"case {' '.join(arms)} end", values


def _told(
    body: Mapping[str, Any], facts: Mapping[str, Any], net: int | None, gross: int | None
) -> dict[str, Any]:
    """What is made of a conversion for this destination."""
    value = gross if body.get("value") == "gross" or gross is None else net
    percent = body.get("payout_percent")
    if value is not None and percent is not None:
        value = round(Fraction(value * percent, 100))
    names = body.get("event_names") or {}
    name, goal = facts["name"], facts["goal_id"]
    ids = [each for each in (facts["user_id"], facts["visitor_id"]) if each]
    dedup = facts["transaction_id"] if body.get("event_id") == "transaction_id" else None
    return {
        "event_name": names.get(name) or names.get(goal) or name,
        "value_minor": value,
        "dedup_id": dedup or facts["conversion_id"],
        "external_ids": orjson.dumps(ids).decode() if ids else None,
        "external_click_id": facts["click_id"] if facts["click_id_type"] == "external" else None,
    }
