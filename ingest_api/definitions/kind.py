"""What the routes must know of a kind of definition, and what a definition's id may be."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel

from funnelhouse.problems import Refusal
from funnelhouse.settings import Settings
from ingest_api.native import Kept, OwnShape
from record.contract import DefinitionKind

Bodies = Mapping[DefinitionKind, Mapping[str, dict[str, Any]]]
"""What a project has defined: by kind and key the newest bodies, as they are stored."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SENDERS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:~-]{0,254}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of definition. `path` is its plural in addresses, `plural` in JSON, `id_name` its id's name.

    `stored` makes of a valid `shape` what is kept, `shown` makes of that what the API shows: the shape that
    PUT takes. `example` is a body of PUT. `check_id` raises Refusal 400 for what cannot be an id.
    `check_settings`, where there is one, raises it for what the project's settings do not allow,
    `check_installation` for what the operator's don't.
    """

    kind: DefinitionKind
    path: str
    plural: str
    noun: str
    id_name: str
    check_id: Callable[[str, str], None]
    shape: type[BaseModel]
    stored: Callable[[Any], dict[str, Any]]
    shown: Callable[[dict[str, Any]], dict[str, Any]]
    example: dict[str, Any]
    check_settings: Callable[[dict[str, Any], Any], None] | None = None
    check_installation: Callable[[Settings, Any], None] | None = None
    read: Callable[[Any], Any] | None = None
    """What makes a `shape` of a body, or raises Refusal 400, where that takes more than the shape alone."""
    kept: Kept = "whole"
    """Of a body that is refused."""
    more_examples: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Other bodies of PUT, by name."""
    written_with: Callable[[str, dict[str, Any]], Mapping["Named", dict[str, Any]]] | None = None
    """What else a key and its stored body define, in the same transaction, until the body says it no more."""


Named = tuple[DefinitionKind, str]
"""Kind and key of a definition."""


@dataclass(frozen=True, slots=True)
class Single:
    """What a project defines once, and has by default: `shape` without any member. It is stored as shown.

    `kind` is its path and its key, too. `example` is a body of PUT. `beside` says what is shown with it and
    cannot be put, given what was put and what else the project has defined, by kind and key.
    """

    kind: DefinitionKind
    noun: str
    shape: type[OwnShape]
    example: dict[str, Any]
    beside: Callable[[Mapping[str, Any], Bodies], dict[str, Any]] | None = None

    def complete(self, stored: Mapping[str, Any] | None) -> dict[str, Any]:
        """What holds. A member that joined after this was stored has its default."""
        return {**_defaults(self.shape), **(stored or {})}


@cache
def _defaults(shape: type[OwnShape]) -> Mapping[str, Any]:
    # Each click on a link asks for them.
    return shape().model_dump()


def check_slug(id_name: str, value: str) -> None:
    """An id that we are the first to give. Raises Refusal 400."""
    try:
        is_uuid = str(uuid.UUID(value)) == value.lower()
    except ValueError:
        is_uuid = False
    if not is_uuid and not _SLUG.fullmatch(value):
        raise Refusal(
            400, f"{id_name}: 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit; or a UUID."
        )


def check_senders_id(id_name: str, value: str) -> None:
    """An id that senders give, in their spelling. Raises Refusal 400."""
    if not _SENDERS.fullmatch(value):
        raise Refusal(
            400, f"{id_name}: 1 to 255 of letters, digits and _ . : ~ -, starting with a letter, digit or _."
        )
