"""What Google Ads is told through the Data Manager API, and what becomes of it. Sent to real servers."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from google_receiver import DAY_S, SCOPE, GoogleReceiver, TokenServer, google_error, refused_token
from receivers import BUSY, CUT, INSIDE, SLOW, Reply
from sample_conversions import (
    ANONYMOUS,
    DAY_US,
    MINUTE_US,
    NOW_US,
    USER_AGENT,
    Sending,
    delivery,
    google_destination,
    hashed,
)

from forwarding.deliveries import Asking, Delivery, Destination, Outcome, Told
from forwarding.google import Google

CLICKED: dict[str, Any] = {
    "click_id": "Cj0KCQ-abc",
    "click_id_type": "gclid",
    "clicked_us": NOW_US - 2 * DAY_US,
}


@pytest.fixture
def sending() -> Sending:
    return Sending({})


@pytest.fixture
def tokens(sending: Sending) -> Iterator[TokenServer]:
    with TokenServer(now=sending.clock) as server:
        sending.secrets |= server.refresh_secrets
        yield server


@pytest.fixture
def receiver(tokens: TokenServer) -> Iterator[GoogleReceiver]:
    with GoogleReceiver(tokens) as receiver:
        yield receiver


@pytest.fixture
def google(receiver: GoogleReceiver, tokens: TokenServer) -> Google:
    return Google(receiver.url, tokens.token_url)


def order(number: int = 1, kind: str = "create", **members: Any) -> Delivery:
    return delivery(number, kind, **(CLICKED | members))


def orders(count: int) -> Sequence[Delivery]:
    return [order(number) for number in range(count)]


def send(
    google: Google, sending: Sending, *deliveries: Delivery, destination: Destination | None = None
) -> Mapping[str, Outcome]:
    return asyncio.run(google.send(destination or google_destination(), deliveries, sending))


def check(
    google: Google, sending: Sending, remote_id: str | None, *deliveries: Delivery
) -> Mapping[str, Outcome] | None:
    assert remote_id is not None
    return asyncio.run(google.check(google_destination(), remote_id, deliveries, sending))


def rendered(each: Delivery, **members: Any) -> Any:
    google = Google("https://google.example", "https://google.example/token")
    destination = google_destination(**members)
    assert google.skip_reason(destination, each, NOW_US) is None
    return json.loads(google.render(destination, [each], Sending({})).body)["events"][0]


def skipped(each: Delivery, *, now_us: int = NOW_US, **members: Any) -> str | None:
    return Google("https://google.example", "x").skip_reason(google_destination(**members), each, now_us)


def by_result(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    results = [each.result for each in outcomes.values()]
    return {result: results.count(result) for result in sorted(set(results))}


def known(google: Google, receiver: GoogleReceiver, sending: Sending, each: Delivery) -> Told:
    """What is known of a conversion once it was told and Google has worked on it."""
    outcome = send(google, sending, each)[each.delivery_id]
    assert outcome.result == "accepted", outcome
    sending.now += receiver.processing_s
    became = check(google, sending, outcome.remote_id, each)
    assert became is not None and became[each.delivery_id].result == "delivered"
    return Told("approved", each.facts["value_minor"], each.facts["currency"], outcome.known_as)


def test_a_conversion(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    plain = json.dumps({"region_code": "de", "postal_code": "10115", "ip": "192.0.2.1"})
    names = json.dumps({"fn": hashed("x"), "fn_google": hashed("jane"), "ln_google": hashed("doe")})
    destination = google_destination(login_account_id="111-222-3333", linked_account_id="444")
    each = order(plain=plain, hashes=names, consent_ads="granted")
    outcome = send(google, sending, each, destination=destination)["msg_1_create"]
    assert (outcome.result, outcome.remote_id) == ("accepted", "request-1")
    [request] = receiver.requests
    assert request.target == "/v1/events:ingest"
    assert request.headers["authorization"] == "Bearer ya29.token-1"
    assert request.json() == {
        "destinations": [
            {
                "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "1112223333"},
                "linkedAccount": {"accountType": "GOOGLE_ADS", "accountId": "444"},
                "productDestinationId": "987654321",
            }
        ],
        "events": [
            {
                "transactionId": "order-1",
                "eventTimestamp": "2026-09-21T13:13:20.000000+00:00",
                "eventSource": "WEB",
                "conversionValue": 49.9,
                "currency": "EUR",
                "adIdentifiers": {"gclid": "Cj0KCQ-abc"},
                "userData": {
                    "userIdentifiers": [
                        {
                            "address": {
                                "givenName": hashed("jane"),
                                "familyName": hashed("doe"),
                                "regionCode": "DE",
                                "postalCode": "10115",
                            }
                        },
                        {"emailAddress": hashed("jane@shop.example")},
                        {"phoneNumber": hashed("+4930123456")},
                    ]
                },
                "eventDeviceInfo": {"userAgent": USER_AGENT},
                "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
            }
        ],
        "encoding": "HEX",
    }
    assert receiver.book["1234567890", "987654321", "order-1"].value == 49.9


@pytest.mark.parametrize("kind", ["gclid", "gbraid", "wbraid"])
def test_one_click_id(kind: str) -> None:
    assert rendered(order(click_id_type=kind))["adIdentifiers"] == {kind: "Cj0KCQ-abc"}


def test_a_click_of_somebody_else_is_none() -> None:
    assert "adIdentifiers" not in rendered(order(click_id_type="fbclid"))
    assert skipped(order(**ANONYMOUS | {"click_id": "x", "click_id_type": "msclkid"})) == "no_identifier"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"dedup_id": None}, hashed("shop:purchase:order-1")),
        ({"dedup_id": "x" * 64}, "x" * 64),
        ({"dedup_id": "x" * 65}, hashed("shop:purchase:order-1")),
        ({"dedup_id": "jane@shop.example"}, hashed("shop:purchase:order-1")),
    ],
)
def test_transaction_ids(event: dict[str, Any], expected: str) -> None:
    assert rendered(order(**event))["transactionId"] == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"occurred_us": NOW_US - 1}, "2026-09-21T14:13:19.999999+00:00"),
        ({"occurred_us": NOW_US + MINUTE_US}, "2026-09-21T14:13:20.000000+00:00"),
        (
            {"occurred_us": NOW_US - 10 * MINUTE_US, "clicked_us": NOW_US - 5 * MINUTE_US},
            "2026-09-21T14:08:20.000000+00:00",
        ),
    ],
)
def test_it_happens_after_the_click_and_not_in_the_future(event: dict[str, Any], expected: str) -> None:
    event = rendered(order(**event))
    assert event["eventTimestamp"] == expected and "lastUpdatedTimestamp" not in event


@pytest.mark.parametrize("source", ["WEB", "APP", "IN_STORE", "PHONE", "OTHER"])
def test_event_sources(source: str) -> None:
    assert rendered(order(), event_source=source)["eventSource"] == source


@pytest.mark.parametrize(
    ("minor", "currency", "expected"),
    [
        (4990, "JPY", b'"conversionValue":4990,"currency":"JPY"'),
        (4990, "KWD", b'"conversionValue":4.990,"currency":"KWD"'),
        (9_007_199_254_740_993, "EUR", b'"conversionValue":90071992547409.93,"currency":"EUR"'),
        (0, "EUR", b'"conversionValue":0.00,"currency":"EUR"'),
    ],
)
def test_amounts_are_exact(minor: int, currency: str, expected: bytes) -> None:
    google = Google("https://google.example", "https://google.example/token")
    message = google.render(google_destination(), [order(value_minor=minor, currency=currency)], Sending({}))
    assert expected in message.body


def test_a_conversion_without_an_amount_has_none() -> None:
    for without in ({"value_minor": None}, {"value_minor": 0, "currency": None}):
        event = rendered(order(**without))
        assert "conversionValue" not in event and "currency" not in event


def test_ten_identifiers_at_most() -> None:
    emails = [hashed(f"mail {number}") for number in range(12)]
    phones = [hashed(f"phone {number}") for number in range(3)]
    event = rendered(order(em_google=json.dumps(emails), ph_google=json.dumps(phones)))
    told = event["userData"]["userIdentifiers"]
    assert len(told) == 10
    assert [each["phoneNumber"] for each in told if "phoneNumber" in each] == phones
    assert [each["emailAddress"] for each in told if "emailAddress" in each] == emails[:7]


@pytest.mark.parametrize(
    ("plain", "names"),
    [
        ({"region_code": "DE"}, ["fn_google", "ln_google"]),
        ({"postal_code": "1"}, ["fn_google", "ln_google"]),
        ({"region_code": "Germany", "postal_code": "1"}, ["fn_google", "ln_google"]),
        ({"region_code": "DE", "postal_code": "1"}, ["ln_google"]),
        ({"region_code": "DE", "postal_code": "1"}, ["fn", "ln"]),
    ],
)
def test_an_address_is_told_with_all_of_its_parts_or_not_at_all(
    plain: dict[str, str], names: list[str]
) -> None:
    hashes = json.dumps({name: hashed(name) for name in names})
    event = rendered(order(plain=json.dumps(plain), hashes=hashes))
    assert not any("address" in each for each in event["userData"]["userIdentifiers"])


def test_user_data_only_when_it_is_wanted() -> None:
    assert "userData" not in rendered(order(), send_user_data=False)
    unclicked = order(click_id=None, click_id_type=None, clicked_us=None)
    assert skipped(unclicked, send_user_data=False) == "no_click_id"
    assert skipped(unclicked) is None


def test_no_plain_text_takes_the_place_of_a_hash() -> None:
    plain = order(em_google='["jane@shop.example"]', ph_google="+4930123456", click_id=None)
    assert skipped(plain) == "no_identifier"


@pytest.mark.parametrize(("consent", "is_said"), [("granted", True), (None, False)])
def test_consent(consent: str | None, is_said: bool) -> None:
    assert ("consent" in rendered(order(consent_ads=consent))) is is_said
    assert skipped(order(consent_ads="denied")) == "consent_denied"


@pytest.mark.parametrize(
    ("event", "members", "expected"),
    [
        ({"clicked_us": NOW_US - 90 * DAY_US} | {"em_google": None, "ph_google": None}, {}, None),
        ({"clicked_us": NOW_US - 90 * DAY_US - 1} | {"em_google": None, "ph_google": None}, {}, "too_old"),
        ({"clicked_us": NOW_US - 90 * DAY_US - 1}, {}, None),
        ({"clicked_us": None, "occurred_us": NOW_US - 91 * DAY_US}, {}, "too_old"),
        ({"click_id": None, "occurred_us": NOW_US - 63 * DAY_US}, {}, None),
        ({"click_id": None, "occurred_us": NOW_US - 63 * DAY_US - 1}, {}, "too_old"),
        ({"click_id": None, "occurred_us": NOW_US - 8 * DAY_US}, {"max_age_days": 7}, "too_old"),
        ({"occurred_us": NOW_US - 70 * DAY_US, "clicked_us": NOW_US - 80 * DAY_US}, {}, None),
        ({"occurred_us": None}, {}, "too_old"),
        ({"currency": None}, {}, "no_currency"),
        ({"currency": "euro"}, {}, "no_currency"),
        ({"value_minor": -5}, {}, "negative_value"),
        (ANONYMOUS, {}, "no_identifier"),
    ],
)
def test_what_google_would_refuse_is_not_sent(
    event: dict[str, Any], members: dict[str, Any], expected: str | None
) -> None:
    assert skipped(order(**event), **members) == expected


def test_what_google_knows_of_clicks_agrees(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    receiver.clicks = {"old": (NOW_US - 91 * DAY_US) / 1e6, "late": (NOW_US - MINUTE_US) / 1e6}
    old = order(1, click_id="old", clicked_us=NOW_US - 91 * DAY_US)
    late = order(2, click_id="late", clicked_us=NOW_US - MINUTE_US)
    send(google, sending, old, late)
    assert set(receiver.book) == {("1234567890", "987654321", f"order-{number}") for number in (1, 2)}


def test_an_old_click_is_left_out_beside_user_data() -> None:
    assert "adIdentifiers" not in rendered(order(clicked_us=NOW_US - 91 * DAY_US))


def test_ends() -> None:
    google = Google("https://google.example", "x")
    hour_ago = NOW_US - 60 * MINUTE_US
    unclicked = order(click_id=None)
    clicked = order(em_google=None, ph_google=None)
    assert google.expires_us(google_destination(), clicked) == NOW_US + 88 * DAY_US
    assert google.expires_us(google_destination(), unclicked) == hour_ago + 63 * DAY_US
    assert google.expires_us(google_destination(), order(kind="restate")) == hour_ago + 54 * DAY_US
    assert google.expires_us(google_destination(), order(**ANONYMOUS)) is None


def test_it_is_delivered_once_google_has_worked_on_it(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    assert list(google.check_after_s) == [1800, 3600, 7200, 14400, 28800, 57600, 86400]
    outcome = send(google, sending, order())["msg_1_create"]
    assert (outcome.result, outcome.remote_id) == ("accepted", "request-1")
    assert check(google, sending, "request-1", order()) is None
    assert check(google, sending, "unknown", order()) is None
    sending.now += 1800
    became = check(google, sending, "request-1", order())
    assert became is not None
    assert (became["msg_1_create"].result, became["msg_1_create"].code) == ("delivered", "")
    question = receiver.requests[-1]
    assert (question.method, question.target) == ("GET", "/v1/requestStatus:retrieve?requestId=request-1")


def test_warnings_are_shown(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    warned = {"warningCounts": [{"recordCount": "2", "reason": "PROCESSING_WARNING_REASON_INTERNAL_ERROR"}]}
    status = {"requestStatus": "SUCCESS", "warningInfo": warned}
    receiver.fault = Reply.of(200, {"requestStatusPerDestination": [status]})
    became = check(google, sending, "request-1", order())
    assert became is not None
    assert became["msg_1_create"].text == "2 INTERNAL_ERROR (warning)"


@pytest.mark.parametrize("fault", [Reply(503), Reply(200, b"<html>"), CUT, google_error(403, "X", "Y")])
def test_a_question_without_an_answer_is_asked_again(
    google: Google, receiver: GoogleReceiver, sending: Sending, fault: Reply
) -> None:
    send(google, sending, order())
    sending.now += 1800
    receiver.fault = fault
    assert check(google, sending, "request-1", order()) is None


def test_partly_delivered(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    receiver.invalid |= {"order-1": "INVALID_GCLID", "order-2": "EVENT_TOO_OLD", "order-4": "INVALID_GCLID"}
    outcomes = send(google, sending, *orders(5))
    assert by_result(outcomes) == {"accepted": 5}
    sending.now += 1800
    became = check(google, sending, "request-1", *orders(5))
    assert became is not None and by_result(became) == {"delivered": 5}
    assert {(each.code, each.text) for each in became.values()} == {
        ("partly", "1 EVENT_TOO_OLD, 2 INVALID_GCLID")
    }


def test_halves_find_the_guilty_of_a_part(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    """What `split` does: the same ids once more. Those that are there already count as delivered."""
    receiver.invalid["order-1"] = "INVALID_GCLID"
    send(google, sending, *orders(4))
    found: dict[str, tuple[str, str]] = {}
    for half in (orders(4)[2:], orders(4)[:2], orders(4)[:1], orders(4)[1:2]):
        remote_id = next(iter(send(google, sending, *half).values())).remote_id
        sending.now += 1800
        became = check(google, sending, remote_id, *half)
        assert became is not None
        found |= {each: (outcome.result, outcome.code) for each, outcome in became.items()}
        if len(half) == 2 and half[0].delivery_id == "msg_0_create":
            assert set(found.values()) == {("delivered", ""), ("delivered", "partly")}
    assert found["msg_1_create"] == ("dead", "INVALID_GCLID")
    assert {found[f"msg_{number}_create"] for number in (0, 2, 3)} == {("delivered", "")}
    assert len(receiver.book) == 3


@pytest.mark.parametrize(
    ("reason", "result"),
    [
        *[(each, "dead") for each in ("EVENT_TOO_OLD", "DUPLICATE_GCLID", "INVALID_GCLID", "INVALID_GBRAID")],
        *[(each, "dead") for each in ("INVALID_WBRAID", "NO_CONSENT", "DENIED_CONSENT", "UNKNOWN_CONSENT")],
        *[(each, "dead") for each in ("INVALID_EVENT", "INVALID_FORMAT", "CUSTOM_VARIABLE_NOT_ENABLED")],
        *[(each, "dead") for each in ("INVALID_CUSTOM_VARIABLE", "CLICK_NOT_FOUND")],
        ("OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER", "dead"),
        ("DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED", "pause"),
        ("INTERNAL_ERROR", "retry"),
        ("DUPLICATE_TRANSACTION_ID", "delivered"),
    ],
)
def test_reasons_of_failing_later(
    google: Google, receiver: GoogleReceiver, sending: Sending, reason: str, result: str
) -> None:
    receiver.invalid["order-1"] = reason
    send(google, sending, order())
    sending.now += 1800
    became = check(google, sending, "request-1", order())
    assert became is not None
    outcome = became["msg_1_create"]
    assert outcome.result == result
    assert outcome.code == ("" if result == "delivered" else reason)


def test_an_answer_that_got_lost_makes_no_second_conversion(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    receiver.faults.append(replace(CUT, is_taken=True))
    assert by_result(send(google, sending, order())) == {"retry": 1}
    assert by_result(send(google, sending, order())) == {"accepted": 1}
    sending.now += 1800
    became = check(google, sending, "request-2", order())
    assert became is not None and by_result(became) == {"delivered": 1}
    assert len(receiver.book) == 1


@pytest.mark.parametrize("names_all", [True, False])
def test_named_events_die_and_the_rest_is_sent_again(
    google: Google, receiver: GoogleReceiver, sending: Sending, names_all: bool
) -> None:
    receiver.names_all = names_all
    receiver.poison |= {"order-7", "order-300"}
    outcomes = send(google, sending, *orders(500))
    assert by_result(outcomes) == {"accepted": 498, "dead": 2}
    dead = outcomes["msg_300_create"]
    assert dead.code == "INVALID_EVENT"
    assert "events.events[" in dead.text
    assert len(receiver.requests) == (2 if names_all else 3)
    assert len(receiver.book) == 498


def test_so_many_bad_events_that_their_list_is_cut(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    receiver.poison |= {f"order-{number}" for number in range(1, 1000)}
    outcomes = send(google, sending, *orders(1000))
    assert len(receiver.requests) < 20
    assert by_result(outcomes) == {"accepted": 1, "dead": 999}


def test_a_thousand_in_one_request(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    assert (google.most_at_once, google.gather_s) == (1000, 60)
    assert by_result(send(google, sending, *orders(1000))) == {"accepted": 1000}
    assert len(receiver.requests) == 1


def bad_request(place: str, reason: str) -> Reply:
    return google_error(400, "INVALID_ARGUMENT", reason, {place: "It is not as wanted."})


@pytest.mark.parametrize(
    ("fault", "result", "code", "is_fault", "wait_s"),
    [
        (
            google_error(400, "FAILED_PRECONDITION", "DESTINATION_ACCOUNT_X"),
            "pause",
            "DESTINATION_ACCOUNT_X",
            0,
            None,
        ),
        (
            google_error(400, "FAILED_PRECONDITION", "OPERATING_ACCOUNT_X"),
            "pause",
            "OPERATING_ACCOUNT_X",
            0,
            None,
        ),
        (bad_request("destinations[0].x", "INVALID_ACCOUNT_ID"), "pause", "INVALID_ACCOUNT_ID", 0, None),
        (google_error(403, "PERMISSION_DENIED", "USER_X"), "pause", "USER_X", 0, None),
        (google_error(404, "NOT_FOUND", "METHOD_NOT_FOUND"), "pause", "METHOD_NOT_FOUND", 0, None),
        (google_error(400, "INVALID_ARGUMENT", "INVALID_CONVERSION_ACTION_ID"), "pause", None, 0, None),
        (google_error(400, "INVALID_ARGUMENT", "INVALID_CONVERSION_ACTION_TYPE"), "pause", None, 0, None),
        (google_error(429, "RESOURCE_EXHAUSTED", "X"), "retry", "X", 0, None),
        (
            google_error(
                429, "RESOURCE_EXHAUSTED", "X", more=({"@type": "g.RetryInfo", "retryDelay": "3.5s"},)
            ),
            *("retry", "X", 0, 3.5),
        ),
        (BUSY, "retry", "429", 0, 7),
        (google_error(500, "INTERNAL", "X"), "retry", "X", 1, None),
        (google_error(503, "UNAVAILABLE", "X", **{"Retry-After": "9"}), "retry", "X", 1, 9),
        (google_error(504, "DEADLINE_EXCEEDED", "X"), "retry", "X", 1, None),
        (Reply(502, b"<html>"), "retry", "502", 1, None),
        (Reply(200, b"<html>"), "retry", "not_json", 1, None),
        (Reply(200, b"{}"), "retry", "not_json", 1, None),
        (INSIDE, "retry", "302", 1, None),
        (CUT, "retry", "cut", 1, None),
        (SLOW, "retry", "timeout", 1, None),
        (bad_request("events.events[0].currency", "INVALID_CURRENCY_CODE"), "dead", None, 0, None),
        (google_error(400, "INVALID_ARGUMENT", "SOMETHING_NEW"), "dead", "SOMETHING_NEW", 0, None),
    ],
)
def test_answers(
    google: Google,
    receiver: GoogleReceiver,
    sending: Sending,
    fault: Reply,
    result: str,
    code: str | None,
    is_fault: int,
    wait_s: float | None,
) -> None:
    sending.timeout_s = 0.3 if fault is SLOW else 2
    receiver.fault = fault
    outcome = send(google, sending, order())["msg_1_create"]
    assert (outcome.result, outcome.is_fault, outcome.wait_s) == (result, bool(is_fault), wait_s)
    assert code is None or outcome.code == code
    assert len(receiver.requests) == 1 and receiver.book == {}


def test_a_refusal_that_names_nobody_is_narrowed_down(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    class Silent(GoogleReceiver):
        def answer(self, request: Any) -> Reply:
            reply = super().answer(request)
            return google_error(400, "INVALID_ARGUMENT", "SOMETHING_NEW") if reply.status == 400 else reply

    with Silent(receiver.tokens) as silent:
        silent.poison.add("order-11")
        outcomes = send(Google(silent.url, receiver.tokens.token_url), sending, *orders(64))
        assert by_result(outcomes) == {"accepted": 63, "dead": 1}
        assert outcomes["msg_11_create"].result == "dead"
        assert len(silent.book) == 63


def test_quota_is_kept_by_waiting(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    with GoogleReceiver(receiver.tokens, per_minute=1) as small:
        told = Google(small.url, receiver.tokens.token_url)
        assert by_result(send(told, sending, order(1))) == {"accepted": 1}
        outcome = send(told, sending, order(2))["msg_2_create"]
        assert (outcome.result, outcome.wait_s, outcome.is_fault) == ("retry", 60, False)
        sending.now += 60
        assert by_result(send(told, sending, order(2))) == {"accepted": 1}


# Restating


def test_a_value_is_restated(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    before = known(google, receiver, sending, order())
    restated = order(kind="restate", before=before, value_minor=2000, made_us=sending.now_us())
    assert by_result(send(google, sending, restated)) == {"accepted": 1}
    event = receiver.requests[-1].json()["events"][0]
    assert event["lastUpdatedTimestamp"] == "2026-09-21T14:43:20.000000+00:00"
    first = receiver.requests[0].json()["events"][0]
    assert event == first | {"conversionValue": 20, "lastUpdatedTimestamp": event["lastUpdatedTimestamp"]}
    [conversion] = receiver.book.values()
    assert (conversion.value, conversion.updates) == (20, 1)
    assert receiver.made_by_restating == receiver.changed_identifiers == []


def test_what_was_rejected_is_worth_nothing(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    before = known(google, receiver, sending, order())
    retract = order(
        kind="retract",
        before=before,
        value_minor=4990,
        currency=None,
        made_us=sending.now_us(),
        state="rejected",
    )
    assert skipped(retract, on_rejection="nothing") == "cannot_retract"
    assert by_result(send(google, sending, retract)) == {"accepted": 1}
    [conversion] = receiver.book.values()
    assert (conversion.value, conversion.currency) == (0, "EUR")


@pytest.mark.parametrize("kind", ["restate", "retract"])
def test_what_cannot_be_restated(kind: str) -> None:
    before = Told("approved", 4990, "EUR")
    cannot = f"cannot_{kind}"
    old = {"occurred_us": NOW_US - 54 * DAY_US - 1, "clicked_us": NOW_US - 55 * DAY_US}
    assert skipped(order(kind=kind, before=before)) is None
    assert skipped(order(kind=kind, before=before, **old)) == cannot
    for source in ("IN_STORE", "PHONE"):
        assert skipped(order(kind=kind, before=before), event_source=source) == cannot
    assert skipped(order(kind="erased", before=before)) == "cannot_retract"


def test_a_restatement_goes_where_the_conversion_is(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    """However the definition changed since: an id or an action that does not match makes a new conversion."""
    before = known(google, receiver, sending, order())
    restated = order(
        kind="restate", before=before, dedup_id="another", value_minor=1, made_us=sending.now_us()
    )
    for elsewhere in ({"conversion_action_id": "5"}, {"account_id": "5"}):
        assert skipped(restated, **elsewhere) == "cannot_restate"
        assert skipped(replace(restated, kind="retract"), **elsewhere) == "cannot_retract"
        outcomes = send(google, sending, restated, destination=google_destination(**elsewhere))
        assert outcomes["msg_1_restate"].result == "dead"
    send(google, sending, restated)
    assert [(key[2], each.value) for key, each in receiver.book.items()] == [("order-1", 0.01)]


def test_a_restatement_has_the_identifiers_of_the_conversion(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    with_click = known(google, receiver, sending, order(1))
    without = known(google, receiver, sending, order(2, click_id=None, click_id_type=None, clicked_us=None))
    sending.now += 53 * DAY_S
    for number, before, click in ((1, with_click, {"gclid": "Cj0KCQ-abc"}), (2, without, None)):
        restated = order(number, "restate", before=before, value_minor=1, made_us=sending.now_us())
        assert by_result(send(google, sending, restated)) == {"accepted": 1}
        assert receiver.requests[-1].json()["events"][0].get("adIdentifiers") == click
    assert receiver.made_by_restating == receiver.changed_identifiers == []


def test_a_later_restatement_is_always_newer(
    google: Google, receiver: GoogleReceiver, sending: Sending
) -> None:
    """Also where the same report decided both: a changed model restates what no report changed."""
    before = known(google, receiver, sending, order())
    for value in (3000, 2000):
        sending.now += 60
        restated = order(kind="restate", before=before, value_minor=value, made_us=sending.now_us())
        send(google, sending, restated)
    [conversion] = receiver.book.values()
    assert (conversion.value, conversion.updates) == (20, 2)


# Tokens


def test_a_token_is_used_until_a_minute_before_its_end(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, sending: Sending
) -> None:
    send(google, sending, order(1))
    sending.now += 3600 - 61
    send(google, sending, order(2))
    assert len(tokens.requests) == 1
    sending.now += 2
    send(google, sending, order(3))
    assert len(tokens.requests) == 2
    assert [each.headers["authorization"] for each in receiver.requests] == [
        *["Bearer ya29.token-1"] * 2,
        "Bearer ya29.token-2",
    ]


def test_many_requests_share_one_token(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, sending: Sending
) -> None:
    async def at_once() -> None:
        each = [google.send(google_destination(), [order(number)], sending) for number in range(8)]
        await asyncio.gather(*each)

    asyncio.run(at_once())
    assert len(tokens.requests) == 1 and len(receiver.requests) == 8


def test_a_service_account_signs_in(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, sending: Sending
) -> None:
    sending.secrets.clear()
    sending.secrets |= tokens.account_secrets
    assert by_result(send(google, sending, order())) == {"accepted": 1}
    assert SCOPE.endswith("/auth/datamanager") and len(receiver.book) == 1


def test_other_secrets_get_another_token(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, sending: Sending
) -> None:
    send(google, sending, order(1))
    sending.secrets["refresh_token"] = "1//wrong"
    outcome = send(google, sending, order(2))["msg_2_create"]
    assert (outcome.result, outcome.code) == ("pause", "invalid_grant")


def test_a_refused_token_is_renewed_once(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, sending: Sending
) -> None:
    send(google, sending, order(1))
    tokens.tokens.clear()
    tokens.tokens["ya29.unused"] = 0
    assert by_result(send(google, sending, order(2))) == {"accepted": 1}
    assert len(tokens.requests) == 2 and len(receiver.requests) == 3
    receiver.fault = google_error(401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED")
    outcome = send(google, sending, order(3))["msg_3_create"]
    assert (outcome.result, outcome.code) == ("pause", "ACCESS_TOKEN_EXPIRED")
    assert len(tokens.requests) == 3 and len(receiver.requests) == 5


@pytest.mark.parametrize(
    ("fault", "result", "code", "is_fault"),
    [
        (
            refused_token("invalid_grant", "Token has been expired or revoked."),
            "pause",
            "invalid_grant",
            False,
        ),
        (
            refused_token("invalid_client", "The OAuth client was deleted.", 401),
            "pause",
            "invalid_client",
            False,
        ),
        (refused_token("unauthorized_client", "x", 403), "pause", "unauthorized_client", False),
        (Reply(503, b"<html>"), "retry", "no_token", True),
        (Reply(200, b"<html>"), "retry", "no_token", True),
        (Reply(200, b'{"expires_in": 3600}'), "retry", "no_token", True),
        (BUSY, "retry", "no_token", False),
        (INSIDE, "retry", "no_token", True),
        (CUT, "retry", "cut", True),
    ],
)
def test_answers_of_the_token_server(
    google: Google,
    receiver: GoogleReceiver,
    tokens: TokenServer,
    sending: Sending,
    fault: Reply,
    result: str,
    code: str,
    is_fault: bool,
) -> None:
    tokens.fault = fault
    outcome = send(google, sending, order())["msg_1_create"]
    assert (outcome.result, outcome.code, outcome.is_fault) == (result, code, is_fault)
    assert receiver.requests == []
    tokens.fault = None
    assert by_result(send(google, sending, order())) == {"accepted": 1}


@pytest.mark.parametrize(
    ("secrets", "code"),
    [
        ({}, "no_credentials"),
        ({"client_id": "a", "client_secret": "b"}, "no_credentials"),
        ({"service_account_json": "{"}, "bad_service_account"),
        ({"service_account_json": "[]"}, "bad_service_account"),
        (
            {"service_account_json": '{"client_email": "a", "private_key": "canary-key"}'},
            "bad_service_account",
        ),
        ({"service_account_json": '{"client_email": "a", "private_key": 7}'}, "bad_service_account"),
    ],
)
def test_without_usable_secrets_it_pauses(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, secrets: dict[str, str], code: str
) -> None:
    outcome = send(google, Sending(secrets), order())["msg_1_create"]
    assert (outcome.result, outcome.code) == ("pause", code)
    assert "canary" not in repr(outcome)
    assert receiver.requests == tokens.requests == []


def test_no_secret_is_shown(
    google: Google, receiver: GoogleReceiver, tokens: TokenServer, sending: Sending
) -> None:
    sending.secrets |= tokens.account_secrets
    send(google, sending, order(1))
    sending.secrets.pop("service_account_json")
    send(google, sending, order(2))
    access = [*tokens.tokens]
    receiver.fault = Reply(503, f"You sent {access[-1]}".encode())
    outcome = send(google, sending, order(3))["msg_3_create"]
    tokens.fault = refused_token("invalid_grant", f"No such token: {tokens.refresh_token}")
    sending.now += 3600
    refused = send(google, sending, order(4))["msg_4_create"]
    shown = "".join(
        repr(message) + message.shown + message.shown_url + str(message.method) for message, _ in sending.sent
    )
    secrets = [*access, *tokens.refresh_secrets.values(), tokens.requests[0].form["assertion"][0]]
    for secret in secrets:
        assert secret not in shown + repr(outcome) + repr(refused) + repr(vars(google))
    assert "***" in outcome.text and "***" in refused.text
    # What asks for a token is logged for no delivery: its answer is one.
    assert [list(ids) for message, ids in sending.sent if message.url == tokens.token_url] == [[]] * 3
    assert all(message.secrets for message, _ in sending.sent)


# Asking


def test_asking_has_no_effect(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    assert isinstance(google, Asking)
    receiver.poison.add("order-2")
    asked = asyncio.run(google.ask(google_destination(), orders(4), sending))
    assert by_result(asked) == {"dead": 1, "delivered": 3}
    assert receiver.book == {} and receiver.taken == {} and receiver.validated == 3


def test_tests_are_validated_only(google: Google, receiver: GoogleReceiver, sending: Sending) -> None:
    outcomes = send(google, sending, order(1), delivery(2, "test", **ANONYMOUS))
    assert (outcomes["msg_1_create"].result, outcomes["msg_2_test"].result) == ("accepted", "delivered")
    assert [key[2] for key in receiver.book] == ["order-1"]
