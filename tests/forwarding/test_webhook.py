"""Webhooks, told to endpoints that check them with the library that receivers use."""

import asyncio
import base64
import json
import os
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from receivers import BUSY, Reply, WebhookReceiver, settings_for
from standardwebhooks import Webhook, WebhookVerificationError
from telling import MADE_US, Telling, delivery

from forwarding.deliveries import RETRY_SCHEDULE_S, Destination, Told
from forwarding.platforms import PLATFORMS
from forwarding.webhook import BODY_BYTES
from funnelhouse.settings import Settings

PLATFORM = PLATFORMS["webhook"](Settings())
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def secret(length: int = 32) -> str:
    return f"whsec_{base64.b64encode(os.urandom(length)).decode()}"


def destination(url: str = "https://hooks.example/", **members: Any) -> Destination:
    body = {"name": "Ours", "kind": "webhook", "trigger": "every_change", "url": url, "include": []}
    return Destination("shop", "told", 1, {**body, **members})


def rendered(told: Any, **members: Any) -> dict[str, Any]:
    telling = Telling(Settings(), {"signing_secret": SECRET})
    said: dict[str, Any] = json.loads(PLATFORM.render(destination(**members), [told], telling).body)
    return said


def test_the_known_answer() -> None:
    """Of the specification's own example."""
    signed = Webhook(SECRET).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1_614_265_330, UTC), '{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_endpoints_believe_what_is_signed() -> None:
    with WebhookReceiver(SECRET) as endpoint:
        telling = Telling(settings_for(endpoint), {"signing_secret": SECRET})
        approved, nothing = Told("approved", 4990, "EUR"), Told("refunded", 0, "EUR")
        outcomes = telling.tell(
            PLATFORM,
            destination(f"{endpoint.url}/hooks?tenant=1"),
            delivery("create", 1),
            delivery("create", 1),
            delivery("restate", 2, approved, value_minor=2990),
            delivery("retract", 3, Told("approved", 2990, "EUR"), state="refunded", value_minor=0),
            delivery("restate", 4, nothing, value_minor=100),
            delivery("test", 5),
        )
        assert [outcome.result for outcome in outcomes] == ["delivered"] * 6
        assert endpoint.repeats == 1
        assert list(endpoint.book) == [
            "msg_create1",
            "msg_restate2",
            "msg_retract3",
            "msg_restate4",
            "msg_test5",
        ]
        assert [said["type"] for said in endpoint.book.values()] == [
            "conversion.created",
            "conversion.restated",
            "conversion.reversed",
            "conversion.restated",
            "destination.test",
        ]
        changes = [
            (
                data["previous_state"],
                data["previous_value"],
                data["state"],
                data["value"],
                data["value_minor"],
            )
            for said in list(endpoint.book.values())[:4]
            for data in [said["data"]]
        ]
        assert changes == [
            (None, None, "approved", "49.90", 4990),
            ("approved", "49.90", "approved", "29.90", 2990),
            ("approved", "29.90", "refunded", "0.00", 0),
            ("refunded", "0.00", "approved", "1.00", 100),
        ]
        assert endpoint.conversions["shop/order_completed/order-1"]["ordinal"] == 4
        request = endpoint.requests[0]
        assert request.target == "/hooks?tenant=1" and request.headers["webhook-id"] == "msg_create1"
        assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
        # The very bytes that were signed are those that people are shown.
        assert telling.messages[0].shown.encode() == request.body


def test_a_message_says_all_of_a_conversion() -> None:
    assert rendered(delivery()) == {
        "type": "conversion.created",
        "timestamp": "2025-11-29T23:35:00.000000Z",
        "data": {
            "conversion_id": "shop/order_completed/order-1",
            "ordinal": 1,
            "project_id": "shop",
            "name": "order_completed",
            "goal_id": "goal-1",
            "transaction_id": "order-1",
            "occurred_at": "2025-11-29T23:34:56.123456Z",
            "learnt_at": "2025-11-29T23:34:57.000000Z",
            "state": "approved",
            "previous_state": None,
            "value": "49.90",
            "previous_value": None,
            "value_minor": 4990,
            "currency": "EUR",
            "is_forwardable": True,
            "matched_by": "click",
            "session_id": "session-1",
            "hit_id": "hit-1",
            "visitor_id": "visitor-1",
            "user_id": None,
            "source": "network",
            "medium": "cpc",
            "campaign": "spring",
            "click_id": None,
            "click_id_type": None,
            "build_id": "build-1",
        },
    }


def test_hashes_are_there_when_asked_for() -> None:
    data = rendered(delivery(), include=["hashes"])["data"]
    assert (data["em_meta"], data["em_google"]) == (["a" * 64], ["b" * 64])
    assert (data["ph_meta"], data["ph_google"]) == ([], [])
    # What is no hash stays here, whatever column it stands in.
    assert rendered(delivery(em_meta='["jane@shop.example"]'), include=["hashes"])["data"]["em_meta"] == []
    assert "em_meta" not in rendered(delivery())["data"]


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(None, "EUR", None), (5, None, "0.05"), (5, "JPY", "5"), (5, "KWD", "0.005")],
)
def test_amounts_are_text(minor: int | None, currency: str | None, text: str | None) -> None:
    assert rendered(delivery(value_minor=minor, currency=currency))["data"]["value"] == text


def test_a_conversion_that_is_no_more_is_reversed() -> None:
    data = rendered(delivery("retract", 2, Told("approved", 4990, "EUR")))["data"]
    assert (data["state"], data["value"], data["previous_value"]) == ("rejected", "0.00", "49.90")


def test_retries_render_alike_but_for_the_time() -> None:
    telling = Telling(Settings(), {"signing_secret": SECRET}, now=1_764_459_300)
    first = PLATFORM.render(destination(), [delivery()], telling)
    telling.now = 1_764_466_500
    second = PLATFORM.render(destination(), [delivery()], telling)
    assert first.body == second.body and first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] == "1764459300"
    assert second.headers["webhook-timestamp"] == "1764466500"
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_rotation_signs_with_both() -> None:
    before, after = secret(24), secret(64)
    secrets = {"signing_secret": after, "signing_secret.previous": before}
    for known in (before, after):
        with WebhookReceiver(known) as endpoint:
            (outcome,) = Telling(settings_for(endpoint), secrets).tell(
                PLATFORM, destination(endpoint.url), delivery()
            )
            assert outcome.result == "delivered"
            assert endpoint.requests[0].headers["webhook-signature"].count("v1,") == 2
    with WebhookReceiver(before) as endpoint:
        (outcome,) = Telling(settings_for(endpoint), {"signing_secret": after}).tell(
            PLATFORM, destination(endpoint.url), delivery()
        )
        assert (outcome.result, outcome.code) == ("pause", "unauthorized") and not endpoint.book


def test_endpoints_notice_what_was_changed() -> None:
    telling = Telling(Settings(), {"signing_secret": SECRET})
    message = PLATFORM.render(destination(), [delivery()], telling)
    for body, headers in [
        (message.body.replace(b"49.90", b"99.90"), {}),
        (message.body, {"webhook-id": "msg_2"}),
        (message.body, {"webhook-timestamp": str(int(time.time()) + 1)}),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body, {**message.headers, **headers})
    Webhook(SECRET).verify(message.body, dict(message.headers))


@pytest.mark.parametrize("set_to", [None, "", "whsec_", "whsec_=", "a", "whsec_a"])
def test_no_secret_no_message(set_to: str | None) -> None:
    with WebhookReceiver(SECRET) as endpoint:
        secrets = {} if set_to is None else {"signing_secret": set_to}
        (outcome,) = Telling(settings_for(endpoint), secrets).tell(
            PLATFORM, destination(endpoint.url), delivery()
        )
        assert (outcome.result, outcome.code) == ("pause", "no_secret") and not endpoint.connections


@pytest.mark.parametrize(
    ("reply", "result", "wait_s"),
    [
        (Reply(202), "delivered", None),
        (Reply(301, headers={"Location": "https://a.example/"}), "retry", None),
        (Reply(400), "retry", None),
        (Reply(410), "pause", None),
        (BUSY, "retry", 7),
        (Reply(429), "retry", 60),
        (Reply(502), "retry", 60),
        (Reply(504, headers={"Retry-After": "9"}), "retry", 9),
        (Reply(500), "retry", None),
    ],
)
def test_what_answers_mean(reply: Reply, result: str, wait_s: float | None) -> None:
    with WebhookReceiver(SECRET) as endpoint:
        endpoint.fault = reply
        (outcome,) = Telling(settings_for(endpoint), {"signing_secret": SECRET}).tell(
            PLATFORM, destination(endpoint.url), delivery()
        )
        assert (outcome.result, outcome.wait_s) == (result, wait_s)


def test_a_lost_answer_is_a_repeat_that_endpoints_know() -> None:
    with WebhookReceiver(SECRET) as endpoint:
        endpoint.faults.append(Reply(cut_after=0, is_taken=True))
        outcomes = Telling(settings_for(endpoint), {"signing_secret": SECRET}).tell(
            PLATFORM, destination(endpoint.url), delivery(), delivery()
        )
        assert [outcome.result for outcome in outcomes] == ["retry", "delivered"]
        assert len(endpoint.book) == 1 and endpoint.repeats == 1


@pytest.mark.parametrize(
    "text", ["ü" * 4000, '"' * 4000, "\u0001" * 4000, "🎉" * 1000, "</script>\u2028\0" * 100]
)
def test_long_and_odd_texts_fit(text: str) -> None:
    facts = dict.fromkeys(("campaign", "medium", "source", "name", "click_id"), text)
    odd = delivery(**facts, external_click_id=text)
    with WebhookReceiver(SECRET) as endpoint:
        telling = Telling(settings_for(endpoint), {"signing_secret": SECRET})
        assert PLATFORM.skip_reason(destination(endpoint.url), odd, 0) is None
        assert telling.tell(PLATFORM, destination(endpoint.url), odd)[0].result == "delivered"
        (said,) = endpoint.book.values()
        assert text.startswith(said["data"]["campaign"]) and said["data"]["transaction_id"] == "order-1"


def test_ids_are_never_cut() -> None:
    ids = ("transaction_id", "session_id", "hit_id", "visitor_id", "user_id", "goal_id")
    long = delivery(**dict.fromkeys(ids, "\x01" * 1024))
    assert PLATFORM.skip_reason(destination(), long, 0) == "too_large"
    fits = delivery(**dict.fromkeys(ids, "ü" * 512))
    assert PLATFORM.skip_reason(destination(), fits, 0) is None
    many = json.dumps([f"{n:064x}" for n in range(1000)])
    assert len(rendered(delivery(em_meta=many), include=["hashes"])["data"]["em_meta"]) == 10
    assert BODY_BYTES <= 20_480


def test_secrets_stand_nowhere_but_in_the_signature() -> None:
    new, old = secret(), secret()
    telling = Telling(Settings(), {"signing_secret": new, "signing_secret.previous": old})
    message = PLATFORM.render(destination(), [delivery()], telling)
    for each in (new, old, new.removeprefix("whsec_"), old.removeprefix("whsec_")):
        said = (repr(message), message.url, message.shown, message.shown_url, str(message.headers))
        assert not any(each in text for text in said) and each.encode() not in message.body


def test_its_schedule_is_that_of_the_specification() -> None:
    assert PLATFORM.schedule_s == RETRY_SCHEDULE_S and len(RETRY_SCHEDULE_S) == 10
    assert PLATFORM.expires_us(destination(), delivery()) is None
    telling = Telling(Settings())
    assert asyncio.run(PLATFORM.check(destination(), "", [delivery()], telling)) is None
    assert delivery().made_us == MADE_US
