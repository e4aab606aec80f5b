"""The receivers of our tests refuse what Google's Data Manager API and its token server refuse."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google_receiver import DAY_S, SCOPE, GoogleReceiver, TokenServer
from sample_conversions import HTTP, NOW_S, hashed


class Clock:
    now: float = NOW_S

    def __call__(self) -> float:
        return self.now


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


EVENT: dict[str, Any] = {
    "transactionId": "order-1",
    "eventTimestamp": stamp(NOW_S - 60),
    "eventSource": "WEB",
    "conversionValue": 49.9,
    "currency": "EUR",
    "adIdentifiers": {"gclid": "Cj0KCQ-abc"},
    "userData": {
        "userIdentifiers": [
            {"emailAddress": hashed("jane@shop.example")},
            {"phoneNumber": hashed("+4930123456")},
            {
                "address": {
                    "givenName": hashed("jane"),
                    "familyName": hashed("doe"),
                    "regionCode": "DE",
                    "postalCode": "10115",
                }
            },
        ]
    },
    "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
    "eventDeviceInfo": {"userAgent": "Firefox"},
}
DESTINATION: dict[str, Any] = {
    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
    "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "111"},
    "productDestinationId": "987654321",
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Iterator[TokenServer]:
    with TokenServer(now=clock) as server:
        yield server


@pytest.fixture
def google(tokens: TokenServer) -> Iterator[GoogleReceiver]:
    with GoogleReceiver(tokens) as receiver:
        yield receiver


def token(tokens: TokenServer) -> str:
    form = {"grant_type": "refresh_token", **tokens.refresh_secrets}
    answer = HTTP.post(tokens.token_url, data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def post(google: GoogleReceiver, *events: Any, **more: Any) -> httpx.Response:
    body = {"destinations": [DESTINATION], "events": events, "encoding": "HEX"} | more
    body = {name: value for name, value in body.items() if value is not None}
    return HTTP.post(f"{google.url}/v1/events:ingest", json=body, headers=signed_in(google))


def signed_in(google: GoogleReceiver) -> dict[str, str]:
    return {"authorization": f"Bearer {token(google.tokens)}"}


def status(google: GoogleReceiver, request_id: str) -> Any:
    answer = HTTP.get(
        f"{google.url}/v1/requestStatus:retrieve?requestId={request_id}", headers=signed_in(google)
    )
    return answer.json()["requestStatusPerDestination"][0] if answer.status_code == 200 else answer.json()


def reason(answer: httpx.Response) -> str:
    details = answer.json()["error"]["details"]
    return next(str(each["reason"]) for each in details if each["@type"].endswith("ErrorInfo"))


def places(answer: httpx.Response) -> list[str]:
    details = answer.json()["error"]["details"]
    found = [each["fieldViolations"] for each in details if each["@type"].endswith("BadRequest")]
    return [each["field"] for violations in found for each in violations]


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    event = deepcopy(EVENT)
    change(event)
    return event


def user(event: dict[str, Any], *identifiers: Any) -> None:
    event["userData"]["userIdentifiers"] = list(identifiers)


def test_what_is_as_google_wants_it_is_taken(google: GoogleReceiver) -> None:
    answer = post(google, EVENT)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"requestId": "request-1"}
    [(key, conversion)] = google.book.items()
    assert key == ("1234567890", "987654321", "order-1")
    assert (conversion.value, conversion.currency) == (49.9, "EUR")


REFUSED: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "no transactionId": ("REQUIRED_FIELD_MISSING", lambda event: event.pop("transactionId")),
    "65 characters of transactionId": (
        "FIELD_VALUE_TOO_LONG",
        lambda event: event.update(transactionId="x" * 65),
    ),
    "an address as transactionId": (
        "INVALID_FORMAT",
        lambda event: event.update(transactionId="jane@x.example"),
    ),
    "no eventTimestamp": ("REQUIRED_FIELD_MISSING", lambda event: event.pop("eventTimestamp")),
    "eventTimestamp without offset": (
        "INVALID_FORMAT",
        lambda event: event.update(eventTimestamp="2026-01-01T10:00:00"),
    ),
    "eventTimestamp in seconds": ("INVALID_FORMAT", lambda event: event.update(eventTimestamp=NOW_S)),
    "lastUpdatedTimestamp without offset": (
        "INVALID_FORMAT",
        lambda event: event.update(lastUpdatedTimestamp="2026-01-01"),
    ),
    "no eventSource": ("REQUIRED_FIELD_MISSING", lambda event: event.pop("eventSource")),
    "unknown eventSource": ("REQUIRED_FIELD_MISSING", lambda event: event.update(eventSource="WEBSITE")),
    "value as text": ("INVALID_FORMAT", lambda event: event.update(conversionValue="49.90")),
    "negative value": ("INVALID_FORMAT", lambda event: event.update(conversionValue=-1)),
    "value without currency": ("REQUIRED_FIELD_MISSING", lambda event: event.pop("currency")),
    "currency in words": ("INVALID_CURRENCY_CODE", lambda event: event.update(currency="euro")),
    "two click ids": ("MULTIPLE_CLICK_IDS", lambda event: event["adIdentifiers"].update(gbraid="x")),
    "empty gclid": ("INVALID_GCLID", lambda event: event["adIdentifiers"].update(gclid="")),
    "unknown click id": ("INVALID_JSON", lambda event: event["adIdentifiers"].update(fbclid="x")),
    "nobody": (
        "NO_IDENTIFIERS_PROVIDED",
        lambda event: [event.pop("userData"), event.pop("adIdentifiers")],
    ),
    "a device only": (
        "NO_IDENTIFIERS_PROVIDED",
        lambda event: [
            event.pop("userData"),
            event.update(adIdentifiers={"landingPageDeviceInfo": {"userAgent": "Firefox"}}),
        ],
    ),
    "no identifier": ("REQUIRED_FIELD_MISSING", user),
    "eleven identifiers": (
        "TOO_MANY_USER_IDENTIFIERS",
        lambda event: user(event, *[{"emailAddress": hashed(str(number))} for number in range(11)]),
    ),
    "two in one identifier": (
        "INVALID_FORMAT",
        lambda event: user(event, {"emailAddress": hashed("a"), "phoneNumber": hashed("b")}),
    ),
    "plain e-mail address": (
        "INVALID_HEX_ENCODING",
        lambda event: user(event, {"emailAddress": "jane@shop.example"}),
    ),
    "plain phone number": ("INVALID_SHA256_FORMAT", lambda event: user(event, {"phoneNumber": "4930123456"})),
    "an MD5": ("INVALID_SHA256_FORMAT", lambda event: user(event, {"emailAddress": hashed("a")[:32]})),
    "address without family name": (
        "REQUIRED_FIELD_MISSING",
        lambda event: event["userData"]["userIdentifiers"][2]["address"].pop("familyName"),
    ),
    "address without postal code": (
        "REQUIRED_FIELD_MISSING",
        lambda event: event["userData"]["userIdentifiers"][2]["address"].pop("postalCode"),
    ),
    "plain name": (
        "INVALID_HEX_ENCODING",
        lambda event: event["userData"]["userIdentifiers"][2]["address"].update(givenName="jane"),
    ),
    "country in words": (
        "INVALID_FORMAT",
        lambda event: event["userData"]["userIdentifiers"][2]["address"].update(regionCode="Germany"),
    ),
    "unknown consent": ("INVALID_FORMAT", lambda event: event["consent"].update(adUserData="granted")),
    "device without anything": ("INVALID_FORMAT", lambda event: event.update(eventDeviceInfo={})),
    "unknown member": ("INVALID_JSON", lambda event: event.update(orderId="order-1")),
}


@pytest.mark.parametrize(("expected", "change"), REFUSED.values(), ids=REFUSED.keys())
def test_one_bad_event_fails_the_whole_request_and_is_named(
    google: GoogleReceiver, expected: str, change: Callable[[dict[str, Any]], object]
) -> None:
    answer = post(google, EVENT, changed(change), EVENT)
    assert answer.status_code == 400 and answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert reason(answer) == expected
    assert [place.partition(".user_data")[0][:16] for place in places(answer)] == ["events.events[1]"]
    assert google.book == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.pop("adIdentifiers"),
        lambda event: event.pop("userData"),
        lambda event: [event.pop("conversionValue"), event.pop("currency")],
        lambda event: event.update(
            adIdentifiers={"wbraid": "x", "landingPageDeviceInfo": {"userAgent": "F"}}
        ),
        lambda event: event.update(eventTimestamp="2026-09-20T10:00:00.123456789+02:00"),
        lambda event: event.update(transactionId="x" * 64),
    ],
)
def test_what_is_allowed_beside_is_taken(
    google: GoogleReceiver, change: Callable[[dict[str, Any]], object]
) -> None:
    assert post(google, changed(change)).status_code == 200


def other(**members: Any) -> dict[str, Any]:
    return {"destinations": [DESTINATION | members]}


@pytest.mark.parametrize(
    ("more", "expected", "code"),
    [
        ({"destinations": []}, "REQUIRED_FIELD_MISSING", 400),
        ({"destinations": [DESTINATION] * 11}, "TOO_MANY_DESTINATIONS", 400),
        (other(operatingAccount=None), "REQUIRED_FIELD_MISSING", 400),
        (other(operatingAccount={"accountId": "1234567890"}), "INVALID_ACCOUNT_TYPE", 400),
        (
            other(operatingAccount={"accountType": "GOOGLE_ADS", "accountId": "123-456-7890"}),
            "INVALID_ACCOUNT_ID",
            400,
        ),
        (
            other(operatingAccount={"accountType": "GOOGLE_ADS", "accountId": "7"}),
            "USER_PERMISSION_DENIED",
            403,
        ),
        (other(productDestinationId="7"), "INVALID_CONVERSION_ACTION_ID", 400),
        (other(conversionActionId="7"), "INVALID_JSON", 400),
        ({"events": []}, "REQUIRED_FIELD_MISSING", 400),
        ({"events": [EVENT] * 2001}, "TOO_MANY_EVENTS", 400),
        ({"encoding": None}, "REQUIRED_FIELD_MISSING", 400),
        ({"consent": {"adUserData": "yes"}}, "INVALID_FORMAT", 400),
        ({"dryRun": True}, "INVALID_JSON", 400),
    ],
)
def test_whole_requests_are_refused(
    google: GoogleReceiver, more: dict[str, Any], expected: str, code: int
) -> None:
    answer = post(google, EVENT, **more)
    assert (answer.status_code, reason(answer)) == (code, expected)
    assert google.book == {}


def test_terms_that_nobody_signed_refuse_user_data(google: GoogleReceiver) -> None:
    google.unsigned.add("1234567890")
    assert reason(post(google, EVENT)).endswith("TERMS_NOT_SIGNED")
    assert post(google, changed(lambda event: event.pop("userData"))).status_code == 200


def test_access_tokens_are_asked_for_and_end(google: GoogleReceiver, clock: Clock) -> None:
    url = f"{google.url}/v1/events:ingest"
    for headers in ({}, {"authorization": "Bearer x"}):
        assert HTTP.post(url, json={}, headers=headers).status_code == 401
    headers = signed_in(google)
    clock.now += 3600
    answer = HTTP.post(url, json={}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_validating_books_nothing(google: GoogleReceiver) -> None:
    assert post(google, EVENT, validateOnly=True).json() == {}
    assert google.book == {} and google.taken == {} and google.validated == 1
    assert post(google, changed(lambda event: event.pop("currency")), validateOnly=True).status_code == 400


def test_what_became_of_a_request_is_known_later_and_in_numbers(google: GoogleReceiver, clock: Clock) -> None:
    google.invalid["order-2"] = "INVALID_GCLID"
    post(google, EVENT, EVENT | {"transactionId": "order-2"}, EVENT | {"transactionId": "order-3"})
    assert status(google, "request-1")["requestStatus"] == "PROCESSING"
    clock.now += 1800
    assert status(google, "request-1") == {
        "destination": DESTINATION,
        "requestStatus": "PARTIAL_SUCCESS",
        "eventsIngestionStatus": {"recordCount": "3"},
        "errorInfo": {
            "errorCounts": [{"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_INVALID_GCLID"}]
        },
    }
    assert status(google, "request-9")["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda event: event["consent"].update(adUserData="CONSENT_DENIED"),
            "PROCESSING_ERROR_REASON_DENIED_CONSENT",
        ),
        (
            lambda event: event.update(eventTimestamp=stamp(NOW_S - 91 * DAY_S)),
            "PROCESSING_ERROR_REASON_EVENT_TOO_OLD",
        ),
        (
            lambda event: event.update(adIdentifiers={"gclid": "old"}),
            "PROCESSING_ERROR_REASON_EVENT_TOO_OLD",
        ),
        (
            lambda event: event.update(adIdentifiers={"gclid": "late"}),
            "PROCESSING_ERROR_REASON_INVALID_EVENT",
        ),
        (
            lambda event: [
                event.pop("adIdentifiers"),
                event.update(eventTimestamp=stamp(NOW_S - 64 * DAY_S)),
            ],
            "PROCESSING_ERROR_REASON_EVENT_TOO_OLD",
        ),
        (
            lambda event: event.update(
                eventTimestamp=stamp(NOW_S - 55 * DAY_S), lastUpdatedTimestamp=stamp(NOW_S)
            ),
            "PROCESSING_ERROR_REASON_EVENT_TOO_OLD",
        ),
    ],
)
def test_what_fails_later(
    google: GoogleReceiver, clock: Clock, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    google.clicks = {"old": NOW_S - 91 * DAY_S, "late": NOW_S - 30}
    assert post(google, changed(change)).status_code == 200
    clock.now += 1800
    found = status(google, "request-1")
    assert found["requestStatus"] == "FAILED"
    assert [each["reason"] for each in found["errorInfo"]["errorCounts"]] == [expected]
    assert google.book == {}


def test_the_same_transaction_id_overwrites_or_is_a_double(google: GoogleReceiver, clock: Clock) -> None:
    post(google, EVENT)
    clock.now += 1800
    post(google, EVENT)
    clock.now += 1800
    assert status(google, "request-2")["errorInfo"]["errorCounts"][0]["reason"].endswith(
        "DUPLICATE_TRANSACTION_ID"
    )
    post(google, EVENT | {"conversionValue": 10, "lastUpdatedTimestamp": stamp(clock.now)})
    [conversion] = google.book.values()
    assert (conversion.value, conversion.updates) == (10, 1)
    older = EVENT | {"conversionValue": 99, "lastUpdatedTimestamp": stamp(clock.now - 1)}
    post(google, older)
    assert (conversion.value, conversion.updates) == (10, 1)


def test_user_data_is_added_only_where_there_was_none(google: GoogleReceiver, clock: Clock) -> None:
    post(google, EVENT, changed(lambda event: [event.pop("userData"), event.update(transactionId="order-2")]))
    clock.now += 1800
    for transaction in ("order-1", "order-2"):
        new = {"userIdentifiers": [{"emailAddress": hashed("new")}]}
        post(
            google,
            EVENT | {"transactionId": transaction, "userData": new, "lastUpdatedTimestamp": stamp(clock.now)},
        )
    first, second = google.book.values()
    assert first.event["userData"] == EVENT["userData"]
    assert second.event["userData"] == {"userIdentifiers": [{"emailAddress": hashed("new")}]}


def test_a_restatement_that_meets_nothing_makes_a_new_conversion(
    google: GoogleReceiver, clock: Clock
) -> None:
    restated = EVENT | {"conversionValue": 10, "lastUpdatedTimestamp": stamp(NOW_S)}
    post(google, restated | {"transactionId": "order-2"})
    post(google, EVENT)
    # Accepted is not processed yet.
    post(google, restated)
    assert len(google.book) == 3
    assert [key[2] for key in google.made_by_restating] == ["order-2", "order-1"]


def test_quota(google: GoogleReceiver, tokens: TokenServer, clock: Clock) -> None:
    with GoogleReceiver(tokens, per_minute=2, per_day=3) as small:
        assert [post(small, EVENT).status_code for _ in range(3)] == [200, 200, 429]
        refused = post(small, EVENT)
        assert refused.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
        delays = [each.get("retryDelay") for each in refused.json()["error"]["details"]]
        assert "60.000s" in delays
        clock.now += 60
        assert [post(small, EVENT).status_code for _ in range(2)] == [200, 429]


def test_only_the_first_bad_event_may_be_named(google: GoogleReceiver) -> None:
    google.poison |= {"order-1"}
    assert places(post(google, EVENT, EVENT)) == ["events.events[0]", "events.events[1]"]
    google.names_all = False
    assert places(post(google, EVENT, EVENT)) == ["events.events[0]"]


def ask(tokens: TokenServer, **form: str) -> tuple[int, str]:
    answer = HTTP.post(tokens.token_url, data=form)
    return answer.status_code, answer.json().get("error", "")


def test_tokens_for_a_refresh_token(tokens: TokenServer) -> None:
    form = {"grant_type": "refresh_token", **tokens.refresh_secrets}
    assert ask(tokens, **form) == (200, "")
    assert ask(tokens, **form | {"client_secret": "x"}) == (401, "invalid_client")
    assert ask(tokens, **form | {"refresh_token": "x"}) == (400, "invalid_grant")
    assert ask(tokens, **form | {"grant_type": "password"}) == (400, "unsupported_grant_type")
    assert HTTP.post(tokens.token_url, json=form).status_code == 404
    tokens.is_revoked = True
    assert ask(tokens, **form) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("claims", "is_taken"),
    [
        ({}, True),
        ({"aud": "https://oauth2.example/token"}, False),
        ({"scope": "https://www.googleapis.com/auth/adwords"}, False),
        ({"iss": "somebody@project.iam.example"}, False),
        ({"exp": NOW_S + 3601}, False),
        ({"iat": NOW_S - 3600, "exp": NOW_S}, False),
    ],
)
def test_tokens_for_a_service_account(tokens: TokenServer, claims: dict[str, Any], is_taken: bool) -> None:
    key = json.loads(tokens.account_secrets["service_account_json"])
    said = {"iss": key["client_email"], "scope": SCOPE, "aud": tokens.token_url}
    said |= {"iat": NOW_S, "exp": NOW_S + 3600} | claims
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    signed = jwt.encode(said, key["private_key"], "RS256")
    assert ask(tokens, grant_type=grant, assertion=signed)[0] == (200 if is_taken else 400)
    signed = jwt.encode(said, rsa.generate_private_key(65537, 2048), "RS256")
    assert ask(tokens, grant_type=grant, assertion=signed) == (400, "invalid_grant")
