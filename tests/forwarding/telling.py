"""Tells real receivers through the guarded transport, as `forward` does, one delivery at a time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from forwarding.deliveries import Answer, Delivery, Destination, Message, Outcome, Platform, Told
from forwarding.transport import Transport
from funnelhouse.settings import Settings

MADE_US = 1_764_459_300_000_000

FACTS: dict[str, Any] = {
    "conversion_id": "shop/order_completed/order-1",
    "name": "order_completed",
    "goal_id": "goal-1",
    "event_name": "Purchase",
    "transaction_id": "order-1",
    "occurred_us": 1_764_459_296_123_456,
    "learnt_us": 1_764_459_297_000_000,
    "state": "approved",
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
    "content": "blue",
    "term": "shoes",
    "page_id": "page-1",
    "page_kind": "offer",
    "country": "DE",
    "click_id": None,
    "click_id_type": None,
    "external_click_id": "ext-1",
    "em_meta": f'["{"a" * 64}"]',
    "em_google": f'["{"b" * 64}"]',
    "ph_meta": None,
    "ph_google": None,
}


def delivery(kind: str = "create", ordinal: int = 1, before: Told | None = None, **facts: Any) -> Delivery:
    """A delivery of the conversion above, with other facts."""
    return Delivery(
        delivery_id=f"msg_{kind}{ordinal}",
        project_id="shop",
        destination_id="told",
        conversion_id="shop/order_completed/order-1",
        ordinal=ordinal,
        kind=kind,  # type: ignore[arg-type]
        build_id="build-1",
        facts={**FACTS, **facts},
        made_us=MADE_US,
        before=before,
    )


@dataclass
class Telling:
    """An exchange over the guarded transport."""

    settings: Settings
    secrets: dict[str, str] = field(default_factory=dict)
    now: float | None = None
    messages: list[Message] = field(default_factory=list)
    _transport: Transport | None = None

    async def send(self, message: Message, delivery_ids: Sequence[str]) -> Answer:
        assert delivery_ids and self._transport is not None
        self.messages.append(message)
        return await self._transport.send(message)

    def secret(self, name: str) -> str | None:
        return self.secrets.get(name)

    def now_us(self) -> int:
        return int((time.time() if self.now is None else self.now) * 1_000_000)

    def tell(self, platform: Platform, destination: Destination, *deliveries: Delivery) -> list[Outcome]:
        """What becomes of deliveries that are sent one after another."""

        async def send() -> list[Outcome]:
            async with Transport(self.settings) as self._transport:
                outcomes = [await platform.send(destination, [each], self) for each in deliveries]
            return [outcome[each.delivery_id] for outcome, each in zip(outcomes, deliveries, strict=True)]

        return asyncio.run(send())
