"""A server that receives as Meta's Conversions API does, and refuses what that refuses.

Written from https://developers.facebook.com/docs/marketing-api/conversions-api and the tables of the
design. One bad event fails the whole request. `MetaReceiver.book` is what counts at Meta after its
deduplication: per event name and id the first within 48 hours.
"""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from receivers import Receiver, Reply, Request

DAY_S = 86_400

ACTION_SOURCES = {
    "email",
    "website",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
}
STATES = {0, *range(1000, 1011)}
HASHED = ("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country")
PLAIN = (
    "client_ip_address",
    "client_user_agent",
    "fbc",
    "fbp",
    "subscription_id",
    "lead_id",
    "fb_login_id",
    "madid",
    "anon_id",
    "ctwa_clid",
    "partner_id",
)
STRONG = ("em", "ph", "external_id", "fbc", "fbp")
EVENT = {
    "event_name",
    "event_time",
    "event_id",
    "action_source",
    "event_source_url",
    "user_data",
    "custom_data",
    "opt_out",
    "data_processing_options",
    "data_processing_options_country",
    "data_processing_options_state",
}
CUSTOM = {
    "value",
    "currency",
    "order_id",
    "content_ids",
    "contents",
    "content_type",
    "content_name",
    "content_category",
    "num_items",
    "net_revenue",
    "predicted_ltv",
    "search_string",
}

MALFORMED, WEAK, TOO_OLD, FUTURE, WEBSITE, MONEY = 2804001, 2804050, 2804003, 2804004, 2804007, 2804009


class RefusedError(Exception):
    """Why the whole request fails."""

    def __init__(self, code: int, subcode: int | None, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.subcode, self.words, self.status = code, subcode, words, status


@dataclass(frozen=True)
class Booked:
    """An event, when it was received (Unix seconds), and by which request."""

    event: Mapping[str, Any]
    received: float
    request: int

    @property
    def key(self) -> tuple[str, str]:
        return self.event["event_name"], self.event.get("event_id", "")

    @property
    def value(self) -> tuple[float | None, str | None]:
        told = self.event.get("custom_data") or {}
        return told.get("value"), told.get("currency")


@dataclass
class Dataset:
    """What a dataset got: `book` what counts, `doubles` what it had, `tested` test events by their code."""

    book: list[Booked] = field(default_factory=list)
    doubles: list[Booked] = field(default_factory=list)
    tested: list[tuple[str, Booked]] = field(default_factory=list)
    first: dict[tuple[str, str], float] = field(default_factory=dict)


class MetaReceiver(Receiver):
    """Datasets by id, and the tokens that may write to them. `now` gives Unix seconds.

    `poison`: event ids that it refuses without a rule of ours, as Meta may. `loses`: event ids that it does
    not count in `events_received`. `expired` tokens are known and over.
    """

    def __init__(
        self,
        datasets: tuple[str, ...] = ("1234567890",),
        token: str = "EAAB-meta-token",
        now: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        self.datasets = {each: Dataset() for each in datasets}
        self.tokens = {token}
        self.expired: set[str] = set()
        self.poison: set[str] = set()
        self.loses: set[str] = set()
        self.now = now
        super().__init__(**options)

    @property
    def book(self) -> list[Booked]:
        """Of the first dataset."""
        return next(iter(self.datasets.values())).book

    def answer(self, request: Request) -> Reply:
        try:
            return self._received(request)
        except RefusedError as refused:
            return meta_error(refused.code, refused.subcode, refused.words, status=refused.status)

    def _received(self, request: Request) -> Reply:
        called = re.fullmatch(r"/v([0-9]+)\.0/([^/]+)/events", request.path)
        if called is None or request.method != "POST" or not 20 <= int(called[1]) <= 25:
            raise RefusedError(2500, None, "Unknown path components")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise RefusedError(100, None, "(#100) The parameter data is required.")
        body = read(request.body)
        token = body.get("access_token")
        if token in self.expired:
            raise RefusedError(190, 463, f"Error validating access token: {token} has expired.")
        if token not in self.tokens:
            raise RefusedError(190, None, f"Malformed access token {token}")
        dataset = self.datasets.get(called[2])
        if dataset is None:
            raise RefusedError(
                100, 33, f"Unsupported post request. Object with ID '{called[2]}' does not exist"
            )
        if unknown := body.keys() - {"data", "access_token", "test_event_code", "partner_agent"}:
            raise RefusedError(100, None, f"(#100) Unexpected key {unknown}")
        events = body.get("data")
        if not isinstance(events, list) or not 1 <= len(events) <= 1000:
            raise RefusedError(100, None, "(#100) param data must be an array of 1 to 1000 events.")
        now = self.now()
        for position, event in enumerate(events):
            self._check(position, event, now)
        return self._book(dataset, events, body.get("test_event_code"), now)

    def _check(self, position: int, event: Any, now: float) -> None:
        if not isinstance(event, dict):
            raise RefusedError(100, MALFORMED, f"data[{position}] must be an object")
        try:
            check_event(event, now)
        except RefusedError as refused:
            raise RefusedError(100, refused.subcode, f"data[{position}]: {refused.words}") from None
        if event.get("event_id") in self.poison:
            raise RefusedError(100, 2804048, "The server event is not as Meta wants it.")

    def _book(self, dataset: Dataset, events: list[Any], test_code: str | None, now: float) -> Reply:
        number = len(self.requests)
        counted = [event for event in events if event.get("event_id") not in self.loses]
        for event in counted:
            booked = Booked(event, now, number)
            if test_code is not None:
                dataset.tested.append((test_code, booked))
                continue
            first = dataset.first.get(booked.key)
            if first is not None and event.get("event_id") and now - first < 2 * DAY_S:
                dataset.doubles.append(booked)
            else:
                # After two days Meta has forgotten the first, and counts it once more.
                dataset.first[booked.key] = now
                dataset.book.append(booked)
        trace = f"A{number}trace"
        return Reply.of(200, {"events_received": len(counted), "messages": [], "fbtrace_id": trace})


def meta_error(
    code: int,
    subcode: int | None = None,
    words: str = "It is not taken.",
    *,
    status: int = 400,
    is_transient: bool = False,
    **headers: str,
) -> Reply:
    """An error as the Graph API answers it; also for `faults`."""
    error: dict[str, Any] = {
        "message": f"(#{code}) Invalid parameter",
        "type": "OAuthException",
        "code": code,
        "error_user_title": "Not taken",
        "error_user_msg": words,
        "is_transient": is_transient,
        "fbtrace_id": "AtraceOfError",
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return Reply.of(status, {"error": error}, **headers)


def read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=lambda word: math.nan)
    except ValueError:
        raise RefusedError(100, None, "(#100) The body is no JSON.") from None
    if not isinstance(found, dict):
        raise RefusedError(100, None, "(#100) The body is no JSON object.")
    return found


def check_event(event: dict[str, Any], now: float) -> None:
    """Raises RefusedError for what Meta refuses."""
    no_other(event, EVENT)
    name, when, source = event.get("event_name"), event.get("event_time"), event.get("action_source")
    need(is_text(name), "event_name is required")
    need(isinstance(when, int) and not isinstance(when, bool), "event_time must be whole Unix seconds")
    assert isinstance(when, int)
    need(when <= now + 60, "event_time is in the future; it is in seconds", FUTURE)
    oldest = 62 if source == "physical_store" else 7
    need(when >= now - oldest * DAY_S, f"event_time is more than {oldest} days ago", TOO_OLD)
    need(isinstance(source, str) and source in ACTION_SOURCES, "action_source is required")
    need("event_id" not in event or is_text(event["event_id"]), "event_id must be text")
    need(type(event.get("opt_out", False)) is bool, "opt_out must be true or false")
    url = event.get("event_source_url")
    need(url is None or (isinstance(url, str) and re.match(r"https?://[^\s/]", url)), "event_source_url")
    user = event.get("user_data")
    need(isinstance(user, dict), "user_data is required")
    assert isinstance(user, dict)
    if source == "website":
        need(bool(url), "event_source_url is required of website events", WEBSITE)
        need(bool(user.get("client_user_agent")), "client_user_agent is required of website events", WEBSITE)
    check_user(user, when)
    check_options(event)
    custom = event.get("custom_data", {})
    need(isinstance(custom, dict), "custom_data must be an object")
    check_custom(custom)
    if name == "Purchase":
        need("value" in custom and "currency" in custom, "Purchase needs value and currency", MONEY)


def check_user(user: dict[str, Any], when: int) -> None:
    no_other(user, {*HASHED, *PLAIN, "external_id"})
    for name in HASHED:
        if name in user:
            each_text(user[name], name, r"[0-9a-f]{64}")
    if "external_id" in user:
        each_text(user["external_id"], "external_id", r"(?s).+")
    for name in PLAIN:
        need(name not in user or is_text(user[name]), f"{name} must be a text")
    for name in ("fbc", "fbp"):
        if name in user:
            cookie = re.fullmatch(r"fb\.[0-9]\.([0-9]{13})\.\S+", user[name])
            need(cookie, f"{name} must be fb.INDEX.MILLISECONDS.ID")
            assert cookie is not None
            too_old = name == "fbc" and int(cookie[1]) / 1000 < when - 90 * DAY_S
            need(not too_old, f"{name} is of a click more than 90 days ago")
    if "client_ip_address" in user:
        try:
            ip_address(user["client_ip_address"])
        except ValueError:
            raise RefusedError(100, MALFORMED, "client_ip_address") from None
    need(any(user.get(name) for name in STRONG), "more customer information is needed", WEAK)


def check_options(event: dict[str, Any]) -> None:
    options = event.get("data_processing_options", [])
    need(options in ([], ["LDU"]), "data_processing_options")
    country = event.get("data_processing_options_country")
    state = event.get("data_processing_options_state")
    if options:
        need(type(country) is int and country in (0, 1), "data_processing_options_country")
        need(type(state) is int and state in STATES, "data_processing_options_state")


def check_custom(custom: dict[str, Any]) -> None:
    no_other(custom, CUSTOM)
    for name in ("value", "net_revenue", "predicted_ltv"):
        need(name not in custom or is_number(custom[name]), f"{name} must be a number", MONEY)
    need(custom.get("value", 0) >= 0, "value must not be negative", MONEY)
    if "currency" in custom:
        each_text(custom["currency"], "currency", r"[A-Z]{3}")
        need(isinstance(custom["currency"], str), "currency must be a text", MONEY)
    for name in ("order_id", "content_type", "content_name", "content_category", "search_string"):
        need(name not in custom or is_text(custom[name]), f"{name} must be a text")
    if "content_ids" in custom:
        need(isinstance(custom["content_ids"], list), "content_ids must be a list")
        each_text(custom["content_ids"], "content_ids", r"(?s).+")
    items = custom.get("num_items", 0)
    need(type(items) is int and items >= 0, "num_items must be a whole number")
    contents = custom.get("contents", [])
    need(isinstance(contents, list), "contents must be a list")
    for content in contents:
        need(isinstance(content, dict) and is_text(content.get("id")), "contents need ids")
        need(type(content.get("quantity")) is int and content["quantity"] > 0, "contents need quantities")
        need("item_price" not in content or is_number(content["item_price"]), "item_price must be a number")
        category = content.get("delivery_category", "in_store")
        need(category in ("in_store", "curbside", "home_delivery"), "delivery_category")


def need(condition: object, words: str, subcode: int = MALFORMED) -> None:
    if not condition:
        raise RefusedError(100, subcode, words)


def no_other(given: dict[str, Any], known: set[str]) -> None:
    need(given.keys() <= known, f"Unexpected key {sorted(given.keys() - known)}")


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def each_text(given: Any, name: str, pattern: str) -> None:
    """A text or a list of texts, each like the pattern."""
    values = given if isinstance(given, list) else [given]
    need(values, f"{name} is empty")
    for value in values:
        need(isinstance(value, str) and re.fullmatch(pattern, value), f"{name}: {value!r} is not as wanted")
