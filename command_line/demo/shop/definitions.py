"""What the shop is to Funnelhouse: a project beside the journeys', its pages, its links and its funnel.

It is a project of its own so that what a visitor does changes no figure of the replayed journeys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from record.landing.store import LandingStore

PROJECT = "demo-shop"
CURRENCY = "USD"
PURCHASE = "purchase"
"""What both reports of an order call it: with the order's number it makes them one conversion."""

LANDER = "lamps"
"""Page node of the page that the ad leads to."""
AD = "quiet-rooms-ad"
"""The link of the ad."""


HOST = "shop.localhost"

FIRST_ASKED = "/lamp.svg"
"""A path of the shop that answers whatever it is called by: who waits for it asks for that."""


@dataclass(frozen=True, slots=True)
class Lamp:
    """What the shop sells. `page_id` is the node of its page, `link_id` the link that leads there."""

    lamp_id: str
    name: str
    price_cents: int
    text: str

    @property
    def page_id(self) -> str:
        """The node of its page."""
        return f"{self.lamp_id}-lamp"

    @property
    def link_id(self) -> str:
        """The link from the lander to its page."""
        return f"to-{self.lamp_id}-lamp"

    @property
    def price(self) -> str:
        """In major units, as people read it."""
        return dollars(self.price_cents)


LAMPS = (
    Lamp("desk", "Desk lamp", 4_900, "Brass, with an arm that stays where it is put."),
    Lamp("floor", "Floor lamp", 12_900, "Tall enough to read under, dim enough to doze under."),
    Lamp("bedside", "Bedside lamp", 2_950, "Warm, small, and off with one tap in the dark."),
)


def dollars(cents: int) -> str:
    """An amount as people read it."""
    return f"{cents / 100:,.2f} {CURRENCY}"


def shop_url(settings: Settings) -> str:
    """Where visitors find the shop, without a slash at the end.

    The tracker is silent at a developer's own address. Browsers know names below `localhost` as this machine,
    and it takes them for sites.
    """
    address = settings.address(settings.demo_shop_port)
    is_own = urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost")
    return f"http://{HOST}:{settings.demo_shop_port}" if is_own else address


def open_project(store: LandingStore, origins: Sequence[str]) -> str:
    """Make the project, and let pages of these origins report to it; returns a key for people."""
    key = create_key(store, PROJECT, ["read", "admin"], name="whoever looks at the demo")
    set_access(store, PROJECT, origins=origins)
    return key


def define(ingest_url: str, key: str, shop_url: str) -> None:
    """Send the definitions; `key` has the scope admin. Raises httpx.HTTPError when one is not taken."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{ingest_url}/v1/projects/{PROJECT}", headers=headers, timeout=30) as client:
        for path, body in _definitions(shop_url).items():
            client.put(f"/{path}", json=body).raise_for_status()


def _definitions(shop_url: str) -> dict[str, dict[str, Any]]:
    """Bodies of PUT by path."""
    lamp_pages = {
        f"pages/{lamp.page_id}": {"name": lamp.name, "kind": "offer", "path": f"/lamps/{lamp.lamp_id}"}
        for lamp in LAMPS
    }
    lamp_links = {
        f"links/{lamp.link_id}": {
            "name": f"{lamp.name}, from the lander",
            "page_id": LANDER,
            "to": [{"url": f"{shop_url}/lamps/{lamp.lamp_id}"}],
            "fires": {"type": "event", "name": f"{lamp.name} chosen"},
        }
        for lamp in LAMPS
    }
    return {
        "settings": {"reporting_currency": CURRENCY},
        # The ad's link and the shop are of different origins: the visitor is taken along.
        "tracker": {"cross_domains": [urlsplit(shop_url).hostname]},
        f"pages/{LANDER}": {"name": "Reading lamps", "kind": "lander", "path": "/lamps"},
        **lamp_pages,
        "traffic-sources/quiet-rooms": {
            "name": "Quiet Rooms",
            "source": "quiet-rooms",
            "medium": "display",
            "is_paid": True,
        },
        f"links/{AD}": {
            "name": "Ad in Quiet Rooms",
            "to": [{"url": f"{shop_url}/lamps"}],
            "pass": ["utm_*", "external"],
        },
        **lamp_links,
        "goals/purchase": {
            "name": "Purchase",
            "match": {"type": "event_name", "value": PURCHASE},
            "stage": "purchase",
        },
        "funnels/ad-to-order": {
            "name": "From the ad to an order",
            "mode": "ordered",
            "unit": "person",
            "window_days": 1,
            "steps": [
                {"name": "Lander", "match": {"type": "url_path", "value": "/lamps"}},
                {"name": "Lamp", "match": {"type": "url_path", "operator": "wildcard", "value": "/lamps/*"}},
                {"name": "Checkout", "match": {"type": "url_path", "value": "/checkout"}},
                {"name": "Order", "match": {"type": "event_name", "value": PURCHASE}},
            ],
        },
    }
