"""What a destination would be told of some conversions: counted, and rendered as it would be sent.

Nothing is sent, and no secret is read: `***` stands for each.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from forwarding.deliveries import Answer, Delivery, Destination, Facts, Message, Platform, UndeliveredError

MOST_ROWS = 20_000
"""Conversions that are looked at."""

MOST_EXAMPLES = 10

SECRET = "***"  # noqa: S105 - what stands for one

BEFORE_SINCE = "before_since"
PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Example:
    """A message as it would be sent, with `***` for secrets."""

    conversion_id: str
    method: str
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class Preview:
    """How many conversions would be told, and why the others would not; the first examples.

    `is_cut`: only the first rows were looked at.
    """

    sent: int
    skipped: Mapping[str, int]
    examples: Sequence[Example]
    is_cut: bool


def preview(
    destination: Destination,
    platform: Platform,
    rows: Iterable[Facts],
    build_id: str,
    now_us: int,
    examples: int = MOST_EXAMPLES,
) -> Preview:
    """What these rows of `fct_forwardings` would become, had the destination been told nothing yet.

    Rows from before the destination's `since` count as if it were older than they.
    """
    sent = 0
    is_cut = False
    skipped: Counter[str] = Counter()
    shown: list[Example] = []
    for number, facts in enumerate(rows):
        if number == MOST_ROWS:
            is_cut = True
            break
        reason = facts["not_wanted_reason"]
        if reason == BEFORE_SINCE:
            # What the mart would have said next.
            is_early = destination.body["trigger"] == "approved" and facts["state"] == "pending"
            reason = PENDING if is_early else None
        if reason is None:
            delivery = first_delivery(destination, facts, build_id, now_us)
            reason = platform.skip_reason(destination, delivery, now_us)
            if reason is None:
                sent += 1
                if len(shown) < examples:
                    message = rendered(destination, platform, delivery, now_us)
                    shown.append(
                        Example(delivery.conversion_id, message.method, message.shown_url, message.shown)
                    )
                continue
        skipped[reason] += 1
    return Preview(sent, dict(skipped.most_common()), shown, is_cut)


def first_delivery(destination: Destination, facts: Facts, build_id: str, now_us: int) -> Delivery:
    """The first that a destination would be told of a conversion."""
    return Delivery(
        delivery_id="msg_preview",
        project_id=destination.project_id,
        destination_id=destination.destination_id,
        conversion_id=facts["conversion_id"],
        ordinal=1,
        kind="create",
        build_id=build_id,
        facts=facts,
        made_us=now_us,
    )


def rendered(destination: Destination, platform: Platform, delivery: Delivery, now_us: int) -> Message:
    """The request for one delivery, for people to look at."""
    return platform.render(destination, [delivery], _Unsent(now_us))


class _Unsent:
    """An exchange over which nothing goes, and which knows no secret."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    async def send(self, _message: Message, _delivery_ids: Sequence[str]) -> Answer:
        raise UndeliveredError("preview", "A preview sends nothing.", is_permanent=True)

    def secret(self, _name: str) -> str | None:
        return SECRET

    def now_us(self) -> int:
        return self._now_us
