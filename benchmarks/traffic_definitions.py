"""What the projects of the synthetic traffic have defined and spent on ads: raw rows without `seq`."""

import json
from datetime import date, timedelta
from typing import Any

from ingest_api.definitions.destination import DESTINATIONS
from ingest_api.definitions.experiment import EXPERIMENTS
from ingest_api.definitions.funnel import FUNNELS
from ingest_api.definitions.goal import GOALS
from ingest_api.definitions.kind import Kind
from ingest_api.definitions.page import PAGES

PROJECTS = ("shop", "club")

_CHECKOUT = {"match": {"type": "url_path", "operator": "prefix", "value": "/checkout"}}
_PRODUCT = {"match": {"type": "url_path", "operator": "prefix", "value": "/products/"}}
_CART = {"match": {"type": "event_name", "value": "add_to_cart"}}
_SIGN_UP = {"match": {"type": "event_name", "value": "signup"}}
_ANY = {"match": {"type": "any_conversion"}}

_GOALS = {
    "add-to-cart": {"name": "Added to cart", **_CART, "is_micro": True, "stage": "add-to-cart"},
    "checkout": {"name": "Checkout begun", **_CHECKOUT, "is_micro": True, "stage": "checkout"},
    "signup": {"name": "Sign-up", **_SIGN_UP, "counts_as_conversion": True},
    "large-order": {"name": "Order of 100 or more", **_ANY, "minimum_amount": 100},
}

_SALE = [{"name": "Product", **_PRODUCT}, {"name": "Cart", **_CART}, {"name": "Order", **_ANY}]
_FUNNELS = {
    "sale": {"name": "Sale", "mode": "ordered", "window_days": 14, "steps": _SALE},
    "checkout": {
        "name": "Checkout in one session",
        "mode": "strict",
        "unit": "session",
        "steps": [{"name": "Checkout", **_CHECKOUT}, {"name": "Order", **_ANY}],
    },
    "engagement": {
        "name": "Engagement",
        "mode": "any_order",
        "steps": [{"name": "Cart", **_CART}, {"name": "Sign-up", **_SIGN_UP}, {"name": "Order", **_ANY}],
    },
    "stages": {"name": "Stages", "mode": "counts", "steps": _SALE},
}

_PAYOUTS = [
    {"valid_from": "2026-01-01", "amount": 22.5, "currency": "USD"},
    {"valid_from": "2026-04-15", "amount": 27, "currency": "USD"},
]
_PAGES = {
    **{f"lander-{n}": {"name": f"Lander {n}", "kind": "lander"} for n in range(1, 6)},
    **{f"offer-{n}": {"name": f"Offer {n}", "kind": "offer", "payouts": _PAYOUTS} for n in range(1, 13)},
    "checkout": {"name": "Checkout", "kind": "page", "path": "/checkout"},
}

_EXPERIMENTS = {
    "button": {
        "name": "Colour of the button",
        "variants": [{"id": "a", "name": "Blue"}, {"id": "b", "name": "Green"}],
        "control": "a",
        "goal_ids": ["signup", "add-to-cart"],
    }
}

_DEFINED: tuple[tuple[Kind, dict[str, Any]], ...] = (
    (GOALS, _GOALS),
    (FUNNELS, _FUNNELS),
    (PAGES, _PAGES),
    (EXPERIMENTS, _EXPERIMENTS),
)

_SPENT = (
    *(("google", "cpc", f"campaign-{n}", 900 // n) for n in range(1, 21)),
    *(("facebook", "paid_social", f"campaign-{n}", 500 // n) for n in range(1, 11)),
    ("bing", "cpc", "campaign-1", 60),
)


_DESTINATIONS = {
    "own": {"name": "Own", "kind": "webhook", "url": "https://own.example/hook"},
    "meta": {"name": "Meta", "kind": "meta", "dataset_id": "1234567890"},
    "google": {
        "name": "Google Ads",
        "kind": "google",
        "account_id": "1234567890",
        "conversion_action_id": "987654321",
    },
}


def definitions(received_us: int, has_destinations: bool = False) -> list[dict[str, Any]]:
    """Rows of `raw/definitions`, stored as the API stores what it takes."""
    defined = [*_DEFINED, (DESTINATIONS, _DESTINATIONS)] if has_destinations else _DEFINED
    return [
        {
            "project_id": project,
            "kind": kind.kind,
            "key": key,
            "received_us": received_us,
            "body": json.dumps(kind.stored((kind.read or kind.shape.model_validate)(body))),
        }
        for project in PROJECTS
        for kind, bodies in defined
        for key, body in bodies.items()
    ]


def costs(first_day: date, end_day: date, received_us: int) -> list[dict[str, Any]]:
    """Rows of `raw/costs`: of each day before `end_day`, what `shop` spent by campaign."""
    return [
        {
            "project_id": "shop",
            "received_us": received_us,
            "day": str(first_day + timedelta(days=day)),
            "source": source,
            "medium": medium,
            "campaign": campaign,
            "amount_text": f"{amount + day % 7}.{day % 10}0",
            "currency": "USD",
        }
        for day in range((end_day - first_day).days)
        for source, medium, campaign, amount in _SPENT
    ]
