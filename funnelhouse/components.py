"""Schemas of an OpenAPI description as named components, which tools that make clients turn into types."""

from collections.abc import Mapping
from typing import Any

COMPONENTS = "#/components/schemas/"

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was not done: problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Kind of problem; always `about:blank`."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {
            "type": "integer",
            "description": "The answer's status.",
            "enum": [400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 503],
        },
        "detail": {
            "type": "string",
            "description": "What is wrong: the field, and the fix.",
        },
    },
}


def reference(name: str) -> dict[str, Any]:
    """A reference to a component."""
    return {"$ref": f"{COMPONENTS}{name}"}


def of_members(description: str, properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    """An object whose members are all required but for the optional ones."""
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


class Components:
    """The components of one description, in `schemas`."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.schemas = schemas

    def add(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Name a schema; returns a reference to it. Raises ValueError when another one is called so."""
        if self.schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")
        return reference(name)

    def named(self, schema: Any, prefix: str = "") -> Any:
        """A JSON schema whose objects with a title, and whose own `$defs`, are components called so.

        So is a choice between objects that a member tells apart.
        """
        return self._named(schema, prefix, {})

    def _named(self, node: Any, prefix: str, definitions: Mapping[str, Any]) -> Any:
        if isinstance(node, list):
            return [self._named(part, prefix, definitions) for part in node]
        if not isinstance(node, dict):
            return node
        definitions = {**definitions, **node.get("$defs", {})}
        target = node.get("$ref", "")
        if target.startswith("#/$defs/"):
            found = self._named(definitions[target.removeprefix("#/$defs/")], prefix, definitions)
            # Beside a reference stands what is said of it here.
            beside = {name: value for name, value in node.items() if name not in ("$ref", "title")}
            return {**found, **beside}
        title = node.get("title")
        inner = {
            name: self._named(value, prefix, definitions)
            for name, value in node.items()
            if name != "$defs" and not (name == "title" and isinstance(value, str))
        }
        if "discriminator" in node:
            inner["discriminator"] = {
                **node["discriminator"],
                "mapping": {
                    value: target.replace("#/$defs/", f"{COMPONENTS}{prefix}")
                    for value, target in node["discriminator"]["mapping"].items()
                },
            }
        is_object = node.get("type") == "object" and "properties" in node
        if isinstance(title, str) and (is_object or "discriminator" in node):
            return self.add(prefix + title, inner)
        return inner
