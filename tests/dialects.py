"""Every route of every dialect as tests send to it: from the dialects' tables and YAML files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from funnelhouse.problems import Refusal
from ingest_api import dialects, tracker
from ingest_api.dialect import Route
from ingest_api.dialect_table import ROUTES

_SAID = {
    operation: about
    for room in (dialects, tracker)
    for path in sorted(Path(room.__path__[0]).glob("*.yaml"))
    for operation, about in yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)["operations"].items()
}


@dataclass(frozen=True)
class Sent:
    """A route, and a body that is good for it whatever JSON value takes the place of `<value>`."""

    route: Route
    within: str

    @property
    def template(self) -> str:
        """The path as it is declared."""
        return self.route.path

    def path(self, project: str) -> str:
        """The path of a project; one that takes a secret gets any."""
        return self.template.replace("{project_id}", project).replace("{secret}", "secret")

    @property
    def body(self) -> bytes:
        """A good body."""
        return self.within.replace("<value>", "1").encode()

    @property
    def members(self) -> set[str]:
        """Of an error in the dialect's shape."""
        return set(json.loads(bytes(self.route.refuse(Refusal(400, "why")).body)))

    @property
    def reason(self) -> str:
        """The member of an error that says what is wrong."""
        shown: dict[str, Any] = json.loads(bytes(self.route.refuse(Refusal(400, "why")).body))
        return next(name for name, value in shown.items() if value == "why")


SENT = [Sent(route, _SAID[f"POST {route.path}"]["within"]) for route in ROUTES]

BY_KEY = [sent for sent in SENT if sent.route.sender == "key"]

# A path without a project is only understood while one project takes postbacks.
OF_A_PROJECT = BY_KEY + [
    sent for sent in SENT if sent.route.sender == "postback" and "{project_id}" in sent.template
]

OF_PAGES = [sent for sent in SENT if sent.route.sender == "page"]
"""What is wrong with a body is answered 200 there."""


def names(schema: Any) -> Iterator[str]:
    """Names of all members that a schema describes, at any depth."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield from schema["properties"]
        for value in schema.values():
            yield from names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from names(value)
