"""Meta's Conversions API: what a destination of kind `meta` is told.

https://developers.facebook.com/docs/marketing-api/conversions-api/parameters
https://developers.facebook.com/docs/marketing-api/conversions-api/using-the-api

| theirs | ours |
|---|---|
| event_name | as the models say: what the definition calls it, a standard event, or our name |
| event_time | seconds: when it happened, or when its approval was learnt |
| event_id | `dedup_id` |
| action_source | the definition's; `system_generated` where a website's event has no address or browser |
| event_source_url | the page's address, of its query only UTM parameters |
| user_data | hashes as the models made them, our ids hashed here, plain what the sender gave as such |
| fbc | the sender's; else made of the click that the visit began with |
| custom_data | net or gross amount, currency, transaction id; well-formed members that the sender gave |

Meta takes nothing back and changes nothing: a conversion is told once.
"""

import math
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote

import orjson

from forwarding.answers import body_shown, json_object, retry_after_s, shown, undelivered
from forwarding.deliveries import (
    RETRY_SCHEDULE_S,
    Answer,
    Delivery,
    Destination,
    Exchange,
    Facts,
    Message,
    Outcome,
    UndeliveredError,
)
from forwarding.facts import (
    DAY_US,
    SOMEBODY,
    amount,
    currency,
    dedup_id,
    domain_dots,
    hashes,
    is_hash,
    listed,
    members,
    page_address,
    sha256,
    text,
    texts,
    whole,
    with_facts,
)
from forwarding.narrowing import Said, send_narrowing

HASHED = ("fn", "ln", "ge", "db", "ct", "st", "zp", "country")

PLAIN = (
    "subscription_id",
    "lead_id",
    "fb_login_id",
    "madid",
    "anon_id",
    "ctwa_clid",
    "partner_id",
)

OLDEST_US: Final = 7 * DAY_US - DAY_US // 24
"""One event of more than seven days fails a whole request: an hour is left for the way there."""
OLDEST_IN_STORES_US: Final = 62 * DAY_US - DAY_US // 24
OLDEST_CLICK_US: Final = 90 * DAY_US

RETRIED = frozenset({1, 2, 341, 368, 5000, 21009})
THROTTLED = frozenset({4, 17, 613, 80003})
PAUSING = frozenset({3, 10, 102, 190, 200})
FIRST_THROTTLE_S, LAST_THROTTLE_S = 60.0, 3600.0

_COOKIE = re.compile(r"fb\.[0-9]\.([0-9]{13})\.[^\s\x00-\x1f]+")
"""What `_fbc` and `_fbp` look like; the time is in milliseconds. Meta's newer cookies have a fifth part."""
_DELIVERY_CATEGORIES = frozenset({"in_store", "curbside", "home_delivery"})


class Meta:
    """Conversions as server events. `url`: https://graph.facebook.com, or another of that shape."""

    most_at_once = 500
    gather_s = 1.0
    schedule_s: Sequence[float] = RETRY_SCHEDULE_S
    check_after_s: Sequence[float] = ()

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._throttled_s: dict[tuple[str, str], float] = {}

    def skip_reason(self, destination: Destination, delivery: Delivery, now_us: int) -> str | None:
        """Why this cannot be told."""
        delivery = _identified(delivery)
        body, facts = destination.body, delivery.facts
        if delivery.kind == "restate":
            return "cannot_restate"
        if delivery.kind in ("retract", "erased"):
            return "cannot_retract"
        if delivery.kind == "test" and not text(body.get("test_event_code")):
            return "no_test_event_code"
        if facts.get("consent_ads") == "denied":
            return "consent_denied"
        time_us = _time_us(body, delivery)
        if time_us is None or now_us - time_us >= _oldest_us(body):
            return "too_old"
        name = _event_name(facts)
        if name is None:
            return "no_event_name"
        value, money = whole(facts, "value_minor"), currency(facts)
        if money is None and (value or name == "Purchase"):
            return "no_currency"
        if value is None and name == "Purchase":
            return "no_currency"
        if value is not None and value < 0:
            return "negative_value"
        return None if _is_identified(delivery) else "no_identifier"

    def expires_us(self, destination: Destination, delivery: Delivery) -> int | None:
        """When the event is too old for Meta."""
        time_us = _time_us(destination.body, delivery)
        return None if time_us is None else time_us + _oldest_us(destination.body)

    def render(self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange) -> Message:
        """One request with all of these events."""
        body = destination.body
        token = exchange.secret("access_token") or ""
        events = orjson.dumps([_event(body, _identified(each)) for each in deliveries])
        code = text(body.get("test_event_code"))
        tail = b"" if code is None else b',"test_event_code":' + orjson.dumps(code)
        version = body.get("api_version") or 25
        url = f"{self._url}/v{version}.0/{quote(str(body.get('dataset_id')), safe='')}/events"
        return Message(
            method="POST",
            url=url,
            headers={"content-type": "application/json"},
            body=b'{"data":' + events + b',"access_token":' + orjson.dumps(token) + tail + b"}",
            shown_url=url,
            shown=(b'{"data":' + events + b',"access_token":"***"' + tail + b"}").decode(),
            secrets=(token,) if token else (),
        )

    async def send(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Tell them; a batch that Meta refuses is halved until the guilty events are alone."""
        outcomes: dict[str, Outcome] = {}
        told = []
        for each in deliveries:
            if reason := self.skip_reason(destination, each, exchange.now_us()):
                outcomes[each.delivery_id] = Outcome("dead", reason)
            else:
                told.append(each)
        if told and not exchange.secret("access_token"):
            missing = Outcome("pause", "no_access_token", "The secret access_token is not set.")
            return outcomes | {each.delivery_id: missing for each in told}

        async def tell(some: Sequence[Delivery]) -> Said:
            message = self.render(destination, some, exchange)
            try:
                answer = await exchange.send(message, [each.delivery_id for each in some])
            except UndeliveredError as error:
                return Said(undelivered(error, message.secrets))
            return self._judge(destination, answer, len(some), message.secrets, exchange.now_us())

        return outcomes | await send_narrowing(told, tell)

    async def ask(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Send them as test events, which Meta shows in its Events Manager and counts nowhere."""
        if text(destination.body.get("test_event_code")) is None:
            none = Outcome("dead", "no_test_event_code", "The destination has no test_event_code.")
            return {each.delivery_id: none for each in deliveries}
        return await self.send(destination, deliveries, exchange)

    async def check(
        self, destination: Destination, remote_id: str, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome] | None:
        """Meta says at once what became of events."""

    def _judge(
        self, destination: Destination, answer: Answer, events: int, secrets: Sequence[str], now_us: int
    ) -> Said:
        status, found = answer.status, json_object(answer)
        key = (destination.project_id, destination.destination_id)
        error = None if found is None else found.get("error")
        if found is not None and 200 <= status < 300 and error is None:
            if found.get("events_received") == events:
                self._throttled_s.pop(key, None)
                trace = text(found.get("fbtrace_id"))
                notes = shown(" ".join(texts(found, "messages")), secrets)
                return Said(Outcome("delivered", "", notes, status, remote_id=trace))
            received = shown(f"Of {events} events {found.get('events_received')} were received.", secrets)
            return Said(Outcome("retry", "events_received", received, status), is_of_some=True)

        if not isinstance(error, dict):
            said = body_shown(answer, secrets)
            if status == 429:
                return Said(self._throttle(key, answer, str(status), said, now_us))
            if status == 413:
                return Said(Outcome("dead", "413", said, status), is_of_some=True)
            if status in (404, 410):
                return Said(Outcome("pause", str(status), said, status))
            return Said(
                Outcome("retry", str(status) if status >= 300 else "not_json", said, status, is_fault=True)
            )

        number, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
        code = str(status) if number is None else f"{number}/{subcode}" if subcode else str(number)
        said = shown(_words(error), secrets)
        if number in THROTTLED or status == 429:
            return Said(self._throttle(key, answer, code, said, now_us))
        if error.get("is_transient") is True or number in RETRIED or status >= 500:
            return Said(
                Outcome(
                    "retry", code, said, status, wait_s=retry_after_s(answer, now_us), is_fault=status >= 500
                )
            )
        if number in PAUSING or (number == 100 and subcode == 33) or status in (401, 403, 404, 410):
            return Said(Outcome("pause", code, said, status))
        return Said(Outcome("dead", code, said, status), is_of_some=True)

    def _throttle(self, key: tuple[str, str], answer: Answer, code: str, said: str, now_us: int) -> Outcome:
        """Wait twice as long as the time before, unless Meta says how long."""
        doubled = min(self._throttled_s.get(key, FIRST_THROTTLE_S / 2) * 2, LAST_THROTTLE_S)
        self._throttled_s[key] = doubled
        asked = retry_after_s(answer, now_us)
        return Outcome("retry", code, said, answer.status, wait_s=doubled if asked is None else asked)


def _identified(delivery: Delivery) -> Delivery:
    """A delivery, of a test with somebody whom it is about."""
    return delivery if delivery.kind != "test" else with_facts(delivery, em_meta=sha256(SOMEBODY))


def _event(body: Mapping[str, Any], delivery: Delivery) -> dict[str, Any]:
    facts = delivery.facts
    address, browser = page_address(facts), text(facts.get("user_agent"))
    source = body.get("action_source") or "website"
    if source == "website" and not (address and browser):
        # Meta refuses a website's event without either.
        source = "system_generated"
    time_us = _time_us(body, delivery)
    event: dict[str, Any] = {
        "event_name": _event_name(facts),
        "event_time": 0 if time_us is None else time_us // 1_000_000,
        "event_id": dedup_id(facts, delivery.conversion_id),
        "action_source": source,
        "user_data": _user_data(delivery, browser),
        "custom_data": _custom_data(facts),
    }
    if address:
        event["event_source_url"] = address
    if body.get("limited_data_use"):
        event["data_processing_options"] = ["LDU"]
        event["data_processing_options_country"] = body.get("limited_data_country") or 0
        event["data_processing_options_state"] = body.get("limited_data_state") or 0
    else:
        event["data_processing_options"] = []
    return event


def _event_name(facts: Facts) -> str | None:
    return text(facts.get("event_name")) or text(facts.get("name")) or text(facts.get("goal_id"))


def _time_us(body: Mapping[str, Any], delivery: Delivery) -> int | None:
    """When it happened for Meta; what claims to come from the future happened when it was planned."""
    time_us = whole(delivery.facts, "occurred_us")
    if body.get("event_time") == "approved":
        approved_us = whole(delivery.facts, "approved_us")
        time_us = time_us if approved_us is None else approved_us
    return None if time_us is None else min(time_us, delivery.made_us)


def _oldest_us(body: Mapping[str, Any]) -> int:
    return OLDEST_IN_STORES_US if body.get("action_source") == "physical_store" else OLDEST_US


def _is_identified(delivery: Delivery) -> bool:
    """Whether there is one of the identifiers without which Meta refuses an event."""
    facts = delivery.facts
    if hashes(facts, "em_meta") or hashes(facts, "ph_meta") or texts(facts, "external_ids"):
        return True
    plain = members(facts, "plain")
    return bool(_fbp(plain) or _fbc(delivery, plain))


def _user_data(delivery: Delivery, browser: str | None) -> dict[str, Any]:
    facts = delivery.facts
    told: dict[str, Any] = {}
    if emails := hashes(facts, "em_meta"):
        told["em"] = emails
    if phones := hashes(facts, "ph_meta"):
        told["ph"] = phones
    hashed = members(facts, "hashes")
    for name in HASHED:
        if found := hashes(hashed, name):
            told[name] = found
    if ids := texts(facts, "external_ids"):
        told["external_id"] = [each if is_hash(each) else sha256(each) for each in ids]
    plain = members(facts, "plain")
    if address := _ip_address(plain.get("ip")):
        told["client_ip_address"] = address
    if browser:
        told["client_user_agent"] = browser
    if fbc := _fbc(delivery, plain):
        told["fbc"] = fbc
    if fbp := _fbp(plain):
        told["fbp"] = fbp
    told |= {name: given for name in PLAIN if (given := text(plain.get(name)))}
    return told


def _fbc(delivery: Delivery, plain: Mapping[str, Any]) -> str | None:
    """The click as Meta's cookie has it: `fb.<dots in the cookie's domain>.<ms of the click>.<fbclid>`."""
    given = text(plain.get("fbc")) or ""
    if (cookie := _COOKIE.fullmatch(given)) and _is_fresh(int(cookie[1]) * 1000, delivery):
        return given
    facts = delivery.facts
    click, clicked_us = text(facts.get("click_id")), whole(facts, "clicked_us")
    if facts.get("click_id_type") != "fbclid" or click is None or clicked_us is None:
        return None
    fbc = f"fb.{domain_dots(facts)}.{clicked_us // 1000}.{click}"
    return fbc if _is_fresh(clicked_us, delivery) and _COOKIE.fullmatch(fbc) else None


def _fbp(plain: Mapping[str, Any]) -> str | None:
    given = text(plain.get("fbp")) or ""
    return given if _COOKIE.fullmatch(given) else None


def _is_fresh(clicked_us: int, delivery: Delivery) -> bool:
    return 0 <= delivery.made_us - clicked_us <= OLDEST_CLICK_US


def _custom_data(facts: Facts) -> dict[str, Any]:
    told: dict[str, Any] = {}
    value, money = whole(facts, "value_minor"), currency(facts)
    if value is not None and money is not None:
        told["value"] = amount(value, money)
        told["currency"] = money
    if order := text(facts.get("transaction_id")):
        told["order_id"] = order
    given = members(facts, "custom_data")
    if not given:
        return told
    for name in ("content_type", "content_name", "content_category", "search_string"):
        if found := text(given.get(name)):
            told[name] = found
    if ids := [each for one in listed(given.get("content_ids")) if (each := text(one))]:
        told["content_ids"] = ids
    if contents := [content for one in listed(given.get("contents")) if (content := _content(one))]:
        told["contents"] = contents
    if (items := _count(given.get("num_items"))) is not None:
        told["num_items"] = items
    for name in ("net_revenue", "predicted_ltv"):
        if (number := _decimal(given.get(name))) is not None:
            told[name] = number
    return told


def _content(given: Any) -> dict[str, Any] | None:
    """One product; None without the id and quantity that Meta asks for."""
    if not isinstance(given, dict):
        return None
    product, quantity = text(given.get("id")), _count(given.get("quantity"))
    if product is None or not quantity:
        return None
    told: dict[str, Any] = {"id": product, "quantity": quantity}
    if (price := _decimal(given.get("item_price"))) is not None:
        told["item_price"] = price
    if (category := text(given.get("delivery_category"))) in _DELIVERY_CATEGORIES:
        told["delivery_category"] = category
    return told


def _count(given: Any) -> int | None:
    number = _decimal(given)
    return int(number) if number is not None and number.is_integer() and 0 <= number < 2**53 else None


def _decimal(given: Any) -> float | None:
    """A number, also one that was sent as text."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _ip_address(given: Any) -> str | None:
    try:
        return str(ip_address(given.strip())) if isinstance(given, str) else None
    except ValueError:
        return None


def _number(given: Any) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _words(error: Mapping[str, Any]) -> str:
    """What an error says for people, with what Meta's support asks for."""
    said = text(error.get("error_user_msg")) or text(error.get("message")) or ""
    title, trace = text(error.get("error_user_title")), text(error.get("fbtrace_id"))
    return f"{title + ': ' if title else ''}{said}{f' ({trace})' if trace else ''}"
