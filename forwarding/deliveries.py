"""What passes between the outbox and the platforms: destinations, deliveries, and what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

DestinationKind = Literal["postback", "meta", "google", "webhook"]

DeliveryKind = Literal["create", "restate", "retract", "test", "erased"]

RETRY_SCHEDULE_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each try at platforms and webhooks: two and a half days in all."""

ANSWER_BYTES = 65_536
"""Of the body of an answer, that are read."""

Facts = Mapping[str, Any]
"""A row of `fct_forwardings`, by column; times (`…_at`) are `…_us`, Unix microseconds; JSON stays text."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination as it is defined now. `body` is as `ingest_api.definitions.destination` stores it."""

    project_id: str
    destination_id: str
    version: int
    body: Mapping[str, Any]

    @property
    def kind(self) -> DestinationKind:
        """Which platform it is on."""
        kind: DestinationKind = self.body["kind"]
        return kind


@dataclass(frozen=True, slots=True)
class Told:
    """What a destination knows of a conversion: `state` (retracted: it was taken back), in minor units.

    `known_as` is the newest that an outcome said of it (`Outcome.known_as`), None where none did.
    """

    state: str
    value_minor: int | None
    currency: str | None
    known_as: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to a destination about one conversion, the `ordinal`-th of them.

    `facts` were frozen when it was planned: repeats render alike. `before` is what was told earlier, None for
    a first message. `made_us` is when it was planned, Unix microseconds.
    """

    delivery_id: str
    project_id: str
    destination_id: str
    conversion_id: str
    ordinal: int
    kind: DeliveryKind
    build_id: str
    facts: Facts
    made_us: int
    before: Told | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request to a platform, complete but for what the transport adds.

    `shown_url` and `shown`, of the body, are for people: `***` stands for each secret. `secrets` are those
    that the request holds: an answer that repeats one is logged without it. `allow_http`: its destination may
    be told things that anybody on the way can read.
    """

    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    shown_url: str
    shown: str
    secrets: Sequence[str] = field(default=(), repr=False)
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; names of headers in lower case.

    `body` has its first ANSWER_BYTES at most; one that was cut, or came too slowly, as far as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: int


class UndeliveredError(Exception):
    """No answer came: `code` says why (timeout, refused, tls, dns, forbidden_address, cut, …).

    `is_permanent`: nobody could ever deliver this, whatever is repeated.
    """

    def __init__(self, code: str, text: str, milliseconds: int = 0, is_permanent: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.milliseconds = milliseconds
        self.is_permanent = is_permanent


Result = Literal["delivered", "accepted", "retry", "dead", "pause"]
"""`accepted`: the platform says later what became of it (`Platform.check`). `dead`: repeating is no use.
`pause`: the destination cannot receive anything (authorisation, gone); the delivery waits, and no try counts.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery. `text` is what the receiver said, without secrets, 512 bytes at most.

    `is_fault`: the receiver as a whole is in trouble (5xx, timeout, refused connection): what the breaker
    counts. `wait_s`: the receiver asked to wait so long (Retry-After, a doubled wait). `known_as`: under
    which account and id the platform knows the conversion from now on; later messages find it in `Told`,
    whatever the definition says by then.
    """

    result: Result
    code: str = ""
    text: str = ""
    status: int | None = None
    remote_id: str | None = None
    wait_s: float | None = None
    is_fault: bool = False
    known_as: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, for the log of the deliveries that it carried. `answer`: 2 KB at most, without secrets."""

    delivery_ids: Sequence[str]
    started_us: int
    milliseconds: int
    status: int | None
    code: str
    answer: str


class Exchange(Protocol):
    """What a platform may use while it sends: the guarded transport, secrets, the clock, the log."""

    async def send(self, message: Message, delivery_ids: Sequence[str]) -> Answer:
        """Send a request and log it as an attempt of these deliveries. Raises UndeliveredError.

        One for no delivery is not logged: it asks for a token, and its answer is a secret.
        """

    def secret(self, name: str) -> str | None:
        """The destination's secret of this name, None where it is not set.

        `NAME.previous` is the one that it replaced, while that is good too.
        """

    def now_us(self) -> int:
        """Unix microseconds."""


class Platform(Protocol):
    """How one kind of destination is told. One instance per kind, shared; it may keep tokens in memory."""

    most_at_once: int
    """Deliveries of one request; 1 where each has a request of its own."""
    gather_s: float
    """So long deliveries of one destination are gathered before a request that is not full."""
    schedule_s: Sequence[float]
    """Seconds to wait before each try, the first included."""
    check_after_s: Sequence[float]
    """Seconds to wait before each question what became of accepted deliveries (`check`), the first included.
    Empty where answers say at once."""

    def skip_reason(self, destination: Destination, delivery: Delivery, now_us: int) -> str | None:
        """Why this cannot be told (too_old, no_identifier, no_click_id, no_currency, cannot_restate,
        cannot_retract, …); None where it can.
        """

    def expires_us(self, destination: Destination, delivery: Delivery) -> int | None:
        """When the platform would no longer take it, Unix microseconds; None for never."""

    def render(self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange) -> Message:
        """The request for these deliveries; sends nothing, and is what a dry run shows."""

    async def send(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """Tell them; returns what became of each, by delivery id. May send several requests."""

    async def check(
        self, destination: Destination, remote_id: str, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome] | None:
        """What became of accepted deliveries; None while the platform does not know yet."""


@runtime_checkable
class Asking(Protocol):
    """A platform that can be asked whether it would take something."""

    async def ask(
        self, destination: Destination, deliveries: Sequence[Delivery], exchange: Exchange
    ) -> Mapping[str, Outcome]:
        """What it would answer, by delivery id (`delivered`: it would take this), without any effect."""
