"""Links: addresses of ours that record who follows them, and lead on; what a click on one fires is a goal.

Stored: `name`, `page_id` (the page that it leaves), `to` (an array; each has `url`, `weight`, `page_id`),
`pass` (an array of text), `append_vid`, `is_active`, `fallback_url`, `fires` (null, or an object: `type`,
`name`, `value_amount`, `value_currency`). With `fires` the goal `link-<link_id>` is written too.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from funnelhouse.problems import Refusal
from ingest_api.definitions.event_rule import Match, PropertyRule
from ingest_api.definitions.goal import Goal, GoalValue, flat_value, shown_value, stored_goal
from ingest_api.definitions.kind import Kind, Named
from ingest_api.links.addresses import URL_CHARACTERS, is_among, read_address
from ingest_api.native import NonEmpty, OwnShape, Whole

CLICK = "click"
"""Name of the event that a click on a link is recorded as."""

_LINK_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,57}")
_PASSED = re.compile(r"[A-Za-z0-9_.~-]{1,100}\*?")
PASSED = ("utm_*", "gclid", "gbraid", "wbraid", "fbclid", "msclkid")
"""Parameters that a link hands on unless it says otherwise; a `*` at the end stands for anything."""


def _address(url: str) -> str:
    read_address(url)
    return url


def _passed(name: str) -> str:
    if not _PASSED.fullmatch(name):
        raise ValueError(
            "must be a parameter's name: letters, digits and _ . ~ -, with a * at its end if any"
        )
    return name


Url = Annotated[
    str, AfterValidator(_address), WithJsonSchema({"type": "string", "maxLength": URL_CHARACTERS})
]


class Target(OwnShape):
    """Where a link leads, and how often beside the others. With `page_id` arriving is a view of that page."""

    url: Url
    weight: Annotated[int, Field(ge=1, le=100), Whole] = 1
    page_id: NonEmpty | None = None


class Fires(OwnShape):
    """What a click is, besides a click: a custom event, or a conversion with its value."""

    type: Literal["event", "conversion"]
    name: NonEmpty
    value: GoalValue | None = None

    @model_validator(mode="after")
    def _only_conversions_have_a_value(self) -> "Fires":
        if self.type == "event" and self.value is not None:
            raise ValueError("value: only what fires a conversion has one; leave it out, or send that type")
        return self


class Link(OwnShape):
    """A link. `page_id` is the page that it leaves; without one it is an entrance, as an ad's address is."""

    model_config = ConfigDict(strict=True, extra="forbid", serialize_by_alias=True)

    name: NonEmpty
    page_id: NonEmpty | None = None
    to: Annotated[list[Target], Field(min_length=1, max_length=10)]
    passed: Annotated[
        list[Annotated[str, AfterValidator(_passed)]],
        Field(alias="pass", max_length=50, default_factory=lambda: list(PASSED)),
    ]
    append_vid: bool = True
    is_active: bool = True
    fallback_url: Url | None = None
    fires: Fires | None = None

    @field_validator("fallback_url")
    @classmethod
    def _has_no_token(cls, url: str | None) -> str | None:
        if url is not None and read_address(url).tokens:
            raise ValueError("takes no tokens: nothing is recorded that they could stand for")
        return url


def _check_id(id_name: str, value: str) -> None:
    """Raises Refusal 400."""
    # Shorter than other ids: the goal of a link has it behind a prefix.
    if not _LINK_ID.fullmatch(value):
        raise Refusal(400, f"{id_name}: 1 to 58 of a-z, 0-9, _ and -, starting with a letter or digit.")


def _check_settings(settings: dict[str, Any], link: Link) -> None:
    """Raises Refusal 400 for a host that the project does not list, where it lists any."""
    urls = {f"to.{index}.url": target.url for index, target in enumerate(link.to)}
    if link.fallback_url is not None:
        urls["fallback_url"] = link.fallback_url
    listed = settings["link_hosts"]
    faults = [
        f"{field}: its host is not in the project's setting link_hosts; add it there, or lead to one that is"
        for field, url in urls.items()
        if listed and not is_among(read_address(url).host, listed)
    ]
    if faults:
        raise Refusal(400, "; ".join(faults))


def _stored(link: Link) -> dict[str, Any]:
    fires = link.fires
    stored = link.model_dump(exclude={"fires"})
    stored["fires"] = fires and {"type": fires.type, "name": fires.name, **flat_value(fires.value)}
    return stored


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    fires = stored["fires"]
    if fires is not None:
        fires = {"type": fires["type"], "name": fires["name"], "value": shown_value(fires)}
    return {**stored, "fires": fires}


def _written_with(link_id: str, stored: dict[str, Any]) -> Mapping[Named, dict[str, Any]]:
    """The goal that picks the clicks on a link which fires something."""
    fires = stored["fires"]
    if fires is None:
        return {}
    goal = Goal(
        name=fires["name"],
        match=Match(type="event_name", value=CLICK),
        property=PropertyRule(key="link_id", value=link_id),
        counts_as_conversion=fires["type"] == "conversion",
    )
    values = {name: fires[name] for name in ("value_amount", "value_currency")}
    return {("goal", f"link-{link_id}"): {**stored_goal(goal), **values}}


LINKS = Kind(
    kind="link",
    path="links",
    plural="links",
    noun="link",
    id_name="link_id",
    check_id=_check_id,
    shape=Link,
    stored=_stored,
    shown=_shown,
    check_settings=_check_settings,
    written_with=_written_with,
    example={
        "name": "Spring offer, from the advertorial",
        "page_id": "advertorial",
        "to": [
            {"url": "https://offers.example/spring?sub={hit}", "weight": 3, "page_id": "offer-1"},
            {"url": "https://offers.example/spring-b?sub={hit}", "page_id": "offer-2"},
        ],
        "pass": ["utm_*", "gclid"],
        "append_vid": True,
        "is_active": True,
        "fallback_url": "https://shop.example/",
        "fires": {"type": "conversion", "name": "Offer clicked", "value": {"amount": 0.5, "currency": "USD"}},
    },
)
