"""Postbacks to traffic sources: what a destination of kind `postback` is told, in the words of its templates.

Whoever knows a conversion by its click id wants to hear of it once, at an address with tokens; some want
its later states too, each at an address of its own. Networks answer anything: their status says whether
they took it.
"""

from collections.abc import Mapping, Sequence

from forwarding.answers import shown, tell
from forwarding.deliveries import Delivery, Destination, Exchange, Message, Outcome
from forwarding.facts import state
from forwarding.templates import Said, Template, read_template

_CONTENT_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}
_NO_BODY = read_template("")


class Postback:
    """One request for each conversion, GET or POST."""

    most_at_once = 1
    gather_s = 0.0
    schedule_s: Sequence[float] = (0, 30, 120, 600, 3_600, 21_600, 43_200)
    check_after_s: Sequence[float] = ()

    def skip_reason(self, destination: Destination, delivery: Delivery, now_us: int) -> str | None:  # noqa: ARG002
        """Why this cannot be told: a source that hears of conversions once hears of no change."""
        told = state(delivery)
        is_told_once = destination.body["trigger"] != "every_change" and not _address_of(destination, told)
        if delivery.kind in ("restate", "retract") and is_told_once:
            return f"cannot_{delivery.kind}"
        if delivery.kind == "test":
            return None
        try:
            templates, said = _templates(destination, told), _said(destination, delivery)
        except ValueError:
            return None  # Told to nobody: sending pauses the destination.
        return "no_click_id" if any(template.lacks_click_id(said) for template in templates) else None

    def expires_us(self, destination: Destination, delivery: Delivery) -> int | None:  # noqa: ARG002
        """Never: networks decide themselves what is too late."""
        return None

    def render(self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange) -> Message:
        """The request for one delivery."""
        (delivery,) = deliveries
        url, body = _templates(destination, state(delivery))
        said = _said(destination, delivery)
        secrets = {name: exchange.secret(name) or "" for name in url.secrets | body.secrets}
        return Message(
            method=destination.body["method"],
            url=url.filled(said, secrets),
            headers={"content-type": _CONTENT_TYPES[body.format]} if body.format in _CONTENT_TYPES else {},
            body=body.filled(said, secrets).encode(),
            shown_url=url.filled(said, None),
            shown=body.filled(said, None),
            secrets=[secret for secret in secrets.values() if secret],
            allow_http=destination.body["allow_http"],
        )

    async def send(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Tell them, one after another."""
        return {each.delivery_id: await self._tell(destination, each, exchange) for each in deliveries}

    async def _tell(self, destination: Destination, delivery: Delivery, exchange: Exchange) -> Outcome:
        try:
            url, body = _templates(destination, state(delivery))
        except ValueError as error:
            return Outcome("pause", "bad_template", shown(f"A template {error}", ()))
        if missing := [name for name in sorted(url.secrets | body.secrets) if not exchange.secret(name)]:
            return Outcome("pause", "no_secret", f"Secrets that are not set: {', '.join(missing)}.")
        return await tell(self.render(destination, [delivery], exchange), delivery, exchange)

    async def check(
        self, destination: Destination, remote_id: str, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome] | None:
        """Networks say at once whether they took a postback."""


def _address_of(destination: Destination, told: str) -> str | None:
    """The address that the definition has for a state."""
    address: str | None = destination.body["status_urls"].get(told)
    return address


def _templates(destination: Destination, told: str) -> tuple[Template, Template]:
    """Those of the address and of the body; a destination that has none sends an empty one."""
    body = destination.body
    url = read_template(_address_of(destination, told) or body["url"])
    return url, _NO_BODY if body["body"] is None else read_template(body["body"], body["body_format"])


def _said(destination: Destination, delivery: Delivery) -> Said:
    facts = {**delivery.facts, "value_minor": 0} if delivery.kind == "retract" else delivery.facts
    return Said(facts, delivery.delivery_id, state(delivery), destination.body["status_words"])
