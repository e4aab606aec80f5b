"""The script as it is served: what `tracker/` has built, and the call that starts it."""

import hashlib
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from functools import cache

from fastapi import Request, Response

from funnelhouse.settings import TRACKER_BUILT
from ingest_api.definitions.held import Held
from ingest_api.definitions.kind import Bodies
from ingest_api.definitions.tracker import tracker_of
from ingest_api.tracker.config import config_of

_HEADERS = {
    "Cache-Control": "public, max-age=300, stale-while-revalidate=86400",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
}
_MOST_PROJECTS = 1000


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the `ETag` that changes with it."""

    text: bytes
    etag: str


class Scripts:
    """Scripts as they were served last, by project. Belongs to the event loop."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, tuple[Held, Script]] = OrderedDict()

    def of(self, project_id: str, held: Held) -> Script:
        """The script of a project, with what it has defined by now."""
        made = self._made.get(project_id)
        if made is None or made[0] is not held:
            config = config_of(tracker_of(held.bodies), held.bodies)
            made = self._made[project_id] = held, _script(config.text)
            if len(self._made) > _MOST_PROJECTS:
                self._made.popitem(last=False)
        self._made.move_to_end(project_id)
        return made[1]


@cache
def script_alone() -> Script:
    """The script with the defaults, which reads all else from the attributes of its tag."""
    nothing: Bodies = defaultdict(dict)
    return _script(config_of(tracker_of(nothing), nothing).text)


def served(request: Request, script: Script) -> Response:
    """The answer that has the script, or says that it is the one that the browser has."""
    headers = {**_HEADERS, "ETag": script.etag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if script.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(script.text, headers=headers, media_type="text/javascript")


def no_script() -> Response:
    """404 with a script that does nothing: the page is not to be troubled."""
    headers = {**_HEADERS, "Cache-Control": "no-store"}
    return Response(b"", 404, headers, media_type="text/javascript")


@cache
def _built() -> bytes:
    return (TRACKER_BUILT / "tracker.js").read_bytes()


def _script(config: bytes) -> Script:
    text = b"%b(%b);\n" % (_built().rstrip(), config)
    return Script(text, f'"{hashlib.sha256(text).hexdigest()[:32]}"')
