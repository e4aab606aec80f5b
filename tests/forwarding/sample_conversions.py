"""Destinations, deliveries and an exchange for the tests of platforms, with a clock that the test sets."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from forwarding.deliveries import Answer, Delivery, Destination, Message, Told, UndeliveredError

HTTP = httpx.Client(trust_env=False, verify=False)
"""For requests that a test makes itself."""

NOW_S = 1_790_000_000
NOW_US = NOW_S * 1_000_000
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_COMMON: dict[str, Any] = {
    "name": "An ad platform",
    "is_active": True,
    "trigger": "approved",
    "since_us": None,
    "names": [],
    "goals": [],
    "sender": "any",
    "sources": [],
    "value": "net",
    "event_names": {},
    "consent": "assumed",
    "event_id": "transaction_id",
    "skip_suspected_doubles": True,
    "concurrency": 8,
    "per_second": None,
    "default_country": None,
}

_META: dict[str, Any] = {
    "kind": "meta",
    "dataset_id": "1234567890",
    "api_version": 25,
    "action_source": "website",
    "event_time": "occurred",
    "limited_data_use": False,
    "limited_data_country": 0,
    "limited_data_state": 0,
    "test_event_code": None,
}

_GOOGLE: dict[str, Any] = {
    "kind": "google",
    "account_id": "1234567890",
    "login_account_id": None,
    "linked_account_id": None,
    "conversion_action_id": "987654321",
    "event_source": "WEB",
    "send_user_data": True,
    "on_rejection": "zero",
    "max_age_days": 63,
}


def meta_destination(**members: Any) -> Destination:
    return Destination("shop", "meta-main", 1, _COMMON | _META | members)


def google_destination(**members: Any) -> Destination:
    return Destination("shop", "google-main", 1, _COMMON | _GOOGLE | members)


def facts(**members: Any) -> dict[str, Any]:
    """A row of `fct_forwardings`, as planning freezes it: a purchase an hour ago, after an ad's click."""
    row: dict[str, Any] = {
        "forwarding_id": "shop/meta-main/purchase",
        "destination_id": "meta-main",
        "destination_version": 1,
        "destination_kind": "meta",
        "conversion_id": "shop:purchase:order-1",
        "project_id": "shop",
        "person_id": "person-1",
        "is_wanted": True,
        "not_wanted_reason": None,
        "name": "purchase",
        "goal_id": None,
        "event_name": "Purchase",
        "occurred_us": NOW_US - 60 * MINUTE_US,
        "learnt_us": NOW_US - 59 * MINUTE_US,
        "approved_us": NOW_US - 30 * MINUTE_US,
        "state": "approved",
        "value_minor": 4990,
        "currency": "EUR",
        "dedup_id": "order-1",
        "transaction_id": "order-1",
        "sender": "server",
        "is_forwardable": True,
        "matched_by": "visitor",
        "hit_id": "hit-1",
        "session_id": "session-1",
        "visitor_id": "visitor-1",
        "user_id": "user-1",
        "source": "facebook",
        "medium": "paid",
        "campaign": "spring",
        "content": None,
        "term": None,
        "page_id": None,
        "page_kind": None,
        "click_id": "IwAR0-Abc_dEf",
        "click_id_type": "fbclid",
        "external_click_id": None,
        "clicked_us": NOW_US - 2 * DAY_US,
        "landing_url": "https://www.shop.example/?fbclid=IwAR0-Abc_dEf&utm_source=facebook",
        "event_url": "https://www.shop.example/thanks?order=1&utm_campaign=spring#top",
        "user_agent": USER_AGENT,
        "country": "DE",
        "em_meta": json.dumps([hashed("jane@shop.example")]),
        "em_google": json.dumps([hashed("jane@shop.example")]),
        "ph_meta": json.dumps([hashed("4930123456")]),
        "ph_google": json.dumps([hashed("+4930123456")]),
        "hashes": json.dumps({"fn": hashed("jane"), "ct": hashed("berlin")}),
        "plain": "{}",
        "custom_data": "{}",
        "external_ids": json.dumps(["user-1", "visitor-1"]),
        "consent_ads": None,
        "fingerprint": hashed("told"),
    }
    assert members.keys() <= row.keys(), members.keys() - row.keys()
    return row | members


ANONYMOUS: dict[str, Any] = {
    "em_meta": None,
    "em_google": None,
    "ph_meta": None,
    "ph_google": None,
    "hashes": None,
    "external_ids": "[]",
    "click_id": None,
    "click_id_type": None,
    "clicked_us": None,
}
"""Facts of somebody of whom nothing is known."""


def delivery(
    number: int = 1,
    kind: str = "create",
    *,
    before: Told | None = None,
    made_us: int = NOW_US,
    **members: Any,
) -> Delivery:
    """The delivery of an order, planned now; orders of other numbers are other conversions."""
    order = {"conversion_id": f"shop:purchase:order-{number}"}
    order |= {"dedup_id": f"order-{number}", "transaction_id": f"order-{number}"}
    return Delivery(
        delivery_id=f"msg_{number}_{kind}",
        project_id="shop",
        destination_id="main",
        conversion_id=f"shop:purchase:order-{number}",
        ordinal=1 if before is None else 2,
        kind=kind,  # type: ignore[arg-type]
        build_id="build-1",
        facts=facts(**(order | members)),
        made_us=made_us,
        before=before,
    )


@dataclass
class Sending:
    """An exchange over real HTTP, unguarded: what was sent, and a clock that stands still unless moved."""

    secrets: dict[str, str]
    now: float = NOW_S
    sent: list[tuple[Message, Sequence[str]]] = field(default_factory=list)
    timeout_s: float = 2.0

    async def send(self, message: Message, delivery_ids: Sequence[str]) -> Answer:
        self.sent.append((message, delivery_ids))
        try:
            async with httpx.AsyncClient(timeout=self.timeout_s, trust_env=False, verify=False) as client:
                answer = await client.request(
                    message.method, message.url, headers=dict(message.headers), content=message.body
                )
        except httpx.TimeoutException:
            raise UndeliveredError("timeout", "No answer in time.") from None
        except httpx.TransportError as error:
            raise UndeliveredError("cut", type(error).__name__) from None
        headers: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, headers, answer.content[:65_536], 1)

    def secret(self, name: str) -> str | None:
        return self.secrets.get(name)

    def now_us(self) -> int:
        return round(self.now * 1_000_000)

    def clock(self) -> float:
        """For receivers, which then live at the same time."""
        return self.now
