"""Webhooks for one's own systems: what a destination of kind `webhook` is told, signed.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (1.0.0)

`webhook-id` is the delivery's: repeats have the same. Whoever gets messages of one conversion out of order
goes by `ordinal`.
"""

from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from standardwebhooks import Webhook as Signer
from standardwebhooks.webhooks import EmptyWebhookSecretError

from forwarding.answers import tell
from forwarding.deliveries import (
    RETRY_SCHEDULE_S,
    Delivery,
    DeliveryKind,
    Destination,
    Exchange,
    Message,
    Outcome,
)
from forwarding.facts import hashes, state, whole
from record.currencies import in_major_units

TYPES: Mapping[DeliveryKind, str] = {
    "create": "conversion.created",
    "restate": "conversion.restated",
    "retract": "conversion.reversed",
    "test": "destination.test",
}

BODY_BYTES = 20_000

SECRETS = ("signing_secret", "signing_secret.previous")
"""With both a message is signed; the second is there for a day after the first was replaced."""

_COLUMNS = (
    *("conversion_id", "name", "goal_id", "transaction_id", "currency", "is_forwardable", "matched_by"),
    *("session_id", "hit_id", "visitor_id", "user_id", "source", "medium", "campaign"),
    *("click_id", "click_id_type"),
)
_HASHES = ("em_meta", "em_google", "ph_meta", "ph_google")
# What only describes is cut where a message would be too long; ids never are.
_CUT = ("campaign", "medium", "source", "name", "click_id")
_CUT_CHARACTERS = 100
_MOST_HASHES = 10


class Webhook:
    """One signed request for each change of a conversion."""

    most_at_once = 1
    gather_s = 0.0
    schedule_s: Sequence[float] = RETRY_SCHEDULE_S
    check_after_s: Sequence[float] = ()

    def skip_reason(self, destination: Destination, delivery: Delivery, now_us: int) -> str | None:  # noqa: ARG002
        """All that happens to a conversion has a message, unless its ids alone are too long for one."""
        return "too_large" if len(_body(destination, delivery)) > BODY_BYTES else None

    def expires_us(self, destination: Destination, delivery: Delivery) -> int | None:  # noqa: ARG002
        """Never."""
        return None

    def render(self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange) -> Message:
        """The request for one delivery, with the signatures of this moment."""
        (delivery,) = deliveries
        body = _body(destination, delivery)
        then = datetime.fromtimestamp(exchange.now_us() // 1_000_000, UTC)
        signatures = [signer.sign(delivery.delivery_id, then, body.decode()) for signer in _signers(exchange)]
        return Message(
            method="POST",
            url=destination.body["url"],
            headers={
                "content-type": "application/json",
                "webhook-id": delivery.delivery_id,
                "webhook-timestamp": str(int(then.timestamp())),
                "webhook-signature": " ".join(signatures),
            },
            body=body,
            shown_url=destination.body["url"],
            shown=body.decode(),
        )

    async def send(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Tell them, one after another."""
        return {each.delivery_id: await self._tell(destination, each, exchange) for each in deliveries}

    async def _tell(self, destination: Destination, delivery: Delivery, exchange: Exchange) -> Outcome:
        if not _signers(exchange):
            return Outcome("pause", "no_secret", "The secret signing_secret is not set, or is no whsec_ one.")
        return await tell(self.render(destination, [delivery], exchange), delivery, exchange)

    async def check(
        self, destination: Destination, remote_id: str, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome] | None:
        """Endpoints say at once whether they took a message."""


def _signers(exchange: Exchange) -> Sequence[Signer]:
    """One for each secret that is set and well formed, the newest first."""
    signers = []
    for name in SECRETS:
        with suppress(Base64Error, EmptyWebhookSecretError):
            if secret := exchange.secret(name):
                signers.append(Signer(secret))
    return signers


def _body(destination: Destination, delivery: Delivery) -> bytes:
    data = _tested(destination) if delivery.kind == "test" else _data(destination, delivery)
    said = {"type": TYPES[delivery.kind], "timestamp": _time(delivery.made_us), "data": data}
    body = orjson.dumps(said)
    if len(body) > BODY_BYTES:
        data |= {name: data[name][:_CUT_CHARACTERS] for name in _CUT if isinstance(data.get(name), str)}
        body = orjson.dumps(said)
    return body


def _tested(destination: Destination) -> dict[str, Any]:
    return {
        "project_id": destination.project_id,
        "destination_id": destination.destination_id,
        "name": destination.body["name"],
    }


def _data(destination: Destination, delivery: Delivery) -> dict[str, Any]:
    facts, before = delivery.facts, delivery.before
    currency = facts.get("currency")
    value_minor = 0 if delivery.kind == "retract" else whole(facts, "value_minor")
    data = {
        **{name: facts.get(name) for name in _COLUMNS},
        "conversion_id": delivery.conversion_id,
        "project_id": delivery.project_id,
        "ordinal": delivery.ordinal,
        "build_id": delivery.build_id,
        "occurred_at": _time(whole(facts, "occurred_us")),
        "learnt_at": _time(whole(facts, "learnt_us")),
        "state": state(delivery),
        "previous_state": before and before.state,
        "value_minor": value_minor,
        "value": _amount(value_minor, currency),
        "previous_value": before and _amount(before.value_minor, before.currency),
    }
    if "hashes" in destination.body["include"]:
        data |= {column: hashes(facts, column)[:_MOST_HASHES] for column in _HASHES}
    return data


def _amount(minor: int | None, currency: str | None) -> str | None:
    return None if minor is None else f"{in_major_units(minor, currency):f}"


def _time(moment_us: int | None) -> str | None:
    if moment_us is None:
        return None
    return f"{datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment_us):%Y-%m-%dT%H:%M:%S.%fZ}"
