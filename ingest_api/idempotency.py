"""Idempotency-Key: a request that its sender may repeat is done once, and answered the same every time.

A key belongs to a project and a route, and those of pages are apart: with the API key in a page nobody
takes a server's Idempotency-Key or makes its event ids. It is taken by the first request under it that was
accepted; what was refused may be mended and sent again under the same key.
"""

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response

from funnelhouse.problems import Refusal
from ingest_api.access import sent_by
from record.landing.answers import find_answer
from record.landing.store import Answer, LandingStore

HEADER = "Idempotency-Key"
MAX_CHARACTERS = 255
OTHER_BODY = f"{HEADER}: was used for another body before; send each report under a key of its own."

REPLAYED = "Idempotent-Replayed"
"""Header of an answer that an earlier request has got already."""

PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Makes repeating the request safe: it is done once, and a repeat is answered as the first "
    "was, for at least 30 days. Another body under the same key is refused with 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
}
"""The header, for OpenAPI."""

# Never to be changed: event ids of repeats would change with it.
_NAMESPACE = uuid.UUID("5f3b1f0e-6c0b-4a55-9d0b-3d3c5a8f6e21")


@dataclass(frozen=True, slots=True)
class Once:
    """A request with an Idempotency-Key: to be done unless it was done already."""

    project_id: str
    route: str
    """The path template; for page keys after a word that no path begins with."""
    key: str
    request_hash: bytes

    def event_id(self, index: int) -> str:
        """Id of the event at `index` of the request, the same in each repeat: UUIDv5 (RFC 9562)."""
        name = orjson.dumps([self.project_id, self.route, self.key, self.request_hash.hex(), index])
        return str(uuid.uuid5(_NAMESPACE, name.decode()))

    def answer(self, response: Response) -> Answer:
        """`response`, to be kept for repeats."""
        # The length follows from the body.
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return Answer(
            self.project_id,
            self.route,
            self.key,
            self.request_hash,
            answered_us=time.time_ns() // 1000,
            status=response.status_code,
            headers=headers,
            body=bytes(response.body),
        )

    def earlier(self, store: LandingStore) -> Answer | None:
        """The answer of an earlier request under this key, which was accepted."""
        return find_answer(store, self.project_id, self.route, self.key)

    def replay(self, answer: Answer) -> Response:
        """The answer of an earlier request under this key. Raises Refusal 422 when that was another one."""
        if answer.request_hash != self.request_hash:
            raise Refusal(422, OTHER_BODY)
        return Response(answer.body, answer.status, {**answer.headers, REPLAYED: "true"})


_KEPT_APART = ("project_id", "secret")
"""Parameters of paths by which keys are kept apart anyway; other ones belong to what a request says."""


def once(request: Request, project_id: str, body: bytes) -> Once | None:
    """What the request's key makes of it; None without a key. Raises Refusal 400 for a bad one."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return None
    if not 1 <= len(key) <= MAX_CHARACTERS or len(request.headers.getlist(HEADER)) > 1:
        raise Refusal(400, f"{HEADER}: send one key of 1 to {MAX_CHARACTERS} characters.")
    # A postback says in its query what others say in their body; no query holds a line break.
    sent = hashlib.sha256(request.scope["query_string"] + b"\n" + body)
    for name, value in sorted(request.path_params.items()):
        if name not in _KEPT_APART:
            sent.update(f"\n{name}={value}".encode())
    path: str = request.scope["route"].path
    return Once(project_id, f"page {path}" if sent_by(request) == "page" else path, key, sent.digest())
