"""Servers that receive as Google's Data Manager API does, and give access tokens as its token server does.

Written from https://developers.google.com/data-manager/api and the tables of the design.
`GoogleReceiver` fails a request for one bad event and names it, takes the rest without saying what becomes of
it, and shows that after a while, in numbers per reason. `GoogleReceiver.book` is what counts in Google Ads:
one conversion per account, action and transaction id, with the value told last.
"""

import json
import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from receivers import Receiver, Reply, Request

DAY_S = 86_400
SCOPE = "https://www.googleapis.com/auth/datamanager"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

EVENT = {
    "transactionId",
    "eventTimestamp",
    "lastUpdatedTimestamp",
    "eventSource",
    "conversionValue",
    "currency",
    "adIdentifiers",
    "userData",
    "consent",
    "eventDeviceInfo",
    "cartData",
    "customVariables",
    "userProperties",
    "destinationReferences",
    "experimentalFields",
}
SOURCES = {"WEB", "APP", "IN_STORE", "PHONE", "OTHER"}
CONSENTS = {"CONSENT_GRANTED", "CONSENT_DENIED"}
CLICK_IDS = {"gclid", "gbraid", "wbraid"}
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
HASH = re.compile(r"[0-9a-fA-F]{64}")


class TokenServer(Receiver):
    """Google's token server, for one OAuth client and one service account. `now` gives Unix seconds.

    `tokens` are those given, with their end. `revoke()` makes refresh token and key worthless.
    """

    client_id = "client-1.apps.example"
    client_secret = "GOCSPX-client-secret"
    refresh_token = "1//refresh-token"
    account = "sender@project.iam.example"

    def __init__(self, now: Callable[[], float] = time.time, lives_s: int = 3600, **options: Any) -> None:
        self.now, self.lives_s = now, lives_s
        self.tokens: dict[str, float] = {}
        self.is_revoked = False
        self._key = _private_key()
        super().__init__(**options)

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    @property
    def refresh_secrets(self) -> dict[str, str]:
        """What a destination is given that signs in as a person."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }

    @property
    def account_secrets(self) -> dict[str, str]:
        """What a destination is given that signs in as a service account."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key = {
            "type": "service_account",
            "private_key_id": "key-1",
            "private_key": pem.decode(),
            "client_email": self.account,
            "token_uri": "https://elsewhere.example/token",
        }
        return {"service_account_json": json.dumps(key)}

    def is_valid(self, token: str) -> bool:
        return self.tokens.get(token, -math.inf) > self.now()

    def answer(self, request: Request) -> Reply:
        is_form = request.headers.get("content-type") == "application/x-www-form-urlencoded"
        if request.method != "POST" or request.path != "/token" or not is_form:
            return Reply.of(404, {"error": "not_found"})
        form = {name: values[-1] for name, values in request.form.items()}
        grant = form.get("grant_type")
        if grant == "refresh_token":
            if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
                return refused_token("invalid_client", "The OAuth client was not found.", 401)
            if self.is_revoked or form.get("refresh_token") != self.refresh_token:
                return refused_token("invalid_grant", "Token has been expired or revoked.")
        elif grant == JWT_BEARER:
            if (words := self._faults_of(form.get("assertion", ""))) is not None:
                return refused_token("invalid_grant", words)
        else:
            return refused_token("unsupported_grant_type", f"Invalid grant_type: {grant}")
        token = f"ya29.token-{len(self.tokens) + 1}"
        self.tokens[token] = self.now() + self.lives_s
        return Reply.of(200, {"access_token": token, "expires_in": self.lives_s, "token_type": "Bearer"})

    def _faults_of(self, assertion: str) -> str | None:
        options = {"verify_exp": False, "verify_iat": False, "require": ["iss", "scope", "aud", "iat", "exp"]}
        try:
            claims = jwt.decode(
                assertion, self._key.public_key(), ["RS256"], audience=self.token_url, options=options
            )
        except jwt.PyJWTError as error:
            return f"Invalid JWT: {error}"
        if self.is_revoked or claims["iss"] != self.account or claims["scope"] != SCOPE:
            return "Invalid JWT Signature."
        if abs(claims["iat"] - self.now()) > 300 or not 0 < claims["exp"] - claims["iat"] <= 3600:
            return "Invalid JWT: Token must be a short-lived token (60 minutes)."
        return None


@cache
def _private_key() -> rsa.RSAPrivateKey:
    """One for all servers: it takes long to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def refused_token(error: str, words: str, status: int = 400) -> Reply:
    return Reply.of(status, {"error": error, "error_description": words})


class RefusedError(Exception):
    """Why one event, or a whole request, fails at once."""

    def __init__(self, reason: str, place: str, words: str) -> None:
        super().__init__(words)
        self.reason, self.place, self.words = reason, place, words


@dataclass
class Conversion:
    """A conversion of Google Ads. `updates` counts what overwrote it."""

    event: Mapping[str, Any]
    value: float | None
    currency: str | None
    updated: str
    received: float
    updates: int = 0


@dataclass
class Taken:
    """A request that was accepted, its first destination, and what became of its events."""

    at: float
    destination: Mapping[str, Any]
    events: list[Mapping[str, Any]]
    failed: Counter[str] = field(default_factory=Counter)


Key = tuple[str, str, str]
"""Account, conversion action, transaction id."""


class GoogleReceiver(Receiver):
    """Conversion actions by account, for tokens of a token server.

    `poison`: transaction ids that are refused at once, with their place. `invalid`: transaction ids that
    fail later, with the reason. `clicks`: when ads were clicked, Unix seconds, where Google knows it.
    `made_by_restating`: conversions that came about because a restatement met
    none, which never may be. `changed_identifiers`: those restated with another click id. `unsigned`:
    accounts that have not accepted the terms for user data.
    """

    def __init__(
        self,
        tokens: TokenServer,
        actions: Mapping[str, tuple[str, ...]] | None = None,
        *,
        processing_s: float = 1800,
        per_minute: int = 300,
        per_day: int = 100_000,
        names_all: bool = True,
        **options: Any,
    ) -> None:
        self.tokens, self.now = tokens, tokens.now
        self.actions = dict(actions or {"1234567890": ("987654321",)})
        self.processing_s = processing_s
        self.names_all = names_all
        self.book: dict[Key, Conversion] = {}
        self.taken: dict[str, Taken] = {}
        self.made_by_restating: list[Key] = []
        self.changed_identifiers: list[Key] = []
        self.poison: set[str] = set()
        self.invalid: dict[str, str] = {}
        self.clicks: dict[str, float] = {}
        self.unsigned: set[str] = set()
        self.forbidden: set[str] = set()
        self.validated = 0
        self._quota = ((60.0, per_minute), (float(DAY_S), per_day))
        self._asked: deque[float] = deque()
        super().__init__(**options)

    def answer(self, request: Request) -> Reply:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self.tokens.is_valid(token):
            return google_error(401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED")
        if request.path == "/v1/requestStatus:retrieve" and request.method == "GET":
            return self._status(request)
        if request.path != "/v1/events:ingest" or request.method != "POST":
            return google_error(404, "NOT_FOUND", "METHOD_NOT_FOUND")
        if over := self._over_quota():
            return over
        try:
            body = read(request.body)
            return self._ingested(body)
        except RefusedError as refused:
            return google_error(400, "INVALID_ARGUMENT", refused.reason, {refused.place: refused.words})

    def _over_quota(self) -> Reply | None:
        now = self.now()
        while self._asked and self._asked[0] <= now - DAY_S:
            self._asked.popleft()
        for seconds, most in self._quota:
            recent = [at for at in self._asked if at > now - seconds]
            if len(recent) >= most:
                delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo"}
                delay["retryDelay"] = f"{recent[0] + seconds - now:.3f}s"
                return google_error(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", more=(delay,))
        self._asked.append(now)
        return None

    def _ingested(self, body: dict[str, Any]) -> Reply:
        no_other(
            body, {"destinations", "events", "consent", "encoding", "encryptionInfo", "validateOnly"}, ""
        )
        destinations, events = body.get("destinations"), body.get("events")
        need(isinstance(destinations, list) and destinations, "REQUIRED_FIELD_MISSING", "destinations")
        need(len(destinations) <= 10, "TOO_MANY_DESTINATIONS", "destinations")
        need(isinstance(events, list) and events, "REQUIRED_FIELD_MISSING", "events")
        need(len(events) <= 2000, "TOO_MANY_EVENTS", "events")
        targets = []
        for position, destination in enumerate(destinations):
            place = f"destinations[{position}]"
            target = checked_destination(destination, place)
            if target[0] not in self.actions or target[0] in self.forbidden:
                return google_error(403, "PERMISSION_DENIED", "USER_PERMISSION_DENIED")
            is_known = target[1] in self.actions[target[0]]
            need(is_known, "INVALID_CONVERSION_ACTION_ID", f"{place}.product_destination_id")
            targets.append(target)
        if "consent" in body:
            check_consent(body["consent"], "consent")
        has_user_data = any(isinstance(event, dict) and "userData" in event for event in events)
        encoded = body.get("encoding") in ("HEX", "BASE64") if has_user_data else True
        need(encoded, "REQUIRED_FIELD_MISSING", "encoding")
        if has_user_data and self.unsigned & {account for account, _ in targets}:
            reason = "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"
            return google_error(400, "FAILED_PRECONDITION", reason)
        bad: dict[str, str] = {}
        reasons = []
        for position, event in enumerate(events):
            try:
                check_event(event, f"events.events[{position}]")
                is_poison = event["transactionId"] in self.poison
                need(not is_poison, "INVALID_EVENT", f"events.events[{position}]")
            except RefusedError as refused:
                bad[refused.place] = refused.words
                reasons.append(refused.reason)
                if not self.names_all:
                    break
        if bad:
            return google_error(400, "INVALID_ARGUMENT", reasons[0], bad)
        if body.get("validateOnly"):
            self.validated += len(events)
            return Reply.of(200, {})
        request_id = f"request-{len(self.taken) + 1}"
        taken = self.taken[request_id] = Taken(self.now(), destinations[0], events)
        for account, action in targets:
            for event in events:
                if (reason := self._process(account, action, event)) is not None:
                    taken.failed[reason] += 1
        return Reply.of(200, {"requestId": request_id})

    def _process(self, account: str, action: str, event: Mapping[str, Any]) -> str | None:
        """Book an event, or say why it fails later."""
        now, key = self.now(), (account, action, event["transactionId"])
        if reason := self.invalid.get(event["transactionId"]):
            return reason
        if event.get("consent", {}).get("adUserData") == "CONSENT_DENIED":
            return "DENIED_CONSENT"
        updated = event.get("lastUpdatedTimestamp")
        there = self.book.get(key)
        happened = datetime.fromisoformat(event["eventTimestamp"]).timestamp()
        click = next(iter(event.get("adIdentifiers", {}).values()), None)
        clicked = self.clicks.get(str(click))
        if updated is not None:
            is_too_old = happened < now - 54 * DAY_S
        elif click is None:
            is_too_old = happened < now - 63 * DAY_S
        else:
            is_too_old = (happened if clicked is None else clicked) < now - 90 * DAY_S
        if is_too_old:
            return "EVENT_TOO_OLD"
        if clicked is not None and happened < clicked:
            return "INVALID_EVENT"
        value, currency = event.get("conversionValue"), event.get("currency")
        # A conversion is found again only once it was processed.
        is_found = there is not None and there.received <= now - self.processing_s
        if there is not None and updated is None:
            return "DUPLICATE_TRANSACTION_ID"
        if updated is None or not is_found:
            if updated is not None:
                self.made_by_restating.append(key)
                key = (account, action, f"{key[2]} again at {now}")
            self.book[key] = Conversion(
                event, value, currency, updated or event["eventTimestamp"], received=now
            )
        elif there is not None and instant(updated) > instant(there.updated):
            if event.get("adIdentifiers") != there.event.get("adIdentifiers"):
                self.changed_identifiers.append(key)
            there.value, there.currency, there.updated = value, currency, updated
            there.event = {**event, **({"userData": u} if (u := there.event.get("userData")) else {})}
            there.updates += 1
        return None

    def _status(self, request: Request) -> Reply:
        taken = self.taken.get(request.query.get("requestId", ""))
        if taken is None:
            return google_error(404, "NOT_FOUND", "REQUEST_ID_NOT_FOUND")
        count, failed = len(taken.events), sum(taken.failed.values())
        status: dict[str, Any] = {
            "destination": taken.destination,
            "eventsIngestionStatus": {"recordCount": str(count)},
        }
        if self.now() < taken.at + self.processing_s:
            status["requestStatus"] = "PROCESSING"
        elif not failed:
            status["requestStatus"] = "SUCCESS"
        else:
            status["requestStatus"] = "FAILED" if failed == count else "PARTIAL_SUCCESS"
            status["errorInfo"] = {
                "errorCounts": [
                    {"recordCount": str(number), "reason": f"PROCESSING_ERROR_REASON_{reason}"}
                    for reason, number in sorted(taken.failed.items())
                ]
            }
        return Reply.of(200, {"requestStatusPerDestination": [status]})


def google_error(
    status: int,
    word: str,
    reason: str,
    violations: Mapping[str, str] | None = None,
    more: tuple[Mapping[str, Any], ...] = (),
    **headers: str,
) -> Reply:
    """An error as Google's APIs answer it; also for `faults`."""
    kind = "type.googleapis.com/google.rpc."
    details: list[Mapping[str, Any]] = [
        {"@type": f"{kind}ErrorInfo", "reason": reason, "domain": "datamanager.googleapis.com"},
        {"@type": f"{kind}RequestInfo", "requestId": "error-request-1"},
        *more,
    ]
    if violations:
        fields = [{"field": place, "description": words} for place, words in violations.items()]
        details.append({"@type": f"{kind}BadRequest", "fieldViolations": fields})
    error = {"code": status, "message": "There was a problem.", "status": word, "details": details}
    return Reply.of(status, {"error": error}, **headers)


def instant(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)


def read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=lambda word: None)
    except ValueError:
        raise RefusedError("INVALID_JSON", "", "Invalid JSON payload received.") from None
    need(isinstance(found, dict), "INVALID_JSON", "")
    return found  # type: ignore[no-any-return]


def checked_destination(given: Any, place: str) -> tuple[str, str]:
    """Account and conversion action. Raises RefusedError."""
    need(isinstance(given, dict), "REQUIRED_FIELD_MISSING", place)
    accounts = ("operatingAccount", "loginAccount", "linkedAccount")
    no_other(given, {"reference", "productDestinationId", *accounts}, place)
    for name in accounts:
        if name in given or name == "operatingAccount":
            account = given.get(name)
            at = f"{place}.{name}"
            need(isinstance(account, dict), "REQUIRED_FIELD_MISSING", at)
            no_other(account, {"accountType", "accountId"}, at)
            need(account.get("accountType") == "GOOGLE_ADS", "INVALID_ACCOUNT_TYPE", at)
            need(is_like(account.get("accountId"), r"[0-9]{1,20}"), "INVALID_ACCOUNT_ID", at)
    action = given.get("productDestinationId")
    need(is_like(action, r"[0-9]{1,20}"), "INVALID_CONVERSION_ACTION_ID", f"{place}.product_destination_id")
    return given["operatingAccount"]["accountId"], action


def check_event(event: Any, place: str) -> None:
    """Raises RefusedError for what Google refuses at once."""
    need(isinstance(event, dict), "REQUIRED_FIELD_MISSING", place)
    no_other(event, EVENT, place)
    transaction = event.get("transactionId")
    need(is_like(transaction, r"(?s).*\S.*"), "REQUIRED_FIELD_MISSING", f"{place}.transaction_id")
    need(len(transaction) <= 64, "FIELD_VALUE_TOO_LONG", f"{place}.transaction_id")
    need("@" not in transaction, "INVALID_FORMAT", f"{place}.transaction_id")
    for name in ("eventTimestamp", "lastUpdatedTimestamp"):
        if name in event or name == "eventTimestamp":
            is_time = is_like(event.get(name), TIMESTAMP.pattern)
            need(
                is_time,
                "REQUIRED_FIELD_MISSING" if name not in event else "INVALID_FORMAT",
                f"{place}.{name}",
            )
    need(event.get("eventSource") in SOURCES, "REQUIRED_FIELD_MISSING", f"{place}.event_source")
    if "conversionValue" in event:
        value = event["conversionValue"]
        is_number = type(value) in (int, float) and math.isfinite(value) and value >= 0
        need(is_number, "INVALID_FORMAT", f"{place}.conversion_value")
        need("currency" in event or value == 0, "REQUIRED_FIELD_MISSING", f"{place}.currency")
    if "currency" in event:
        need(is_like(event["currency"], r"[A-Z]{3}"), "INVALID_CURRENCY_CODE", f"{place}.currency")
    if "consent" in event:
        check_consent(event["consent"], f"{place}.consent")
    if "eventDeviceInfo" in event:
        check_device(event["eventDeviceInfo"], f"{place}.event_device_info")
    has_click = "adIdentifiers" in event and check_click(event["adIdentifiers"], f"{place}.ad_identifiers")
    if "userData" in event:
        check_user(event["userData"], f"{place}.user_data")
    need(has_click or "userData" in event, "NO_IDENTIFIERS_PROVIDED", place)


def check_click(given: Any, place: str) -> bool:
    need(isinstance(given, dict), "INVALID_FORMAT", place)
    no_other(given, {*CLICK_IDS, "sessionAttributes", "landingPageDeviceInfo"}, place)
    clicks = given.keys() & CLICK_IDS
    need(len(clicks) <= 1, "MULTIPLE_CLICK_IDS", place)
    for name in clicks:
        need(is_like(given[name], r"\S+"), f"INVALID_{name.upper()}", f"{place}.{name}")
    if "landingPageDeviceInfo" in given:
        check_device(given["landingPageDeviceInfo"], f"{place}.landing_page_device_info")
    return bool(clicks)


def check_device(given: Any, place: str) -> None:
    need(isinstance(given, dict) and given, "INVALID_FORMAT", place)
    no_other(given, {"userAgent", "ipAddress"}, place)
    need(all(isinstance(value, str) and value for value in given.values()), "INVALID_FORMAT", place)


def check_user(given: Any, place: str) -> None:
    identifiers = given.get("userIdentifiers") if isinstance(given, dict) else None
    need(isinstance(identifiers, list) and identifiers, "REQUIRED_FIELD_MISSING", place)
    need(len(identifiers) <= 10, "TOO_MANY_USER_IDENTIFIERS", place)
    for position, identifier in enumerate(identifiers):
        at = f"{place}.user_identifiers[{position}]"
        need(isinstance(identifier, dict) and len(identifier) == 1, "INVALID_FORMAT", at)
        no_other(identifier, {"emailAddress", "phoneNumber", "address"}, at)
        for name in ("emailAddress", "phoneNumber"):
            if name in identifier:
                check_hash(identifier[name], f"{at}.{name}")
        if "address" in identifier:
            check_address(identifier["address"], f"{at}.address")


def check_address(given: Any, place: str) -> None:
    need(isinstance(given, dict), "INVALID_FORMAT", place)
    parts = {"givenName", "familyName", "regionCode", "postalCode"}
    no_other(given, parts, place)
    need(given.keys() == parts, "REQUIRED_FIELD_MISSING", place)
    check_hash(given["givenName"], f"{place}.given_name")
    check_hash(given["familyName"], f"{place}.family_name")
    need(is_like(given["regionCode"], r"[A-Z]{2}"), "INVALID_FORMAT", f"{place}.region_code")
    need(is_like(given["postalCode"], r".*\S.*"), "REQUIRED_FIELD_MISSING", f"{place}.postal_code")


def check_hash(given: Any, place: str) -> None:
    need(is_like(given, r"[0-9a-fA-F]+"), "INVALID_HEX_ENCODING", place)
    need(len(given) == 64, "INVALID_SHA256_FORMAT", place)


def check_consent(given: Any, place: str) -> None:
    need(isinstance(given, dict) and given, "INVALID_FORMAT", place)
    no_other(given, {"adUserData", "adPersonalization"}, place)
    need(set(given.values()) <= CONSENTS, "INVALID_FORMAT", place)


def need(condition: object, reason: str, place: str) -> None:
    if not condition:
        raise RefusedError(reason, place, f"{reason} at {place or 'the request'}")


def no_other(given: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(given.keys() - known):
        words = f'Invalid JSON payload received. Unknown name "{unknown[0]}"'
        raise RefusedError("INVALID_JSON", place, words)


def is_like(given: Any, pattern: str) -> bool:
    return isinstance(given, str) and re.fullmatch(pattern, given) is not None
