"""Channels of a project: an ordered list of rules, the first that picks a visit's origin names its channel.

Stored as shown: `rules`, each with `channel`, `source`, `medium` and `campaign` (null, or `operator` and
`values`), `click_id_type` and `is_paid`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from ingest_api.definitions.kind import Single
from ingest_api.lengths import within
from ingest_api.native import OwnShape
from record.click_id_types import CLICK_ID_TYPES

MAX_RULES = 200
MAX_VALUES = 1000
"""Of all rules together: each is compared with every campaign that the project has."""
VALUE_BYTES = 250
CATEGORIES = frozenset({"search", "social", "video", "shopping"})
"""Kinds of sites, as the models' seed `source_categories` has them."""

_CLICK_ID_TYPES = ("any", *CLICK_ID_TYPES)

Channel = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$", description="Name of the channel."),
]


def _value(value: str) -> str:
    if not value.strip():
        raise ValueError("must say something; `(none)` is a medium that is not there")
    return within(value, VALUE_BYTES)


Values = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=VALUE_BYTES), AfterValidator(_value)]],
    Field(min_length=1, max_length=100, description="What it is compared with; one of them is enough."),
]


def _click_id_type(value: str) -> str:
    if value not in _CLICK_ID_TYPES:
        raise ValueError("must be one of " + ", ".join(_CLICK_ID_TYPES))
    return value


ClickIdType = Annotated[
    str,
    AfterValidator(_click_id_type),
    # No enumeration: two of the names differ in case alone, which generated clients can't tell apart.
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(_CLICK_ID_TYPES)})$"}),
]


class TextCondition(OwnShape):
    """A text is one of `values`, begins with one, contains one, or is what a wildcard (`*`) describes."""

    operator: Literal["exact", "prefix", "contains", "wildcard"] = "exact"
    values: Values


class SourceCondition(OwnShape):
    """As of other texts; `category` is the kind of site: `search`, `social`, `video` or `shopping`."""

    operator: Literal["exact", "prefix", "contains", "wildcard", "category"] = "exact"
    values: Values

    @model_validator(mode="after")
    def _known_categories(self) -> "SourceCondition":
        if self.operator == "category" and not {"search", "social", "video", "shopping"}.issuperset(
            self.values
        ):
            raise ValueError("values: categories are search, social, video and shopping")
        return self


class ChannelRule(OwnShape):
    """Picks an origin that meets all conditions which it has; without any, all that is left."""

    channel: Channel
    source: SourceCondition | None = None
    medium: TextCondition | None = None
    campaign: TextCondition | None = None
    click_id_type: ClickIdType | None = None
    is_paid: Annotated[
        bool | None,
        Field(description="Whether the traffic source says that it is paid for, else its medium."),
    ] = None


class Channels(OwnShape):
    """Case does not matter. What no rule picks is `Direct` without a source, else `Unassigned`.

    Without rules these are GA4's default channel groups.
    """

    rules: Annotated[
        list[ChannelRule],
        Field(max_length=MAX_RULES, description="In their order: the first that picks counts."),
    ] = Field(default_factory=list)

    @model_validator(mode="after")
    def _not_too_many_values(self) -> "Channels":
        conditions = (each for rule in self.rules for each in (rule.source, rule.medium, rule.campaign))
        if sum(len(condition.values) for condition in conditions if condition) > MAX_VALUES:
            raise ValueError(f"rules: must have at most {MAX_VALUES} values together")
        return self


CHANNELS = Single(
    kind="channels",
    noun="channels",
    shape=Channels,
    example={
        "rules": [
            {
                "channel": "Brand search",
                "source": {"operator": "category", "values": ["search"]},
                "campaign": {"operator": "contains", "values": ["brand"]},
                "is_paid": True,
            },
            {"channel": "Newsletter", "medium": {"values": ["email", "e-mail"]}},
            {"channel": "Other ads", "is_paid": True},
            {"channel": "Partners", "source": {"operator": "wildcard", "values": ["partner-*"]}},
        ]
    },
)
