"""Paths of requests: one with a trailing slash is the one without, unless an id stands at its end."""

import re

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """Serves a path with a trailing slash as the one without: redirects would lose the caller's key.

    Paths that begin as `ids` says end with an id: they stay as they are.
    """

    def __init__(self, app: ASGIApp, ids: re.Pattern[str]) -> None:
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        path = scope.get("path", "")
        if not self._ids.match(path):
            if path.endswith("/"):
                scope["path"] = path.rstrip("/") or "/"
            elif path.endswith("\n"):
                # To a regular expression's `$` the line break would not count, and the path be another's.
                scope["path"] = f"{path}/"
        await self._app(scope, receive, send)


class Prefix:
    """Serves what begins with a word of the operator's as what begins with ours, which goes on being served.

    So no page that still has an address from before a change of the word is lost.
    """

    def __init__(self, app: ASGIApp, ours: str, theirs: str) -> None:
        self._app = app
        self._ours = f"/{ours}"
        self._begins = re.compile(rf"/{re.escape(theirs)}(?=[/.])")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if found := self._begins.match(scope.get("path", "")):
            scope["path"] = self._ours + scope["path"][found.end() :]
        await self._app(scope, receive, send)


class _Rest(Convertor[str]):
    # Starlette's own `path` ends with the line.
    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("rest", _Rest())


def id_at_end(name: str) -> str:
    """The end of a route's path: the parameter `name`, an id with whatever is in it, slashes too."""
    return f"{{{name}:rest}}"
