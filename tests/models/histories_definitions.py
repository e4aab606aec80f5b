"""What the owners of random histories define: goals, funnels, pages, sources, destinations …, by version."""

from typing import Any

from ingest_api.definitions import exchange_rates
from ingest_api.definitions.channels import CHANNELS
from ingest_api.definitions.destination import DESTINATIONS
from ingest_api.definitions.experiment import EXPERIMENTS
from ingest_api.definitions.funnel import FUNNELS
from ingest_api.definitions.goal import GOALS
from ingest_api.definitions.kind import Kind
from ingest_api.definitions.link import LINKS
from ingest_api.definitions.page import PAGES
from ingest_api.definitions.traffic_source import TRAFFIC_SOURCES


def _goal(match: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"match": match, **others}


def _postback(**others: Any) -> dict[str, Any]:
    return {"name": "Push", "kind": "postback", "url": "https://push.example/?c={external}", **others}


_SIGNUP = {"type": "event_name", "value": "signup"}
_OFFER = {"type": "url_path", "value": "/offer"}
_THANKS = {"type": "url_path", "operator": "prefix", "value": "/thanks"}
_CONVERSION = {"type": "any_conversion"}
_CLICK = {"type": "event_name", "value": "click"}
_FOLLOWED = {"key": "link_id", "value": "l1"}
_STEPS = (
    [{"name": "Offer", "match": _OFFER}, {"name": "Sale", "match": _CONVERSION}],
    [
        {"name": "View", "match": {"type": "event_type", "value": "pageview"}},
        {"name": "View again", "match": {"type": "event_type", "value": "pageview"}},
        {"name": "Sale", "match": _CONVERSION, "minimum_amount": 5},
    ],
    [{"name": "Sign-up", "match": _SIGNUP}, {"name": "Thanks", "match": _THANKS}],
)
_PAYOUTS: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"valid_from": "2026-01-01", "amount": 2.5, "currency": "USD"}],
    [
        {"valid_from": "2026-04-08", "amount": 4, "currency": "EUR"},
        {"valid_from": "2026-04-12", "amount": 7, "currency": "USD"},
    ],
)

# By kind and id, the bodies that may be put.
DEFINED: dict[str, dict[str, list[dict[str, Any]]]] = {
    "goal": {
        "signup": [_goal(_SIGNUP), _goal(_SIGNUP, counts_as_conversion=True, stage="sign-up")],
        "thanks": [_goal(_THANKS, counts_as_conversion=True), _goal(_THANKS, is_micro=True)],
        "offer": [_goal(_OFFER, is_micro=True), _goal(_OFFER, counts_as_conversion=True, stage="checkout")],
        "big": [_goal(_CONVERSION, minimum_amount=amount, is_micro=True) for amount in (5, 20)],
        "link-l1": [
            _goal(_CLICK, property=_FOLLOWED, counts_as_conversion=counts, value=value)
            for counts, value in (
                (False, None),
                (True, None),
                (True, {"amount": 1.5, "currency": "EUR"}),
                (True, {"amount": 2, "currency": "USD"}),
            )
        ],
        "pro": [
            _goal(
                {"type": "event_type", "value": kind}, property={"key": "plan", "value": "pro"}, stage="pro"
            )
            for kind in ("event", "conversion")
        ],
    },
    "link": {
        "l1": [{"name": "L", "to": [{"url": url}]} for url in ("https://a.example/", "https://b.example/")]
    },
    "page": {
        page: [
            {"name": page, "kind": kind, "path": path, "payouts": payouts}
            for kind in ("offer", "lander")
            for path in (None, "/offer", "/other")
            for payouts in _PAYOUTS
        ]
        for page in ("o1", "l1")
    },
    "funnel": {
        mode.replace("_", "-"): [
            {"name": mode, "mode": mode, "unit": unit, "window_days": days, "steps": steps}
            for unit in ("person", "session")
            for days in (1, 4, 14)
            for steps in _STEPS
        ]
        for mode in ("ordered", "strict", "any_order", "counts")
    },
    "traffic_source": {
        "news": [
            {"name": "News", "source": "news", "is_paid": paid, "click_id_param": parameter}
            for paid in (True, False, None)
            for parameter in (None, "cid", "nid")
        ],
        "google": [{"name": "Ads", "source": "google", "medium": "cpc", "is_paid": False}],
    },
    "destination": {
        "push": [
            _postback(on=trigger, sources=sources, mode=mode, payout_percent=percent, is_active=active)
            for trigger in ("created", "approved", "every_change")
            for sources, mode in (([], "all"), (["news"], "first"), (["news", "google"], "all"))
            for percent, active in ((100, True), (33, True), (100, False))
        ],
        "ads": [
            {
                "name": "Ads",
                "kind": kind,
                **account,
                "is_active": active,
                "since": since,
                "goals": goals,
                "event_id": event_id,
                "default_country": country,
                "consent": consent,
                "event_names": {"purchase": "Sale", "signup": "Join"},
            }
            for kind, account in (
                ("meta", {"dataset_id": "1"}),
                ("google", {"account_id": "1234567890", "conversion_action_id": "1"}),
            )
            for active, since in ((True, None), (False, None), (True, "2026-04-01T00:00:00Z"))
            for goals, event_id in (([], "transaction_id"), (["signup", "big"], "property:plan"))
            for country, consent in ((None, "assumed"), ("ES", "required"))
        ],
        "own": [
            {
                "name": "Own",
                "kind": "webhook",
                "url": "https://own.example/hook",
                "since": "2026-01-01T00:00:00Z",
                "names": names,
                "sender": sender,
                "value": value,
                "include": include,
            }
            for names in ([], ["purchase", "lead"])
            for sender, value in (("any", "net"), ("server", "gross"))
            for include in ([], ["hashes"])
        ],
    },
    "exchange_rates": {
        key: [
            {"rates": [f"{day} {base} {quote} {rate}" for base, quote, rate in stated]}
            for day in days
            for stated in (
                [("EUR", "USD", "1.0843"), ("EUR", "BGN", "1.9")],
                [("USD", "EUR", "0.91"), ("GBP", "EUR", "1.17")],
                [("USD", "BGN", "1.75"), ("JPY", "USD", "0.0068")],
            )
        ]
        for key, days in (("first", ["2026-01-01"]), ("second", ["2026-04-05", "2026-04-10"]))
    },
    "channels": {
        "channels": [
            {
                "rules": [
                    {"channel": "Clicks", "click_id_type": click_id_type, "is_paid": is_paid},
                    {"channel": "Search", "source": {"operator": "category", "values": ["search"]}},
                    {"channel": "Brand", "campaign": {"operator": "wildcard", "values": ["*a*", "brand"]}},
                    {"channel": name, "medium": {"operator": "prefix", "values": ["(", "e"]}},
                ]
            }
            for click_id_type, is_paid in (("any", None), ("gclid", None), (None, True))
            for name in ("Letters", "Direct")
        ]
    },
    "experiment": {
        "button": [
            {
                "name": "Button",
                "variants": [{"id": "a", "name": "A"}, {"id": "b", "name": "B"}],
                "control": control,
                "goal_ids": goals,
            }
            for control in ("a", "b")
            for goals in ([], ["signup"], ["signup", "big"])
        ]
    },
}
MAKES_A_BUILD_FULL = {"page": ("kind", "path"), "traffic_source": ("click_id_param",)}
"""By kind the members whose change does; settings do as a whole."""

_KINDS: dict[str, Kind] = {
    kind.kind: kind for kind in (GOALS, PAGES, FUNNELS, TRAFFIC_SOURCES, EXPERIMENTS, LINKS, DESTINATIONS)
}


def stored(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """As the definition routes would store it."""
    if kind == exchange_rates.KIND:
        return body
    if kind == CHANNELS.kind:
        return CHANNELS.shape.model_validate(body).model_dump()
    known = _KINDS[kind]
    return known.stored(known.shape.model_validate(body))
