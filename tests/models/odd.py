"""Odd input that ingest accepts: requests of every dialect whose texts, numbers and times lie at the edges.

What is refused is refused; the point is that whatever gets an answer of 2xx can be built.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
from servers import Server

from funnelhouse.access import set_access
from funnelhouse.keys import create_key

EVENTS_PER_REQUEST = 50

_PARTS = (
    *("/", ":", "%", "%3A", "%25", "a", "b", "view:", "event:", "session:", "click:gclid:", "linear:"),
    *(
        "",
        " ",
        "  x ",
        "'",
        '"',
        "\\",
        "\n",
        "\r\n",
        "\t",
        ";--",
        "{{",
        "}}",
        "*",
        "_",
        "!",
        "$1",
        "undefined",
    ),
    *("null", "0", "NaN", "-1", "é", "e\u0301", "ß", "İ", "你好", "\U0001f600", "\u202e", "\u2028", "\ufeff"),
    *("\ufffe", "\x01", "\x7f", "\x85", "\xa0", "🏴\U000e0067\U000e0062", "a" * 200, "ä" * 120, "%00", "%ff"),
)
_URLS = (
    *("", "x", "/", "//", "///", "?", "#", "https://", "http://[::1", "http://user:pw@host:99999/a", "a:b:c"),
    *(
        "javascript:alert(1)",
        "android-app://com.app/path",
        "https://s.example",
        "https://S.EXAMPLE/%zz/%C3%28",
    ),
    *(
        "https://s.example/a%2Fb/./../c//",
        "https://s.example/?utm_source=%00&utm_medium=%ff&utm_campaign=a+b",
    ),
    "https://s.example/?utm_source=&utm_source=a&utm_source=b&gclid=&gclid=x&fbclid=%F0%9F%98%80",
    "https://s.example/?" + "&".join(f"p{n}={n}" for n in range(300)),
    "https://s.example/" + "ä" * 3000,
    "https://xn--bcher-kva.example/?gclid=" + "g" * 900 + "&wbraid=w&msclkid=%20%20",
)
_AMOUNTS = (
    *(
        0,
        0.0,
        -0.0,
        0.01,
        0.005,
        1e-9,
        1e-18,
        1.0000000000000002,
        19.99,
        9999999999,
        9999999999.9999,
        1e9,
        -1,
    ),
    *(-19.99, 123456789.123456789, None, "19.99", " 5 ", "", "1e3", True, 5001.0),
)
_CURRENCIES = (None, "USD", "usd", "JPY", "KWD", "CLF", "XAU", "ZZZ", "bgn", "EUR", "")
_TIMES = (
    *("2000-01-01T00:00:00Z", "2100-12-31T23:59:59.999999Z", "2026-03-29T01:30:00+01:00", "2026-02-28"),
    *("2026-10-25T02:30:00+02:00", "2024-02-29T23:59:59Z", "2026-03-01T10:00:00.123456789Z", None, "", 0, -1),
    *(
        946684800000,
        4102444799999,
        1772359200000,
        1772359200,
        "2026-03-01 10:00:00",
        "2026-03-01T10:00:00-23:59",
    ),
)
_ZONES = (
    "UTC",
    "Europe/Madrid",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Apia",
    "Etc/GMT+12",
    "EST5EDT",
)
_STATUSES = (None, "", "pending", " HOLD ", "rejected", "refunded", "charge back", "weird", "é", "-1", "0")
_KINDS = ("pageview", "event", "conversion", "identify", "refund", "alias", "unalias")


@dataclass(frozen=True)
class Request:
    """One request of a project; `body` is JSON, or None for a GET."""

    method: str
    path: str
    body: Any
    is_browser: bool = False


def ordinary(project: str, batch: int, people: int = 40) -> Iterator[Request]:
    """Visits and orders of people whose figures are known: each spends 10.00 in each batch, in one order.

    The same for the same arguments, ids and times included.
    """
    begun = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=10 * batch)
    events: list[dict[str, Any]] = []
    for person in range(people):
        at = begun + timedelta(minutes=7 * person)
        known = {"anonymous_id": f"plain-v{person}", "user_id": f"plain-{person}" if person % 3 else None}
        for view in range(person % 4 + 1):
            source = ("google", "news", "partner")[(person + view) % 3]
            events.append(
                {
                    "event_type": "pageview",
                    "event_id": f"plain-view-{batch}-{person}-{view}",
                    "url": f"https://plain.example/{view}?utm_source={source}&utm_medium=cpc",
                    "experiments": {"button": "ab"[person % 2]},
                    "timestamp": (at + timedelta(minutes=45 * view)).isoformat(),
                    **known,
                }
            )
        events.append(
            {
                "event_type": "conversion",
                "event_name": "plain purchase",
                "event_id": f"plain-order-{batch}-{person}",
                "transaction_id": f"plain-{batch}-{person}",
                "revenue": 10,
                "currency": "USD",
                "timestamp": (at + timedelta(hours=4)).isoformat(),
                **known,
            }
        )
    for first in range(0, len(events), EVENTS_PER_REQUEST):
        yield Request("POST", f"/v1/projects/{project}/events", events[first : first + EVENTS_PER_REQUEST])


class OddSender:
    """What the senders of one project say; the same for the same seed."""

    def __init__(self, project: str, seed: int) -> None:
        self._project = project
        self._random = Random(f"{seed}/{project}")
        self._ids = [self._text() for _ in range(12)]

    def requests(self) -> Iterator[Request]:
        """Requests without end; a few in a hundred put or delete a definition."""
        senders = [self._events] * 6 + [self._pagent, self._pagent_v2, self._segment, self._superfunnel]
        senders += [self._postback, self._definition, self._costs]
        while True:
            yield self._of(*senders)()

    def _events(self) -> Request:
        events = [self._event() for _ in range(self._random.randint(1, EVENTS_PER_REQUEST))]
        path = f"/v1/projects/{self._project}/events"
        return Request("POST", path, events, is_browser=self._random.random() < 0.4)

    def _event(self) -> dict[str, Any]:
        event = {
            "event_type": self._of(*_KINDS),
            "event_name": self._of("purchase", "signup", self._text()),
            "event_id": self._of(None, None, self._id()),
            "user_id": self._of(None, self._id(), "plain-1"),
            "anonymous_id": self._of(None, self._id(), "plain-v3"),
            "previous_id": self._of(None, self._id()),
            "session_id": self._of(None, self._id()),
            "visit_id": self._of(None, self._id()),
            "page_id": self._of(None, self._id()),
            "page_kind": self._of(None, "offer", "lander", "page"),
            "url": self._url(),
            "referrer": self._url(),
            "country": self._of(None, "es", "XX"),
            "transaction_id": self._of(None, self._id()),
            "status": self._of(*_STATUSES),
            "revenue": self._of(*_AMOUNTS),
            "currency": self._of(*_CURRENCIES),
            "timestamp": self._of(*_TIMES),
            "gclid": self._of(None, None, self._id()),
            "experiments": self._of(None, {self._text(): self._text() for _ in range(self._of(1, 3, 49))}),
            "properties": self._of(None, self._properties()),
            **{
                f"utm_{part}": self._of(None, None, self._text()) for part in ("source", "medium", "campaign")
            },
        }
        # A field that is refused refuses its event: most are left out of most events.
        kept = {"event_type", "event_name", *self._random.sample(sorted(event), 7)}
        return {name: value for name, value in event.items() if name in kept}

    def _pagent(self) -> Request:
        return Request("POST", "/v1/conversions", {"events": [self._pagent_conversion()]})

    def _pagent_v2(self) -> Request:
        said = self._pagent_conversion()
        named = ("session_id", "user_id", "conversion_id")
        session = {name: said.pop(name) for name in named} | {"visit_id": self._of(None, self._id())}
        return Request("POST", "/v2/conversions", {"session_data": session, **said})

    def _pagent_conversion(self) -> dict[str, Any]:
        return {
            "session_id": self._id(),
            "user_id": self._id(),
            "conversion_id": self._of("lead", self._id()),
            "label": self._of(None, self._text()),
            "revenue": self._of(None, 0, 1, 2499, 10**9, 2499.0, -1),
            "properties": self._of(None, self._properties(), [self._properties()], {"order_id": self._id()}),
            "time": self._of(None, 1772359200000, 946684800000, 4102444799999),
        }

    def _segment(self) -> Request:
        calls = []
        for _ in range(self._random.randint(1, 20)):
            call = {
                "type": self._of("track", "page", "identify", "alias", "group", "screen"),
                "event": self._of("Order Completed", "Order Refunded", "Order Updated", self._text()),
                "name": self._of(None, self._text()),
                "messageId": self._of(None, self._id()),
                "userId": self._of(None, self._id(), 123, 123.0),
                "anonymousId": self._of(None, self._id()),
                "previousId": self._of(None, self._id()),
                "timestamp": self._of(*_TIMES),
                "properties": {
                    **self._properties(),
                    "revenue": self._of(*_AMOUNTS),
                    "order_id": self._of(None, self._id(), 5001.0),
                    "currency": self._of(*_CURRENCIES),
                },
                "context": {"page": {"url": self._url(), "referrer": self._url()}, "userAgent": self._text()},
            }
            calls.append({name: value for name, value in call.items() if value is not None})
        return Request("POST", "/v1/batch", {"batch": calls}, is_browser=self._random.random() < 0.3)

    def _superfunnel(self) -> Request:
        named = self._of("sessionId", "hash", "visitHash", "gclid", "fbclid", "shortHash")
        said = {named: self._id(), "event": self._text(), "conversion": {"value": self._of(*_AMOUNTS)}}
        return Request("POST", "/v1/analytics/report-conversion", said)

    def _postback(self) -> Request:
        said = {
            "hit": self._of("", self._id()),
            "vid": self._id(),
            "p": self._of("", self._id()),
            "tx": self._of("", self._id()),
            "rev": self._of("", "-1", "0", "12.5", "REPLACE"),
            "status": self._of("", "pending", "trash", self._text()),
        }
        return Request("POST", f"/pb/{self._project}/", said)

    def _definition(self) -> Request:
        kind = self._of("goals", "funnels", "pages", "traffic-sources", "experiments", "settings")
        if kind == "settings":
            zone = self._of(*_ZONES)
            settings = {"time_zone": zone, "reporting_currency": self._of("USD", "JPY"), "lookback_days": 90}
            return Request("PUT", f"/v1/projects/{self._project}/settings", settings)
        if self._random.random() < 0.15:
            return Request("PUT", f"/v1/projects/{self._project}/channels", {"rules": self._channel_rules()})
        path = f"/v1/projects/{self._project}/{kind}/d{self._random.randrange(9)}"
        if self._random.random() < 0.15:
            return Request("DELETE", path, None)
        name = self._text() or "x"
        bodies: dict[str, Any] = {
            "goals": {
                "name": name,
                **self._rule(),
                "counts_as_conversion": self._of(True, False),
                "is_micro": self._of(True, False),
                "stage": self._of(None, "cart", "0"),
            },
            "funnels": {
                "name": name,
                "mode": self._of("ordered", "strict", "any_order", "counts"),
                "unit": self._of("person", "session"),
                "window_days": self._of(1, 14, 365),
                "steps": [{"name": name, **self._rule()} for _ in range(self._random.randint(2, 20))],
            },
            "pages": {
                "name": name,
                "kind": self._of("offer", "lander", "page"),
                "path": self._of(None, "/", "/" + self._text()),
                "payouts": [{"valid_from": "2026-01-01", "amount": 9999999999.9999, "currency": "CLF"}],
            },
            "traffic-sources": {
                "name": name,
                "source": self._of("google", name),
                "medium": self._of(None, name),
                "is_paid": self._of(None, True, False),
            },
            "experiments": {
                "name": name,
                "variants": [{"id": "a", "name": name}, {"id": name + "b", "name": "b"}],
                "control": "a",
                "goal_ids": [f"d{n}" for n in range(self._random.randint(0, 9))],
            },
        }
        return Request("PUT", path, bodies[kind])

    def _channel_rules(self) -> list[dict[str, Any]]:
        def condition() -> dict[str, Any] | None:
            values = [self._of("*a" * self._random.randint(1, 60), "[(\\", self._text() or "x")]
            operator = self._of("exact", "prefix", "contains", "wildcard")
            return self._of(None, {"operator": operator, "values": [value[:60] + "x" for value in values]})

        return [
            {
                "channel": self._of("Ads", "Direct", "[(\\"),
                "source": condition(),
                "medium": condition(),
                "campaign": condition(),
                "click_id_type": self._of(None, "any", "gclid"),
                "is_paid": self._of(None, True, False),
            }
            for _ in range(self._random.randint(0, 9))
        ]

    def _rule(self) -> dict[str, Any]:
        match = self._of(
            {"type": "event_name", "value": self._of("purchase", self._text() or "x")},
            {"type": "event_type", "value": self._of("pageview", "conversion", "identify")},
            {"type": "any_conversion"},
            {"type": "url_path", "value": "/" + self._text(), "operator": self._of("exact", "prefix")},
            {"type": "url_path", "value": "/" + "*a" * self._random.randint(0, 30), "operator": "wildcard"},
        )
        key = self._text() or "k"
        return {
            "match": match,
            "property": self._of(None, None, {"key": key, "value": self._text()}),
            "minimum_amount": self._of(None, None, 0, 0.0001, 9999999999.9999),
        }

    def _costs(self) -> Request:
        cost = {
            "day": self._of("2026-03-01", "2000-01-01", "2100-12-31"),
            "source": self._of("google", self._text()),
            "medium": self._of(None, self._text()),
            "campaign": self._of(None, self._text()),
            "amount": self._of(*_AMOUNTS),
            "currency": self._of("USD", "CLF"),
        }
        return Request("POST", f"/v1/projects/{self._project}/costs", [cost])

    def _properties(self) -> dict[str, Any]:
        deep: Any = self._text()
        for _ in range(self._random.choice([0, 2, 20])):
            deep = self._of({self._text() or "k": deep}, [deep, 1.5, None])
        return {
            self._text() or "k": deep,
            "email_sha256": self._of("a" * 64, "A" * 64, "not one", "", 5, None, [1]),
            "phone_sha256": self._of(None, "b" * 64),
            "order_id": self._of(None, self._id(), 7, 1e300),
            "n": self._of(0, -(2**63), 2**63 - 1, 1e308, 5e-324, True),
        }

    def _url(self) -> str | None:
        made = f"https://s.example/{self._text()}?utm_source={self._text()}&gclid={self._text()}"
        return self._of(None, self._of(*_URLS), made)

    def _id(self) -> str:
        """One of few, so that reports meet; now and then one of its own."""
        return str(self._of(*self._ids)) if self._random.random() < 0.8 else self._text()

    def _text(self) -> str:
        return "".join(self._of(*_PARTS) for _ in range(self._random.randint(0, 5)))

    def _of(self, *choices: Any) -> Any:
        return self._random.choice(choices)


def _body_of(request: Request) -> bytes | None:
    """The request's body, as senders write JSON."""
    return None if request.body is None else json.dumps(request.body, ensure_ascii=False).encode()


class Senders:
    """Senders of projects, which post to one server; they count what it accepted."""

    def __init__(self, server: Server, projects: list[str]) -> None:
        with closing(server.store()) as store:
            self._keys = {name: create_key(store, name, ["ingest", "admin"], 1) for name in projects}
            for name in projects:
                set_access(store, name, postbacks="open")
        self._client = httpx.Client(base_url=server.url, timeout=60)

    def __call__(self, project: str, request: Request) -> int:
        """How many reports, definitions or costs of the request were accepted."""
        headers = {"x-api-key": self._keys[project], "Content-Type": "application/json"}
        headers |= {"Origin": "https://s.example"} if request.is_browser else {}
        answer = self._client.request(
            request.method, request.path, content=_body_of(request), headers=headers
        )
        assert answer.status_code < 500, f"{request}: {answer.status_code} {answer.text}"
        if not answer.is_success:
            return 0
        said = answer.json() if answer.content else {}
        # Segment's dialect doesn't say how many: they come on top.
        return int(said.get("accepted", request.path != "/v1/batch"))

    def __enter__(self) -> "Senders":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
