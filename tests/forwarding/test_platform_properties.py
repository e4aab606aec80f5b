"""Whatever the mart says, Meta and Google take what is rendered of it, or it is skipped for a reason."""

import json
from collections.abc import Iterator
from typing import Any

import meta_receiver
import pytest
from google_receiver import GoogleReceiver, TokenServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meta_receiver import MetaReceiver
from sample_conversions import (
    ANONYMOUS,
    DAY_US,
    HTTP,
    NOW_S,
    NOW_US,
    Sending,
    delivery,
    google_destination,
    hashed,
    meta_destination,
)

from forwarding.deliveries import Told
from forwarding.google import Google
from forwarding.meta import Meta

TOKEN = "EAAB-meta-token"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
HASHES = st.sampled_from([hashed("a"), hashed("b"), hashed("c").upper(), "jane@shop.example", "", "49301234"])
TEXTS = st.none() | st.text(max_size=80) | st.sampled_from(["", " ", "purchase", "x" * 70, "a@b.example"])
TIMES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(NOW_US - 100 * DAY_US, NOW_US + DAY_US)
    | st.integers(NOW_US - DAY_US, NOW_US)
)
URLS = TEXTS | st.sampled_from(
    [
        "https://shop.example/a?utm_source=x&b=c#d",
        "http://[::1/",
        "https://shop.example:port/",
        "https://:80/",
        "https://ⓔxample.com/ü?utm_a=%",
        "ftp://shop.example/",
        "HTTPS://SHOP.EXAMPLE",
    ]
)
ONE_OR_MORE = HASHES | st.lists(HASHES, max_size=12).map(json.dumps) | JSON.map(json.dumps) | TEXTS
HASHED = st.dictionaries(
    st.sampled_from(["fn", "ln", "ge", "db", "ct", "st", "zp", "country", "fn_google", "ln_google"]),
    HASHES | JSON,
)
PLAIN = st.dictionaries(
    st.sampled_from([*meta_receiver.PLAIN, "ip", "region_code", "postal_code", "other"]),
    JSON
    | st.sampled_from(["::1", "192.0.2.1", "fb.1.1789999999999.7", "fb.1.1600000000000.x", "DE", "10115"]),
)
CUSTOM = st.dictionaries(
    st.sampled_from([*sorted(meta_receiver.CUSTOM), "other"]),
    JSON
    | JSON.map(json.dumps)
    | st.sampled_from(
        ["3", "1e400", "-1", "nan", [{"id": "a", "quantity": 1}], [{"id": 7, "quantity": "x"}]]
    ),
)
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["occurred_us", "approved_us", "clicked_us", "learnt_us"], TIMES),
    **dict.fromkeys(["name", "event_name", "goal_id", "dedup_id", "transaction_id", "user_agent"], TEXTS),
    **dict.fromkeys(["em_meta", "em_google", "ph_meta", "ph_google", "external_ids"], ONE_OR_MORE),
    **dict.fromkeys(["landing_url", "event_url"], URLS),
    "click_id": TEXTS | st.sampled_from(["IwAR-1_2", "Cj0KCQ"]),
    "click_id_type": st.sampled_from([None, "fbclid", "gclid", "gbraid", "wbraid", "external", "other"]),
    "value_minor": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 10_000),
    "currency": st.sampled_from([None, "EUR", "JPY", "KWD", "CLF", "eur", "EURO", "", "ÄÖÜ"]),
    "hashes": HASHED.map(json.dumps) | JSON.map(json.dumps) | TEXTS,
    "plain": PLAIN.map(json.dumps) | JSON.map(json.dumps) | TEXTS,
    "custom_data": CUSTOM.map(json.dumps) | JSON.map(json.dumps) | TEXTS,
    "consent_ads": st.sampled_from([None, "granted", "denied"]),
}
# Some things are odd, seldom all of them: most conversions are told.
ODD = st.tuples(
    st.sampled_from([{}, {}, {}, ANONYMOUS]), st.sets(st.sampled_from(sorted(COLUMNS)), max_size=5)
).flatmap(
    lambda drawn: st.fixed_dictionaries({name: COLUMNS[name] for name in sorted(drawn[1])}).map(
        lambda odd: drawn[0] | odd
    )
)
META = st.fixed_dictionaries(
    {},
    optional={
        "action_source": st.sampled_from(sorted(meta_receiver.ACTION_SOURCES)),
        "event_time": st.sampled_from(["occurred", "approved"]),
        "limited_data_use": st.booleans(),
        "limited_data_country": st.sampled_from([0, 1]),
        "limited_data_state": st.sampled_from([0, *range(1000, 1011)]),
        "test_event_code": st.sampled_from([None, "TEST1"]),
        "api_version": st.integers(20, 25),
    },
)
GOOGLE = st.fixed_dictionaries(
    {},
    optional={
        "login_account_id": st.sampled_from([None, "111"]),
        "linked_account_id": st.sampled_from([None, "222"]),
        "event_source": st.sampled_from(["WEB", "APP", "IN_STORE", "PHONE", "OTHER"]),
        "send_user_data": st.booleans(),
        "on_rejection": st.sampled_from(["zero", "nothing"]),
        "max_age_days": st.integers(1, 90),
    },
)
KINDS = st.sampled_from(["create", "create", "restate", "retract", "test"])
BEFORE = st.sampled_from(
    [
        None,
        Told("approved", 4990, "EUR"),
        Told("approved", None, None, "no JSON"),
        Told("approved", 1, "EUR", '["1234567890","987654321","order-1",false]'),
        Told("approved", 1, "EUR", '["1234567890","987654321","order-1",true]'),
        Told("approved", 1, "EUR", '["other","987654321","order-1",true]'),
    ]
)

thorough = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def clock() -> float:
    return NOW_S


@pytest.fixture(scope="module")
def meta() -> Iterator[MetaReceiver]:
    with MetaReceiver(token=TOKEN, now=clock) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleReceiver]:
    with TokenServer(now=clock) as tokens:
        tokens.tokens["ya29.valid"] = NOW_S + 3600
        with GoogleReceiver(tokens, per_minute=10**9, per_day=10**9) as receiver:
            yield receiver


def has_plain_text(body: bytes) -> bool:
    """An address or number that stood where hashes belong."""
    return b"jane@shop.example" in body or b"49301234" in body


@thorough
@given(odd=ODD, members=META, kind=KINDS)
def test_meta_takes_what_is_rendered(
    meta: MetaReceiver, odd: dict[str, Any], members: dict[str, Any], kind: str
) -> None:
    platform, destination = Meta(meta.url), meta_destination(**members)
    each = delivery(kind=kind, **odd)
    sending = Sending({"access_token": TOKEN})
    reason = platform.skip_reason(destination, each, NOW_US)
    message = platform.render(destination, [each], sending)
    platform.expires_us(destination, each)
    assert json.loads(message.shown) and not has_plain_text(message.body)
    if reason is None:
        answer = HTTP.post(message.url, content=message.body, headers=dict(message.headers))
        assert answer.status_code == 200, answer.text
    else:
        assert reason.replace("_", "").isalpha()


@thorough
@given(odd=ODD, members=GOOGLE, kind=KINDS, before=BEFORE)
def test_google_takes_what_is_rendered(
    google: GoogleReceiver,
    odd: dict[str, Any],
    members: dict[str, Any],
    kind: str,
    before: Told | None,
) -> None:
    platform = Google(google.url, "https://google.example/token")
    destination = google_destination(**members)
    each = delivery(kind=kind, before=before, **odd)
    reason = platform.skip_reason(destination, each, NOW_US)
    message = platform.render(destination, [each], Sending({}))
    platform.expires_us(destination, each)
    assert json.loads(message.shown) and not has_plain_text(message.body)
    if reason is None:
        headers = {**message.headers, "authorization": "Bearer ya29.valid"}
        answer = HTTP.post(message.url, content=message.body, headers=headers)
        assert answer.status_code == 200, answer.text
    else:
        assert reason.replace("_", "").isalpha()
