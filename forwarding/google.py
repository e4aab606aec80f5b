"""Google Ads through the Data Manager API: what a destination of kind `google` is told.

https://developers.google.com/data-manager/api/reference/rest/v1/events/ingest
https://developers.google.com/data-manager/api/reference/rest/v1/requestStatus/retrieve
https://developers.google.com/identity/protocols/oauth2/service-account#httprest

| theirs | ours |
|---|---|
| transactionId | `dedup_id`; our conversion id's hash where that has more than 64 characters or an `@` |
| eventTimestamp | when it happened, not before the click |
| lastUpdatedTimestamp | of a restatement: when it was planned, so that a later one is always newer |
| conversionValue, currency | net or gross amount; 0 of what was taken back |
| adIdentifiers | one click id, of a click within 90 days |
| userData | e-mail addresses, phone numbers and an address, hashed by the models, ten at most |
| consent | granted; denied is not sent at all, unknown is not said |

An answer means only that a request was taken. What became of it is asked later, and told in numbers per
reason, not per event. The same transaction id once more overwrites the value, and one that Google does not
know makes a new conversion: so nothing is restated for another account or action than it was told to.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, zip_longest
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm

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
    hashes,
    members,
    sha256,
    text,
    whole,
    with_facts,
)
from forwarding.narrowing import Said, send_narrowing

SCOPE: Final = "https://www.googleapis.com/auth/datamanager"
SECRETS = ("client_id", "client_secret", "refresh_token", "service_account_json")

MOST_IDENTIFIERS: Final = 10
MOST_TRANSACTION_ID: Final = 64
OLDEST_CLICK_US: Final = 90 * DAY_US
OLDEST_ADJUSTED_US: Final = 54 * DAY_US
DAYS_WITHOUT_CLICK: Final = 63
RENEWED_BEFORE_US: Final = 60_000_000

CLICK_IDS = frozenset({"gclid", "gbraid", "wbraid"})
UNADJUSTABLE_SOURCES = frozenset({"IN_STORE", "PHONE"})

_NAMED_EVENT = re.compile(r"(?:^|\.)events\[([0-9]+)\]")
_REASON_TO_PAUSE = re.compile(
    r"DESTINATION_ACCOUNT_|OPERATING_ACCOUNT_(?!MISMATCH_FOR_AD)|LOGIN_ACCOUNT_|LINKED_ACCOUNT_|"
    r"INVALID_CONVERSION_ACTION|NOT_ALLOWLISTED|PERMISSION_|SERVICE_DISABLED"
)
"""What is wrong with accounts and settings, and with no event: it waits until somebody mends them."""
_THERE_ALREADY = "DUPLICATE_TRANSACTION_ID"
_OAUTH_ERROR = re.compile(r"[a-z_]{1,40}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _NoTokenError(Exception):
    """There is no access token: what becomes of deliveries until there is one."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until_us: int


@dataclass(frozen=True, slots=True)
class _KnownAs:
    """Under which account, conversion action and id Google has a conversion, and whether with a click id."""

    account_id: str
    action_id: str
    transaction_id: str
    has_click: bool

    @classmethod
    def of(cls, delivery: Delivery) -> "_KnownAs | None":
        if delivery.before is None or delivery.before.known_as is None:
            return None
        try:
            found = orjson.loads(delivery.before.known_as)
        except ValueError:
            return None
        return cls(*found) if isinstance(found, list) and len(found) == 4 else None

    def __str__(self) -> str:
        return orjson.dumps([self.account_id, self.action_id, self.transaction_id, self.has_click]).decode()


class Google:
    """Conversions as events of the Data Manager API.

    `url`: https://datamanager.googleapis.com, `token_url`: https://oauth2.googleapis.com/token, or others of
    that shape. Access tokens are kept in memory only.
    """

    most_at_once = 1000
    gather_s = 60.0
    schedule_s: Sequence[float] = RETRY_SCHEDULE_S
    check_after_s: Sequence[float] = (1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400)

    def __init__(self, url: str, token_url: str) -> None:
        self._url = url.rstrip("/")
        self._token_url = token_url
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def skip_reason(self, destination: Destination, delivery: Delivery, now_us: int) -> str | None:
        """Why this cannot be told."""
        delivery = _identified(delivery)
        body, facts = destination.body, delivery.facts
        occurred_us = whole(facts, "occurred_us")
        if facts.get("consent_ads") == "denied":
            return "consent_denied"
        if _is_adjustment(delivery):
            if not _is_adjustable(body, delivery, now_us):
                return "cannot_restate" if delivery.kind == "restate" else "cannot_retract"
        elif delivery.kind == "erased":
            return "cannot_retract"
        if occurred_us is None:
            return "too_old"
        value, money = _value(delivery)
        if value is not None and value < 0:
            return "negative_value"
        if value and money is None:
            return "no_currency"
        if _click(delivery, now_us):
            return None
        if not _identifiers(body, facts):
            if _click_of(facts):
                return "too_old"
            return "no_click_id" if body.get("send_user_data") is False else "no_identifier"
        if not _is_adjustment(delivery) and now_us - occurred_us > _without_click_us(body):
            return "too_old"
        return None

    def expires_us(self, destination: Destination, delivery: Delivery) -> int | None:
        """When its click and what is known of the person are both too old; adjustments have less time."""
        occurred_us = whole(delivery.facts, "occurred_us")
        if occurred_us is None:
            return None
        if _is_adjustment(delivery):
            return occurred_us + OLDEST_ADJUSTED_US
        times = []
        if _click_of(delivery.facts):
            times.append(_clicked_us(delivery.facts) + OLDEST_CLICK_US)
        if _identifiers(destination.body, delivery.facts):
            times.append(occurred_us + _without_click_us(destination.body))
        return max(times, default=None)

    def render(self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange) -> Message:
        """One request with all of these events, without the access token, which sending gets first."""
        is_test = all(each.kind == "test" for each in deliveries)
        return self._ingest(destination, deliveries, exchange.now_us(), is_test)

    async def send(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Tell them; events that Google names are taken out, and the rest is sent again."""
        tests = [each for each in deliveries if each.kind == "test"]
        others = [each for each in deliveries if each.kind != "test"]
        outcomes = await self._send(destination, others, exchange, validate_only=False)
        return outcomes | await self._send(destination, tests, exchange, validate_only=True)

    async def ask(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Have them judged with `validateOnly`."""
        return await self._send(destination, deliveries, exchange, validate_only=True)

    async def check(
        self,
        destination: Destination,  # noqa: ARG002 (a request's id says where it went)
        remote_id: str,
        deliveries: Sequence[Delivery],
        exchange: Exchange,
    ) -> Mapping[str, Outcome] | None:
        """What became of an accepted request; None while Google works on it, or cannot be asked."""
        url = f"{self._url}/v1/requestStatus:retrieve?requestId={quote(remote_id, safe='')}"
        question = Message("GET", url, {}, b"", url, "")
        try:
            answer, secrets = await self._exchanged(question, deliveries, exchange)
        except (_NoTokenError, UndeliveredError):
            return None
        found = json_object(answer)
        if answer.status != 200 or found is None:
            return None
        listed = found.get("requestStatusPerDestination")
        status = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        outcomes = {each.delivery_id: _became(status, each, remote_id, secrets) for each in deliveries}
        known = {delivery_id: outcome for delivery_id, outcome in outcomes.items() if outcome is not None}
        return known if len(known) == len(outcomes) else None

    async def _send(
        self,
        destination: Destination,
        deliveries: Sequence[Delivery],
        exchange: Exchange,
        *,
        validate_only: bool,
    ) -> dict[str, Outcome]:
        now_us = exchange.now_us()
        reasons = {each.delivery_id: self.skip_reason(destination, each, now_us) for each in deliveries}
        told = [each for each in deliveries if reasons[each.delivery_id] is None]

        async def tell(some: Sequence[Delivery]) -> Said:
            message = self._ingest(destination, some, now_us, validate_only)
            try:
                answer, secrets = await self._exchanged(message, some, exchange)
            except _NoTokenError as error:
                return Said(error.outcome)
            except UndeliveredError as error:
                return Said(undelivered(error, ()))
            return _judge(answer, some, secrets, exchange.now_us(), validate_only)

        outcomes = {
            delivery_id: Outcome("dead", reason)
            for delivery_id, reason in reasons.items()
            if reason is not None
        }
        outcomes |= await send_narrowing(told, tell)
        for each in told:
            outcome = outcomes[each.delivery_id]
            if outcome.result == "accepted":
                known_as = str(_known_as(destination.body, each, now_us))
                outcomes[each.delivery_id] = replace(outcome, known_as=known_as)
        return outcomes

    def _ingest(
        self, destination: Destination, deliveries: Sequence[Delivery], now_us: int, validate_only: bool
    ) -> Message:
        body = destination.body
        request: dict[str, Any] = {
            "destinations": [_destination(body)],
            "events": [_event(body, _identified(each), now_us) for each in deliveries],
            "encoding": "HEX",
        }
        if validate_only:
            request["validateOnly"] = True
        content = orjson.dumps(request)
        url = f"{self._url}/v1/events:ingest"
        return Message("POST", url, {"content-type": "application/json"}, content, url, content.decode())

    async def _exchanged(
        self, message: Message, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> tuple[Answer, Sequence[str]]:
        """The answer to a message, and what must not be kept of it. A refused token is renewed once."""
        refused = None
        while True:
            token = await self._token(exchange, refused)
            headers = {**message.headers, "authorization": f"Bearer {token}"}
            sent = replace(message, headers=headers, secrets=(token,))
            answer = await exchange.send(sent, [each.delivery_id for each in deliveries])
            if answer.status != 401 or refused is not None:
                return answer, (token,)
            refused = token

    async def _token(self, exchange: Exchange, refused: str | None) -> str:
        """An access token other than a refused one. Raises _NoTokenError and UndeliveredError."""
        secrets = {name: exchange.secret(name) or "" for name in SECRETS}
        whose = sha256(orjson.dumps(secrets).decode())
        async with self._locks.setdefault(whose, asyncio.Lock()):
            known = self._tokens.get(whose)
            if known and known.value != refused and exchange.now_us() < known.until_us:
                return known.value
            self._tokens.pop(whose, None)
            token = await self._new_token(secrets, exchange)
            self._tokens[whose] = token
            return token.value

    async def _new_token(self, secrets: Mapping[str, str], exchange: Exchange) -> _Token:
        form = _grant(secrets, self._token_url, exchange.now_us() // 1_000_000)
        hidden = [value for name, value in form.items() if name != "grant_type"]
        message = Message(
            method="POST",
            url=self._token_url,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            shown_url=self._token_url,
            shown="&".join([f"grant_type={form['grant_type']}", *(f"{name}=***" for name in list(form)[1:])]),
            secrets=hidden,
        )
        asked_us = exchange.now_us()
        answer = await exchange.send(message, ())
        found = json_object(answer)
        value = None if found is None else text(found.get("access_token"))
        if found is not None and answer.status == 200 and value:
            lives_s = found.get("expires_in")
            lives_us = lives_s * 1_000_000 if isinstance(lives_s, int) else 0
            return _Token(value, asked_us + lives_us - RENEWED_BEFORE_US)
        code = text(found.get("error")) if found is not None else None
        if found is None or code is None or answer.status == 429 or answer.status >= 500:
            said = body_shown(answer, hidden)
            wait_s = retry_after_s(answer, asked_us)
            raise _NoTokenError(
                Outcome(
                    "retry", "no_token", said, answer.status, wait_s=wait_s, is_fault=answer.status != 429
                )
            )
        said = shown(f"{code}: {text(found.get('error_description')) or ''}", hidden)
        raise _NoTokenError(
            Outcome("pause", code if _OAUTH_ERROR.fullmatch(code) else "no_token", said, answer.status)
        )


def _grant(secrets: Mapping[str, str], token_url: str, now_s: int) -> dict[str, str]:
    """The form with which an access token is asked for. Raises _NoTokenError."""
    if account := secrets["service_account_json"]:
        try:
            key = orjson.loads(account)
            claims = {
                "iss": key["client_email"],
                "scope": SCOPE,
                "aud": token_url,
                "iat": now_s,
                "exp": now_s + 3600,
            }
            headers = {"kid": key["private_key_id"]} if key.get("private_key_id") else None
            signed = jwt.encode(claims, key["private_key"], algorithm="RS256", headers=headers)
        except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError, UnsupportedAlgorithm):
            # Not even its error is shown: it may quote the key.
            said = "The secret service_account_json is no key file of a service account."
            raise _NoTokenError(Outcome("pause", "bad_service_account", said)) from None
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
    wanted = ("client_id", "client_secret", "refresh_token")
    if missing := [name for name in wanted if not secrets[name]]:
        said = f"Not set: {', '.join(missing)}; or service_account_json instead."
        raise _NoTokenError(Outcome("pause", "no_credentials", said))
    return {"grant_type": "refresh_token", **{name: secrets[name] for name in wanted}}


def _judge(
    answer: Answer, deliveries: Sequence[Delivery], secrets: Sequence[str], now_us: int, validate_only: bool
) -> Said:
    """What an answer to events means."""
    status, found = answer.status, json_object(answer)
    error = None if found is None else found.get("error")
    if found is not None and status == 200 and error is None:
        request_id = text(found.get("requestId"))
        if validate_only:
            return Said(Outcome("delivered", "validated", "", status, remote_id=request_id))
        if request_id:
            return Said(Outcome("accepted", "", "", status, remote_id=request_id))
    if status == 413 or (status == 400 and found is None and answer.body[:1] == b"{"):
        # Of a long list of bad events only the beginning is read.
        return Said(Outcome("dead", str(status), body_shown(answer, secrets), status), is_of_some=True)
    if not isinstance(error, dict):
        said = body_shown(answer, secrets)
        if status in (401, 404, 410):
            return Said(Outcome("pause", str(status), said, status))
        wait_s = retry_after_s(answer, now_us)
        code = "not_json" if status == 200 else str(status)
        return Said(Outcome("retry", code, said, status, wait_s=wait_s, is_fault=status != 429))

    details = _Details.of(error)
    code = details.reason or text(error.get("status")) or str(status)
    said = shown(details.words(text(error.get("message")) or ""), secrets)
    if status == 429 or status >= 500:
        wait_s = retry_after_s(answer, now_us)
        wait_s = details.retry_delay_s if wait_s is None else wait_s
        return Said(Outcome("retry", code, said, status, wait_s=wait_s, is_fault=status >= 500))
    if status != 400:
        return Said(Outcome("pause", code, said, status))
    guilty: dict[str, Outcome] = {}
    for violation in details.violations:
        where = _NAMED_EVENT.search(violation.place)
        if where and int(where[1][:9]) < len(deliveries):
            delivery_id = deliveries[int(where[1][:9])].delivery_id
            words = shown(f"{violation.place}: {violation.description}", secrets)
            guilty.setdefault(delivery_id, Outcome("dead", violation.reason or code, words, status))
        elif violation.place.startswith(("destinations", "destination")):
            return Said(Outcome("pause", violation.reason or code, said, status))
    if guilty:
        return Said(Outcome("dead", code, said, status), guilty=guilty)
    if _REASON_TO_PAUSE.search(code):
        return Said(Outcome("pause", code, said, status))
    return Said(Outcome("dead", code, said, status), is_of_some=True)


@dataclass(frozen=True, slots=True)
class _Violation:
    place: str
    description: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Details:
    """What Google adds to an error (google.rpc.ErrorInfo, BadRequest, RequestInfo, RetryInfo)."""

    reason: str | None
    violations: Sequence[_Violation]
    request_id: str | None
    retry_delay_s: float | None

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> "_Details":
        listed = error.get("details")
        found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        by_kind = {str(each.get("@type")).rpartition(".")[2]: each for each in reversed(found)}
        request_id = text(by_kind.get("RequestInfo", {}).get("requestId"))
        delay = text(by_kind.get("RetryInfo", {}).get("retryDelay")) or ""
        fields = by_kind.get("BadRequest", {}).get("fieldViolations")
        return cls(
            reason=text(by_kind.get("ErrorInfo", {}).get("reason")),
            violations=[
                _Violation(
                    text(each.get("field")) or "",
                    text(each.get("description")) or "",
                    text(each.get("reason")),
                )
                for each in (fields if isinstance(fields, list) else [])
                if isinstance(each, dict)
            ],
            request_id=request_id,
            retry_delay_s=float(delay[:-1]) if re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,9})?s", delay) else None,
        )

    def words(self, message: str) -> str:
        said = [message, *(f"{each.place}: {each.description}" for each in islice(self.violations, 3))]
        return " ".join(said) + (f" (request {self.request_id})" if self.request_id else "")


def _became(
    status: Mapping[str, Any], delivery: Delivery, request_id: str, secrets: Sequence[str]
) -> Outcome | None:
    """What the status of a request says of one of its deliveries. Google counts by reason, and names none."""
    word = status.get("requestStatus")
    if word not in ("SUCCESS", "PARTIAL_SUCCESS", "FAILED", "FAILURE"):
        return None
    counts, warnings = _counts(status, "error"), _counts(status, "warning")
    words = [f"{count} {reason}" for reason, count in counts.items()]
    words += [f"{count} {reason} (warning)" for reason, count in warnings.items()]
    said = shown(", ".join(words), secrets)
    if word == "SUCCESS":
        return Outcome("delivered", "", said, 200, request_id)
    if delivery.kind == "create" and counts and set(counts) == {_THERE_ALREADY}:
        # An earlier request, whose answer was lost, brought it there.
        return Outcome("delivered", "", said, 200, request_id)
    if word == "PARTIAL_SUCCESS" or (_THERE_ALREADY in counts and len(counts) > 1):
        # Some are there and some are not, and nobody says which.
        return Outcome("delivered", "partly", said, 200, request_id)
    reason = max(counts, key=lambda each: counts[each], default="FAILED")
    if "INTERNAL_ERROR" in counts or not counts:
        return Outcome("retry", reason, said, 200, request_id)
    if any(_REASON_TO_PAUSE.search(each) for each in counts):
        return Outcome("pause", reason, said, 200, request_id)
    return Outcome("dead", reason, said, 200, request_id)


def _counts(status: Mapping[str, Any], what: Literal["error", "warning"]) -> dict[str, int]:
    """Of how many records there is something to say, by reason."""
    info = status.get(f"{what}Info")
    listed = info.get(f"{what}Counts") if isinstance(info, dict) else None
    counts: dict[str, int] = {}
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            reason = (text(each.get("reason")) or "UNSPECIFIED").removeprefix(
                f"PROCESSING_{what.upper()}_REASON_"
            )
            count = text(each.get("recordCount")) or ""
            counts[reason] = counts.get(reason, 0) + (int(count[:18]) if count.isdecimal() else 1)
    return counts


def _destination(body: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"operatingAccount": _account(body, "account_id")}
    if _digits(body.get("login_account_id")):
        told["loginAccount"] = _account(body, "login_account_id")
    if _digits(body.get("linked_account_id")):
        told["linkedAccount"] = _account(body, "linked_account_id")
    told["productDestinationId"] = _digits(body.get("conversion_action_id"))
    return told


def _account(body: Mapping[str, Any], member: str) -> dict[str, str]:
    return {"accountType": "GOOGLE_ADS", "accountId": _digits(body.get(member))}


def _digits(given: Any) -> str:
    """An account's number, which people write 123-456-7890."""
    return re.sub(r"[^0-9]", "", text(given) or "")


def _identified(delivery: Delivery) -> Delivery:
    """A delivery, of a test with somebody whom it is about, and a click."""
    if delivery.kind != "test":
        return delivery
    clicked_us = delivery.facts.get("occurred_us")
    click = {"click_id": "test", "click_id_type": "gclid", "clicked_us": clicked_us}
    return with_facts(delivery, em_google=sha256(SOMEBODY), **click)


def _event(body: Mapping[str, Any], delivery: Delivery, now_us: int) -> dict[str, Any]:
    facts = delivery.facts
    known = _KnownAs.of(delivery)
    click = _click(delivery, now_us)
    occurred_us = whole(facts, "occurred_us") or 0
    if click:
        # Clocks differ. Google refuses what happened before its click.
        occurred_us = max(occurred_us, _clicked_us(facts))
    event: dict[str, Any] = {
        "transactionId": known.transaction_id if known else _transaction_id(delivery),
        "eventTimestamp": _timestamp(min(occurred_us, delivery.made_us)),
        "eventSource": body.get("event_source") or "WEB",
    }
    if _is_adjustment(delivery):
        event["lastUpdatedTimestamp"] = _timestamp(delivery.made_us)
    value, money = _value(delivery)
    if value is not None:
        event["conversionValue"] = amount(value, money)
    if money:
        event["currency"] = money
    if click:
        event["adIdentifiers"] = {click[0]: click[1]}
    if identifiers := _identifiers(body, facts):
        event["userData"] = {"userIdentifiers": identifiers}
    if browser := text(facts.get("user_agent")):
        event["eventDeviceInfo"] = {"userAgent": browser}
    if facts.get("consent_ads") == "granted":
        event["consent"] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    return event


def _is_adjustment(delivery: Delivery) -> bool:
    return delivery.kind in ("restate", "retract")


def _is_adjustable(body: Mapping[str, Any], delivery: Delivery, now_us: int) -> bool:
    """Whether Google overwrites the value of a conversion, rather than making another one of it."""
    if body.get("event_source") in UNADJUSTABLE_SOURCES:
        return False
    if delivery.kind == "retract" and body.get("on_rejection") == "nothing":
        return False
    known = _KnownAs.of(delivery)
    if known and (known.account_id, known.action_id) != _place(body):
        return False
    occurred_us = whole(delivery.facts, "occurred_us")
    return occurred_us is not None and now_us - occurred_us <= OLDEST_ADJUSTED_US


def _place(body: Mapping[str, Any]) -> tuple[str, str]:
    """Account and conversion action."""
    return _digits(body.get("account_id")), _digits(body.get("conversion_action_id"))


def _known_as(body: Mapping[str, Any], delivery: Delivery, now_us: int) -> _KnownAs:
    """As what a conversion is told, which stays what it was told as first."""
    known = _KnownAs.of(delivery)
    return known or _KnownAs(*_place(body), _transaction_id(delivery), _click(delivery, now_us) is not None)


def _transaction_id(delivery: Delivery) -> str:
    ours = dedup_id(delivery.facts, delivery.conversion_id)
    return sha256(delivery.conversion_id) if len(ours) > MOST_TRANSACTION_ID or "@" in ours else ours


def _value(delivery: Delivery) -> tuple[int | None, str | None]:
    """Minor units and currency. Without a currency there is no value but 0 of what is taken back."""
    value, money = whole(delivery.facts, "value_minor"), currency(delivery.facts)
    if _is_adjustment(delivery):
        value = 0 if delivery.kind == "retract" else value or 0
        before = delivery.before.currency if delivery.before else None
        return value, money or currency({"currency": before})
    if value is None or (value == 0 and money is None):
        return None, None
    return value, money


def _click_of(facts: Facts) -> tuple[str, str] | None:
    """Type and click id, where it is one of Google's."""
    kind, click = facts.get("click_id_type"), text(facts.get("click_id"))
    return (kind, click) if isinstance(kind, str) and kind in CLICK_IDS and click else None


def _clicked_us(facts: Facts) -> int:
    clicked_us = whole(facts, "clicked_us")
    return (whole(facts, "occurred_us") or 0) if clicked_us is None else clicked_us


def _click(delivery: Delivery, now_us: int) -> tuple[str, str] | None:
    """The click id that is told. An adjustment has the identifiers that the conversion was told with."""
    found = _click_of(delivery.facts)
    if found and _is_adjustment(delivery):
        known = _KnownAs.of(delivery)
        if known:
            return found if known.has_click else None
        now_us = whole(delivery.facts, "occurred_us") or 0
    return found if found and now_us - _clicked_us(delivery.facts) <= OLDEST_CLICK_US else None


def _without_click_us(body: Mapping[str, Any]) -> int:
    days = body.get("max_age_days")
    return (days if isinstance(days, int) else DAYS_WITHOUT_CLICK) * DAY_US


def _identifiers(body: Mapping[str, Any], facts: Facts) -> list[dict[str, Any]]:
    """Ten at most: the address, then by turns e-mail addresses and phone numbers."""
    if body.get("send_user_data") is False:
        return []
    emails = [{"emailAddress": each} for each in hashes(facts, "em_google")]
    phones = [{"phoneNumber": each} for each in hashes(facts, "ph_google")]
    by_turns = [each for each in chain.from_iterable(zip_longest(emails, phones)) if each]
    address = _address(facts)
    return [*([{"address": address}] if address else []), *by_turns][:MOST_IDENTIFIERS]


def _address(facts: Facts) -> dict[str, str] | None:
    """Google takes an address only with all of its four parts."""
    hashed, plain = members(facts, "hashes"), members(facts, "plain")
    given, family = hashes(hashed, "fn_google"), hashes(hashed, "ln_google")
    region, postal_code = text(plain.get("region_code")), text(plain.get("postal_code"))
    if not (given and family and region and postal_code and re.fullmatch(r"[A-Za-z]{2}", region)):
        return None
    return {
        "givenName": given[0],
        "familyName": family[0],
        "regionCode": region.upper(),
        "postalCode": postal_code.strip(),
    }


def _timestamp(time_us: int) -> str:
    """RFC 3339."""
    return (_EPOCH + timedelta(microseconds=max(time_us, 0))).isoformat(timespec="microseconds")
