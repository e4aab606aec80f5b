"""Traffic sources: what reports call a source, whether its traffic is paid for, and where its click ids are.

Stored: `name`, `source`, `medium`, `is_paid`, `click_id_param`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ingest_api.definitions.kind import Kind, check_slug
from ingest_api.native import NonEmpty, OwnShape
from record.click_id_types import CLICK_ID_TYPES

MOST_PARAMETERS = 20
"""Of a project's different parameters, those that links and the tracker look for. The models read all."""

_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_TAKEN = frozenset({*CLICK_ID_TYPES, "vid", "hit", "sid", "_fh"})


def _parameter(value: str) -> str:
    if not _PARAMETER.fullmatch(value):
        raise ValueError("must be a query parameter's name: 1 to 64 of A-Z, a-z, 0-9, _ . ~ and -")
    if value in _TAKEN or value.startswith("utm_"):
        raise ValueError("must be a parameter of the source's own: this one means something else already")
    return value


ClickIdParameter = Annotated[
    Annotated[str, AfterValidator(_parameter)] | None,
    BeforeValidator(lambda value: None if value == "" else value),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 64}, {"type": "null"}]}),
    Field(
        description="Query parameter in which it sends click ids, on landing pages and links; with case.",
    ),
]


class TrafficSource(OwnShape):
    """A source, or one medium of it, as visits carry them. Without `is_paid` the medium decides."""

    name: NonEmpty
    source: NonEmpty
    medium: NonEmpty | None = None
    is_paid: bool | None = None
    click_id_param: ClickIdParameter = None


def click_id_parameters(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The parameters of a project's traffic sources, as they are stored, each once."""
    # Those that were stored before had none.
    named = (source.get("click_id_param") for source in sources.values())
    return list(dict.fromkeys(name for name in named if name))[:MOST_PARAMETERS]


def _stored(source: TrafficSource) -> dict[str, Any]:
    return source.model_dump()


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    return {**stored, "click_id_param": stored.get("click_id_param")}


TRAFFIC_SOURCES = Kind(
    kind="traffic_source",
    path="traffic-sources",
    plural="traffic_sources",
    noun="traffic source",
    id_name="traffic_source_id",
    check_id=check_slug,
    shape=TrafficSource,
    stored=_stored,
    shown=_shown,
    example={
        "name": "Push network",
        "source": "push-network",
        "medium": "push",
        "is_paid": True,
        "click_id_param": "clickid",
    },
)
