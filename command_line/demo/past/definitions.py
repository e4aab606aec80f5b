"""What the shop's people defined, and when: a goal, a funnel and a payout have older versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from command_line.demo.past.shop_world import (
    CURRENCY,
    DAYS,
    EXPERIMENT,
    EXPERIMENT_SINCE,
    PARTNER,
    PRODUCTS,
    SITE,
    VARIANTS,
)

_START = DAYS + 1
"""Days ago: before the first visitor."""

_PRODUCT = {"match": {"type": "url_path", "operator": "prefix", "value": "/lamps/"}}
_CART = {"match": {"type": "event_name", "value": "add_to_cart"}}
_CHECKOUT = {"match": {"type": "url_path", "value": "/checkout"}}
_ORDER = {"match": {"type": "event_name", "value": "purchase"}}
_SIGN_UP = {"match": {"type": "event_name", "value": "sign_up"}}
_ANY = {"match": {"type": "any_conversion"}}

_STEPS = (
    {"name": "Lamp", **_PRODUCT},
    {"name": "Added to cart", **_CART},
    {"name": "Checkout", **_CHECKOUT},
    {"name": "Order", **_ORDER},
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A body of PUT, and how many days ago it was sent."""

    days_ago: int
    path: str
    body: dict[str, Any]


def definitions(midnight: datetime) -> Iterator[Definition]:
    """All versions of all definitions of a shop whose today began at `midnight`, the oldest first."""
    yield from sorted(_definitions(midnight), key=lambda definition: -definition.days_ago)


def _definitions(midnight: datetime) -> Iterator[Definition]:
    yield Definition(_START, "settings", {"reporting_currency": CURRENCY, "own_hosts": [_host(SITE)]})
    for slug, name, source, medium in (
        ("lampfinder", "Lampfinder", "lampfinder", "affiliate"),
        ("homestyle-club", "Homestyle Club", "homestyle-club", "affiliate"),
    ):
        body = {"name": name, "source": source, "medium": medium, "is_paid": True}
        yield Definition(_START, f"traffic-sources/{slug}", body)
    for product in PRODUCTS:
        body = {"name": product.name, "kind": "page", "path": product.path}
        yield Definition(_START, f"pages/{product.slug}", body)
    yield from _goals()
    yield from _funnels()
    yield from _partner(midnight)
    yield Definition(
        EXPERIMENT_SINCE + 1,
        f"experiments/{EXPERIMENT}",
        {
            "name": "Product page: photos or price first",
            "variants": [
                {"id": VARIANTS[0], "name": "Photos first"},
                {"id": VARIANTS[1], "name": "Price first"},
            ],
            "control": VARIANTS[0],
            "goal_ids": ["add-to-cart", "checkout"],
        },
    )
    # Nothing is told: it is there to be looked at, and for its dry run.
    yield Definition(
        20,
        "destinations/order-service",
        {
            "name": "Our order service",
            "kind": "webhook",
            "url": "https://orders.lumenhaus.example/funnelhouse",
            "is_active": False,
        },
    )


def _goals() -> Iterator[Definition]:
    goals: dict[str, dict[str, Any]] = {
        "sign-up": {"name": "Sign-up", **_SIGN_UP, "is_micro": True, "stage": "sign-up"},
        "add-to-cart": {"name": "Added to cart", **_CART, "is_micro": True, "stage": "add-to-cart"},
        "checkout": {"name": "Checkout begun", **_CHECKOUT, "is_micro": True, "stage": "checkout"},
        "order": {"name": "Order", **_ORDER, "stage": "order"},
        "big-order": {"name": "Big order, 150 or more", **_ANY, "minimum_amount": 150},
    }
    for goal_id, body in goals.items():
        yield Definition(_START, f"goals/{goal_id}", body)
    redefined = {"name": "Big order, 200 or more", **_ANY, "minimum_amount": 200}
    yield Definition(30, "goals/big-order", redefined)


def _funnels() -> Iterator[Definition]:
    body = {"name": "Lamp to order", "mode": "ordered", "window_days": 14, "steps": _STEPS}
    yield Definition(_START, "funnels/lamp-to-order", {**body, "window_days": 7})
    yield Definition(34, "funnels/lamp-to-order", body)
    one_visit = {"name": "Checkout in one visit", "mode": "ordered", "unit": "session", "steps": _STEPS[1:]}
    yield Definition(_START, "funnels/one-visit", one_visit)


def _partner(midnight: datetime) -> Iterator[Definition]:
    page = {"name": "Green power, a partner's offer", "kind": "offer", "path": PARTNER.path}
    payouts: list[dict[str, Any]] = []
    for days_ago, cents in PARTNER.payouts_cents:
        since = midnight - timedelta(days=days_ago)
        payouts.append({"valid_from": f"{since:%Y-%m-%d}", "amount": cents / 100, "currency": CURRENCY})
        yield Definition(days_ago, f"pages/{PARTNER.page_id}", {**page, "payouts": list(payouts)})
    link = {
        "name": "To the partner's offer",
        "page_id": PARTNER.page_id,
        "to": [{"url": "https://power.example/lumenhaus?sub={hit}"}],
        "fires": {"type": "event", "name": "Offer clicked"},
    }
    yield Definition(_START, f"links/{PARTNER.link_id}", link)


def _host(site: str) -> str:
    return site.removeprefix("https://")
