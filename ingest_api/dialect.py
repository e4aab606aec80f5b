"""What a dialect says of its routes, once: they are served, replayed, described and tested by it.

Each file of `dialects/` has a table `ROUTES`, and a YAML file beside it for people who read OpenAPI.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Response

from funnelhouse.problems import Renderer, problem
from ingest_api.arrival import Arrival, Reading

Read = Callable[[bytes, Arrival], Reading]


Sender = Literal["key", "postback", "page"]
"""Who sends to a route: whoever has a key; a network, whose postback is loaded by GET, too; a page's script.

The last two have none: the path, else the host, says whose their reports are.
"""


@dataclass(frozen=True, slots=True)
class KeyInBody:
    """How a key is found in a body whose request has none in its headers.

    `likely` looks for keys without parsing, which costs next to nothing; `sent` reads the one that counts.
    """

    likely: Callable[[bytes], Sequence[str]]
    sent: Callable[[bytes], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path that takes reports by POST."""

    path: str
    read: Read
    """Events of a body; of a postback, of its query and, after a line break, its body."""
    schema: Mapping[str, Any]
    """JSON schema of the body, for OpenAPI; of a postback also its parameters."""
    answer: Callable[[Reading], Response]
    status: int = 200
    """Of an answer that accepted something."""
    refuse: Renderer = problem
    """The shape of every error at this path, those of the framework included."""
    aliases: tuple[str, ...] = ()
    """Other paths that do the same, and are not described."""
    key_in_body: KeyInBody | None = None
    sender: Sender = "key"
    read_kept: Read | None = None
    """Reads what was kept as rejected, where that may be a part of a body."""
