"""Destinations: where what was decided of conversions is told, and what of it.

Stored flat, every member of the kind there: as PUT takes it, but `since` is `since_us` (Unix microseconds)
and `on` of postbacks is `trigger`. Secrets are never part of it: definitions are kept for ever.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    RootModel,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from forwarding.addresses import URL_CHARACTERS, judge_url
from forwarding.deliveries import DestinationKind
from forwarding.templates import BODY_CHARACTERS, STATUS_WORDS, check_templates
from funnelhouse.problems import Refusal
from funnelhouse.settings import Settings
from ingest_api.definitions.kind import Kind, check_slug
from ingest_api.definitions.secret_like import secret_like
from ingest_api.fields import Time
from ingest_api.lengths import WORD_BYTES, within
from ingest_api.native import NonEmpty, OwnShape, Whole, read_as
from ingest_api.window.landed import utc

MOST_CHOSEN = 100
"""Names, goals, sources or renamed events of one destination."""
MOST_PER_SECOND = 1000
PERCENT_DECIMALS = 4
"""Models count in millionths of a whole."""

Word = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(partial(within, most=WORD_BYTES)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": WORD_BYTES}),
]
Chosen = Annotated[list[NonEmpty], Field(max_length=MOST_CHOSEN)]
Url = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": URL_CHARACTERS})]
Digits = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
_Account = r"^[0-9]{3}-?[0-9]{3}-?[0-9]{1,12}$"


def _digits(value: str) -> str:
    return value.replace("-", "")


AccountId = Annotated[str, Field(pattern=_Account), AfterValidator(_digits)]
"""As Google Ads shows it, 123-456-7890; kept without hyphens."""

CountryCode = Annotated[str, Field(pattern=r"^[A-Za-z]{2}$"), AfterValidator(str.upper)]

_PROPERTY = "property:"


def _event_id(value: str) -> str:
    key = value.removeprefix(_PROPERTY)
    if value not in ("transaction_id", "conversion_id") and (not key or key == value):
        raise ValueError("must be transaction_id, conversion_id, or property: with a property's name")
    return within(value, WORD_BYTES)


def _none_twice(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must name each once")
    return values


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


_NumberAlone = BeforeValidator(_no_bool)
"""Beside Literal, for which true is 1."""


def _float(value: Any) -> Any:
    return float(value) if type(value) is Decimal else value


PerSecond = Annotated[float, BeforeValidator(_float), Field(gt=0, le=MOST_PER_SECOND, allow_inf_nan=False)]


Trigger = Literal["created", "approved", "every_change"]

TRIGGER = "When it is told: once a conversion is there, is approved, or at every change that it can take."


class _Common(OwnShape):
    """What all destinations have."""

    name: NonEmpty
    is_active: Annotated[
        bool,
        Field(
            description="Whether it is told anything; of what was before it became so only from `since` on."
        ),
    ] = True
    since: Annotated[
        Time | None,
        Field(description="Conversions from this time on, instead of from when it became active."),
    ] = None
    names: Annotated[
        Chosen,
        AfterValidator(_none_twice),
        Field(
            description="Only conversions of these names or of `goals`; without both, all.",
            default_factory=list,
        ),
    ]
    goals: Annotated[
        Chosen,
        AfterValidator(_none_twice),
        Field(
            description="Only conversions of these goals' ids or of `names`; without both, all.",
            default_factory=list,
        ),
    ]
    sender: Annotated[
        Literal["any", "server"],
        Field(description="Whether conversions that only browsers reported are told, too."),
    ] = "any"
    sources: Annotated[
        Chosen,
        AfterValidator(_none_twice),
        Field(
            description="Only conversions of these traffic sources' ids; without any, all.",
            default_factory=list,
        ),
    ]
    value: Annotated[
        Literal["net", "gross"], Field(description="Whether refunds are taken off what is told.")
    ] = "net"
    event_names: Annotated[
        dict[NonEmpty, Word],
        Field(
            description="What the receiver calls a conversion, by our name of it or its goal's id.",
            max_length=MOST_CHOSEN,
            default_factory=dict,
        ),
    ]
    consent: Annotated[
        Literal["assumed", "required"],
        Field(
            description="Whether a visitor who said nothing is taken to agree to ads. A refusal always holds."
        ),
    ] = "assumed"
    event_id: Annotated[
        str,
        Field(
            description="What tells conversions apart at the receiver: transaction_id (else the conversion's"
            " id), conversion_id, or property:KEY.",
        ),
        AfterValidator(_event_id),
    ] = "transaction_id"
    skip_suspected_doubles: Annotated[
        bool, Field(description="Whether conversions that may be doubles of others are left out.")
    ] = False
    concurrency: Annotated[int, Field(ge=1, le=64, description="Requests at a time."), Whole] = 8
    per_second: Annotated[PerSecond | None, Field(description="Requests per second at most.")] = None


def _percent(value: Any, least: int) -> int | float:
    if type(value) not in (int, float, Decimal) or not least <= value <= 100:
        raise ValueError(f"must be a number from {least} to 100")
    if round(value, PERCENT_DECIMALS) != value:
        raise ValueError(f"must have at most {PERCENT_DECIMALS} decimals")
    return int(value) if value == int(value) else float(value)


Percent = Annotated[
    int | float,
    PlainValidator(partial(_percent, least=0)),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),
]
Sample = Annotated[
    int | float,
    PlainValidator(partial(_percent, least=1)),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": 100}),
]


class StatusUrls(OwnShape):
    """Addresses for states of a conversion, instead of `url`."""

    pending: Annotated[Url | None, Field(description="Where a pending one is told.")] = None
    approved: Annotated[Url | None, Field(description="Where an approved one is told.")] = None
    rejected: Annotated[Url | None, Field(description="Where a rejected one is told.")] = None
    refunded: Annotated[Url | None, Field(description="Where one that was refunded in full is told.")] = None


class StatusWords(OwnShape):
    """What `{status}` is in a postback."""

    pending: Annotated[Word, Field(description="Of a pending conversion.")] = STATUS_WORDS["pending"]
    approved: Annotated[Word, Field(description="Of an approved one.")] = STATUS_WORDS["approved"]
    rejected: Annotated[Word, Field(description="Of a rejected one.")] = STATUS_WORDS["rejected"]
    refunded: Annotated[Word, Field(description="Of one that was refunded in full.")] = STATUS_WORDS[
        "refunded"
    ]


class PostbackDestination(_Common):
    """A postback to a traffic source: a request to an address made from a template."""

    kind: Annotated[Literal["postback"], Field(description="What it is.")]
    trigger: Annotated[Trigger, Field(alias="on", description=TRIGGER)] = "approved"
    url: Annotated[Url, Field(description="Template of the address; docs/forwarding.md lists the tokens.")]
    method: Annotated[Literal["GET", "POST"], Field(description="Method of the request.")] = "GET"
    body: Annotated[
        Annotated[str, Field(max_length=BODY_CHARACTERS)] | None,
        Field(description="Template of the body, of POST only."),
    ] = None
    body_format: Annotated[Literal["form", "json"] | None, Field(description="How the body is encoded.")] = (
        None
    )
    status_urls: Annotated[StatusUrls, Field(description="Addresses for states.", default_factory=StatusUrls)]
    status_words: Annotated[
        StatusWords, Field(description="Words for `{status}`.", default_factory=StatusWords)
    ]
    mode: Annotated[
        Literal["all", "first"], Field(description="Every conversion, or the first of a visitor and source.")
    ] = "all"
    payout_percent: Annotated[Percent, Field(description="Part of the value that is told.")] = 100
    sample_percent: Annotated[
        Sample, Field(description="Part of the conversions that is told, by a hash of their ids.")
    ] = 100
    allow_http: Annotated[bool, Field(description="Whether addresses may be http://.")] = False


class _AdPlatform(_Common):
    """What destinations at ad platforms have besides."""

    trigger: Annotated[Trigger, Field(description=TRIGGER)] = "approved"
    skip_suspected_doubles: Annotated[
        bool, Field(description="Whether conversions that may be doubles of others are left out.")
    ] = True
    default_country: Annotated[
        CountryCode | None,
        Field(description="Country of phone numbers that are given without one, ISO 3166."),
    ] = None


MetaActionSource = Literal[
    "website",
    "email",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
]


TestEventCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class MetaDestination(_AdPlatform):
    """A dataset of Meta's Conversions API."""

    kind: Annotated[Literal["meta"], Field(description="What it is.")]
    dataset_id: Annotated[Digits, Field(description="Id of the dataset (pixel).")]
    api_version: Annotated[
        int, Field(ge=20, le=99, description="Version of the Graph API: N of v{N}.0."), Whole
    ] = 25
    action_source: Annotated[MetaActionSource, Field(description="Where conversions take place.")] = "website"
    event_time: Annotated[
        Literal["occurred", "approved"],
        Field(
            description="What is told as the time of a conversion. Meta takes what is less than 7 days old."
        ),
    ] = "occurred"
    limited_data_use: Annotated[bool, Field(description="Whether Limited Data Use is asked for.")] = False
    limited_data_country: Annotated[
        Literal[0, 1], Field(description="1: USA; 0: Meta finds it out."), _NumberAlone, Whole
    ] = 0
    limited_data_state: Annotated[
        Literal[0, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010],
        Field(description="Meta's number of a state of the USA; 0: Meta finds it out."),
        _NumberAlone,
        Whole,
    ] = 0
    test_event_code: Annotated[
        TestEventCode | None,
        Field(description="While it is set, all goes to Test events of the Events Manager."),
    ] = None

    @field_validator("limited_data_state")
    @classmethod
    def _state_has_its_country(cls, state: int, info: ValidationInfo) -> int:
        if state and not info.data.get("limited_data_country"):
            raise ValueError("a state needs limited_data_country 1")
        return state


class GoogleDestination(_AdPlatform):
    """A conversion action of Google Ads, told through the Data Manager API."""

    kind: Annotated[Literal["google"], Field(description="What it is.")]
    account_id: Annotated[
        AccountId, Field(description="Customer id of the account that has the conversion action.")
    ]
    login_account_id: Annotated[
        AccountId | None, Field(description="Customer id of the manager account that signs in.")
    ] = None
    linked_account_id: Annotated[
        AccountId | None, Field(description="Customer id of the linked account that access goes through.")
    ] = None
    conversion_action_id: Annotated[
        Digits, Field(description="Id of the conversion action: `ctId` of its address.")
    ]
    event_source: Annotated[
        Literal["WEB", "APP", "IN_STORE", "PHONE", "OTHER"],
        Field(description="Where conversions take place."),
    ] = "WEB"
    send_user_data: Annotated[
        bool, Field(description="Whether hashes of e-mail, phone and name are told besides click ids.")
    ] = True
    on_rejection: Annotated[
        Literal["zero", "nothing"],
        Field(description="What is told of one that is rejected or refunded in full: value 0, or nothing."),
    ] = "zero"
    max_age_days: Annotated[
        int,
        Field(
            ge=1, le=90, description="Days after which a conversion without a click id is not told any more."
        ),
        Whole,
    ] = 63


class WebhookDestination(_Common):
    """A server of one's own: signed JSON, as Standard Webhooks say."""

    kind: Annotated[Literal["webhook"], Field(description="What it is.")]
    trigger: Annotated[Trigger, Field(description=TRIGGER)] = "every_change"
    url: Annotated[Url, Field(description="Where it is sent; it takes no tokens.")]
    include: Annotated[
        list[Literal["hashes"]],
        AfterValidator(_none_twice),
        Field(
            description="What it has besides: hashes of e-mail and phone.", max_length=1, default_factory=list
        ),
    ]

    @field_validator("url")
    @classmethod
    def _has_no_token(cls, url: str) -> str:
        if "{" in url or "}" in url:
            raise ValueError("takes no tokens: what is told stands in the body")
        return url


AnyDestination = PostbackDestination | MetaDestination | GoogleDestination | WebhookDestination


class Destination(RootModel[Annotated[AnyDestination, Field(discriminator="kind")]]):
    """Where what was decided of conversions is told: a postback, Meta, Google or a webhook."""


SHAPES: Mapping[DestinationKind, type[AnyDestination]] = {
    "postback": PostbackDestination,
    "meta": MetaDestination,
    "google": GoogleDestination,
    "webhook": WebhookDestination,
}


def read_destination(value: Any) -> Destination:
    """The destination that a JSON value defines. Raises Refusal 400, which repeats no secret."""
    if isinstance(value, dict):
        if found := secret_like(value):
            raise Refusal(400, f"{', '.join(found[:_MOST_FAULTS])}: {_SECRETS_GO_ELSEWHERE}")
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in SHAPES:
            raise Refusal(400, f"kind: must be one of {', '.join(SHAPES)}")
        return Destination.model_construct(root=read_as(SHAPES[kind], value))  # type: ignore[index]
    raise Refusal(400, "the body must be a JSON object")


_MOST_FAULTS = 3

_SECRETS_GO_ELSEWHERE = (
    "looks like a secret, and definitions are kept for ever. PUT it to"
    " …/destinations/{destination_id}/secrets/{name}; a postback's templates have {secret:NAME} in its place"
)


def _check_installation(settings: Settings, destination: Destination) -> None:
    """Raises Refusal 400 for addresses where nobody may be told, and for templates with unknown tokens."""
    read = destination.root
    try:
        if isinstance(read, PostbackDestination):
            check_templates(_stored(destination), settings)
        elif isinstance(read, WebhookDestination):
            _judge_webhook(read.url, settings)
    except ValueError as error:
        raise Refusal(400, str(error)) from None


def _judge_webhook(url: str, settings: Settings) -> None:
    """Raises ValueError."""
    try:
        judge_url(url, settings)
    except ValueError as error:
        raise ValueError(f"url: {error}") from None


def _stored(destination: Destination) -> dict[str, Any]:
    body = destination.root.model_dump()
    first = {name: body.pop(name) for name in ("name", "kind")}
    return {**first, "since_us": body.pop("since"), **body}


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    trigger = "on" if stored["kind"] == "postback" else "trigger"
    since_us = stored["since_us"]
    shown = {trigger if name == "trigger" else name: value for name, value in stored.items()}
    del shown["since_us"]
    return {**shown, "since": None if since_us is None else utc(since_us)}


DESTINATIONS = Kind(
    kind="destination",
    path="destinations",
    plural="destinations",
    noun="destination",
    id_name="destination_id",
    check_id=check_slug,
    shape=Destination,
    read=read_destination,
    stored=_stored,
    shown=_shown,
    check_installation=_check_installation,
    kept="reason",
    example={
        "name": "Push network",
        "kind": "postback",
        "on": "approved",
        "sources": ["push-network"],
        "url": "https://postback.example/conv?click={external}&payout={payout}&cur={currency}&pw={secret:password}",
        "payout_percent": 80,
    },
    more_examples={
        "meta": {
            "name": "Meta, all shops",
            "kind": "meta",
            "dataset_id": "1234567890123456",
            "event_names": {"order_completed": "Purchase"},
            "event_time": "approved",
            "default_country": "DE",
        },
        "google": {
            "name": "Google Ads, purchases",
            "kind": "google",
            "account_id": "123-456-7890",
            "login_account_id": "111-222-3333",
            "conversion_action_id": "987654321",
            "names": ["purchase"],
            "consent": "required",
        },
        "webhook": {
            "name": "Our own order service",
            "kind": "webhook",
            "url": "https://orders.example/funnelhouse",
            "since": "2026-03-01T00:00:00Z",
            "include": ["hashes"],
            "per_second": 20,
        },
    },
)
