"""A small shop's six weeks, sent over HTTP: visits, orders that change, refunds, an experiment, costs.

Always the same events. Among them are what pages must be able to show: markup in a campaign, a long path, two
currencies, a status that is in no list, a refund without a sale, conversions without a visit.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

BEGIN = datetime(2026, 5, 4, tzinfo=UTC)
WEEKS = 6

SOURCES = (
    ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "spring_sale"}, 26),
    ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "brand"}, 14),
    ({"utm_source": "facebook", "utm_medium": "paid_social", "utm_campaign": "<b>Lookalike & co</b>"}, 18),
    ({"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "week"}, 12),
    ({"referrer": "https://www.bing.com/"}, 8),
    ({"referrer": "https://blog.example.org/ten-lamps"}, 6),
    ({}, 16),
)
COUNTRIES = (("DE", 30), ("ES", 26), ("FR", 20), ("US", 16), ("JP", 8))
LANDINGS = (
    ("/", 40),
    ("/products/lamp", 25),
    ("/products/chair", 20),
    ("/guides/how-to-choose-a-reading-lamp-for-small-rooms-without-drilling-a-single-hole", 15),
)
EXPERIMENT = {
    "name": "Colour of the button",
    "variants": [{"id": "a", "name": "Blue"}, {"id": "b", "name": "Green"}],
    "control": "a",
}
FUNNEL = {
    "name": "Visit to order",
    "mode": "ordered",
    "unit": "person",
    "window_days": 14,
    "steps": [
        {"name": "Visit", "match": {"type": "event_type", "value": "pageview"}},
        {"name": "Product", "match": {"type": "url_path", "operator": "prefix", "value": "/products"}},
        {"name": "Cart", "match": {"type": "url_path", "value": "/cart"}},
        {"name": "Order", "match": {"type": "any_conversion"}},
    ],
}
GOALS = {
    "signup": {"name": "Sign-up", "match": {"type": "event_name", "value": "signup"}, "is_micro": True},
    "cart": {"name": "Cart", "match": {"type": "url_path", "value": "/cart"}, "stage": "add-to-cart"},
    "big-order": {"name": "Big order", "match": {"type": "any_conversion"}, "minimum_amount": 150},
}


LINK_ID = "lamp-offer"
LINK: dict[str, Any] = {
    "name": "Lamp <offer>",
    "to": [{"url": "https://offers.example/a/long/address/of/a/lamp/that/is/offered?sub={hit}"}],
    "fires": {"type": "event", "name": "Offer clicked"},
}


def send_shop(ingest_url: str, project: str, key: str, visitors: int = 400) -> None:
    """Define and send everything; returns when all of it is acknowledged."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{ingest_url}/v1/projects/{project}", headers=headers, timeout=30) as client:
        settings = {"time_zone": "Europe/Madrid", "reporting_currency": "EUR"}
        definitions = [("settings", settings), ("funnels/order", FUNNEL), ("experiments/button", EXPERIMENT)]
        definitions += [(f"goals/{goal_id}", goal) for goal_id, goal in GOALS.items()]
        for path, body in definitions:
            client.put(f"/{path}", json=body).raise_for_status()
        events = list(shop_events(visitors))
        for start in range(0, len(events), 1000):
            client.post("/events", json=events[start : start + 1000]).raise_for_status()
        client.post("/costs", json=list(_costs())).raise_for_status()


def click_link(ingest_url: str, project: str, key: str) -> None:
    """Define a link, which four people follow, one of them twice, and a robot."""
    headers = {"Authorization": f"Bearer {key}"}
    httpx.put(
        f"{ingest_url}/v1/projects/{project}/links/{LINK_ID}", json=LINK, headers=headers
    ).raise_for_status()
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    for visitor, agent in (
        *((f"b-{number}", browser) for number in (1, 2, 3, 4, 4)),
        ("robot", {"User-Agent": "Googlebot/2.1"}),
    ):
        answer = httpx.get(f"{ingest_url}/c/{project}/{LINK_ID}?vid={visitor}", headers=agent)
        assert answer.status_code == 302


LONGEST = 250


def send_long_names(ingest_url: str, project: str, key: str) -> None:
    """A project in which whatever somebody may name has a name of 250 letters without a blank."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{ingest_url}/v1/projects/{project}", headers=headers, timeout=30) as client:
        for path, body in _long_definitions():
            client.put(f"/{path}", json=body).raise_for_status()
        client.post("/events", json=list(_long_events())).raise_for_status()
        spent = {"day": BEGIN.date().isoformat(), "amount": 123456.78, "currency": "EUR"}
        named = {"source": long("source"), "medium": long("medium"), "campaign": long("campaign")}
        client.post("/costs", json=[{**spent, **named}]).raise_for_status()


def long(name: str) -> str:
    """The longest name."""
    return (name * LONGEST)[:LONGEST]


def _long_definitions() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "goals/long", {"name": long("goal"), "match": {"type": "event_name", "value": long("event")}}
    steps = [{**step, "name": long("step")} for step in FUNNEL["steps"]]  # type: ignore[index]
    yield "funnels/long", {**FUNNEL, "name": long("funnel"), "steps": steps}
    variants = [{"id": each, "name": long(each)} for each in "ab"]
    yield "experiments/long", {"name": long("experiment"), "variants": variants, "control": "a"}
    yield f"links/{LINK_ID}", {**LINK, "name": long("link")}


def _long_events() -> Iterator[dict[str, Any]]:
    for number in range(6):
        who = {"anonymous_id": f"{number}{long('visitor')}"[:LONGEST]}
        at = BEGIN + timedelta(days=3 * number)
        origin = {
            f"utm_{name}": f"{number % 3}{long(name)}"[:LONGEST] for name in ("source", "medium", "campaign")
        }
        yield {
            **{"event_type": "pageview", **who, **origin, "experiments": {"long": "ab"[number % 2]}},
            **{"url": f"https://lamps.example/{long('page')}", "timestamp": _ms(at), "country": "DE"},
        }
        yield {
            **{"event_type": "pageview", **who, "utm_source": "google", "utm_medium": "cpc"},
            **{"url": "https://lamps.example/products/x", "timestamp": _ms(at + timedelta(days=1))},
        }
        order = {
            **{"event_name": long("event"), **who, "user_id": f"{number}{long('user')}"[:LONGEST]},
            **{"transaction_id": f"{number}{long('order')}"[:LONGEST], "currency": "EUR"},
        }
        sold = _ms(at + timedelta(days=1, hours=1))
        yield {**order, "event_type": "conversion", "revenue": 1234567.89, "timestamp": sold}
        yield {**order, "event_type": "refund", "revenue": 4567.89, "timestamp": sold + 60_000}


def shop_events(visitors: int) -> Iterator[dict[str, Any]]:
    """Events of the openanalytics dialect, in the order of sending."""
    chance = random.Random(7)
    for number in range(visitors):
        yield from _visitor(chance, number)
    yield {
        "event_type": "refund",
        "event_name": "purchase",
        "transaction_id": "never-sold",
        "revenue": 15,
        "currency": "EUR",
        "timestamp": _ms(BEGIN + timedelta(days=20)),
    }
    for number in range(3):
        yield {
            "event_type": "conversion",
            "event_name": "phone order",
            # An id that would be a place to a browser.
            "transaction_id": f"phone/../{number}/",
            "revenue": 80 + number,
            "currency": "EUR",
            "timestamp": _ms(BEGIN + timedelta(days=30 + number)),
        }


def _visitor(chance: random.Random, number: int) -> Iterator[dict[str, Any]]:
    """One browser: a few sessions, deeper and deeper, and perhaps an order of a known user."""
    who = {"anonymous_id": f"b-{number}"}
    country = _pick(chance, COUNTRIES)
    variant = "ab"[number % 2]
    at = BEGIN + timedelta(minutes=chance.randrange(WEEKS * 7 * 1440 - 8 * 1440))
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        origin = _pick(chance, SOURCES)
        path = _pick(chance, LANDINGS)
        view = {"event_type": "pageview", **who, "country": country, "experiments": {"button": variant}}
        query = "&".join(f"{name}={value}" for name, value in origin.items() if name == "utm_source")
        url = f"https://lamps.example{path}" + (f"?{query}" if query else "")
        yield {**view, **origin, "url": url, "timestamp": _ms(at)}
        for following, likely in (("/products/lamp", 0.6), ("/cart", 0.5), ("/checkout", 0.7)):
            if chance.random() > likely:
                break
            at += timedelta(seconds=chance.randrange(20, 400))
            yield {**view, "url": f"https://lamps.example{following}", "timestamp": _ms(at)}
        else:
            if chance.random() < (0.62 if variant == "b" else 0.48):
                yield from _order(chance, number, who, country, at + timedelta(minutes=2))
        if chance.random() < 0.12:
            yield {"event_type": "event", "event_name": "signup", **who, "timestamp": _ms(at)}
        at += timedelta(hours=chance.randrange(5, 90))


def _order(
    chance: random.Random, number: int, who: dict[str, str], country: str, at: datetime
) -> Iterator[dict[str, Any]]:
    """A sale, and what became of it: approved later, rejected, restated, refunded."""
    currency = "JPY" if country == "JP" else "EUR"
    amount = chance.randrange(20, 240) * (150 if currency == "JPY" else 1)
    sale = {
        "event_type": "conversion",
        "event_name": "purchase",
        **who,
        "user_id": f"customer-{number}",
        "transaction_id": f"o-{number}-{at:%d%H%M}",
        "revenue": amount if currency == "JPY" else amount - 0.01,
        "currency": currency,
        "country": country,
        "timestamp": _ms(at),
    }
    fate = chance.random()
    if fate < 0.2:
        yield {**sale, "status": "pending"}
        if fate < 0.14:
            later = {"timestamp": _ms(at + timedelta(days=2))}
            yield {**sale, **later, "status": "approved" if fate < 0.09 else "rejected"}
        return
    yield {**sale, "status": "shipped"} if fate > 0.97 else sale
    if fate < 0.28:
        yield {
            **sale,
            "event_type": "refund",
            "timestamp": _ms(at + timedelta(days=3)),
            "revenue": amount // 2,
        }
    elif fate < 0.34:
        yield {**sale, "revenue": amount + 10, "timestamp": _ms(at + timedelta(days=1))}


def _costs() -> Iterator[dict[str, Any]]:
    for day in range(WEEKS * 7):
        date = (BEGIN + timedelta(days=day)).date().isoformat()
        for source, medium, campaign, amount in (
            ("google", "cpc", "spring_sale", 18.5),
            ("facebook", "paid_social", "<b>Lookalike & co</b>", 14.25),
        ):
            spent = {"day": date, "source": source, "medium": medium, "campaign": campaign}
            yield {**spent, "amount": amount, "currency": "EUR"}


def _pick(chance: random.Random, choices: tuple[tuple[Any, int], ...]) -> Any:
    return chance.choices([each for each, _ in choices], [weight for _, weight in choices])[0]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
