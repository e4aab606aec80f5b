"""The platforms as `forward` makes them, over the guarded transport."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import pytest
from google_receiver import GoogleReceiver, TokenServer
from meta_receiver import MetaReceiver
from receivers import INSIDE, Receiver, settings_for
from sample_conversions import Sending, delivery, google_destination, meta_destination

from forwarding.deliveries import Answer, Destination, DestinationKind, Message, Outcome
from forwarding.platforms import PLATFORMS
from forwarding.transport import Transport
from funnelhouse.settings import Settings


@dataclass
class Guarded(Sending):
    """An exchange that sends as `forward` does."""

    transport: Transport | None = None

    async def send(self, message: Message, delivery_ids: Sequence[str]) -> Answer:
        assert self.transport is not None
        return await self.transport.send(message)


def told(settings: Settings, destination: Destination, sending: Guarded) -> Outcome:
    """What became of one delivery."""

    async def tell() -> Outcome:
        async with Transport(settings) as transport:
            sending.transport = transport
            platform = PLATFORMS[destination.kind](settings)
            return (await platform.send(destination, [delivery()], sending))["msg_1_create"]

    return asyncio.run(tell())


def test_every_kind_of_destination_has_its_platform() -> None:
    assert set(PLATFORMS) == set(get_args(DestinationKind))
    for make in PLATFORMS.values():
        platform = make(Settings())
        assert platform.most_at_once >= 1 and platform.gather_s >= 0
        assert platform.schedule_s[0] == 0 and list(platform.check_after_s) == sorted(platform.check_after_s)


def test_meta_is_where_the_settings_say() -> None:
    sending = Guarded({"access_token": "EAAB-meta-token"})
    with MetaReceiver(now=sending.clock) as receiver:
        settings = settings_for(receiver, meta_url=receiver.url)
        assert told(settings, meta_destination(), sending).result == "delivered"
        assert len(receiver.book) == 1


def test_google_is_where_the_settings_say() -> None:
    sending = Guarded({})
    with TokenServer(now=sending.clock) as tokens, GoogleReceiver(tokens) as receiver:
        sending.secrets = tokens.refresh_secrets
        urls = {"google_url": receiver.url, "google_token_url": tokens.token_url}
        settings = settings_for(tokens, receiver, **urls)
        assert told(settings, google_destination(), sending).result == "accepted"
        assert len(receiver.book) == 1


@pytest.mark.parametrize("is_allowed", [True, False])
def test_nobody_is_sent_inside(is_allowed: bool) -> None:
    """Neither by an address of the settings that nobody allowed, nor by a platform's redirect."""
    sending = Guarded({"access_token": "EAAB-meta-token"})
    with MetaReceiver(now=sending.clock) as receiver, Receiver() as inside:
        receiver.fault = replace(INSIDE, headers={"Location": inside.url})
        allowed = (receiver,) if is_allowed else ()
        outcome = told(settings_for(*allowed, meta_url=receiver.url), meta_destination(), sending)
        assert (outcome.result, outcome.code) == (
            ("retry", "302") if is_allowed else ("pause", "forbidden_address")
        )
        assert len(receiver.requests) == is_allowed and inside.requests == []
