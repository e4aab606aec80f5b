"""Sends the demo's requests over HTTP, about in the order in which they are given, over few connections."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import orjson

EVENTS_PER_REQUEST = 500
CONNECTIONS = 4
LINK_KNOWN_SECONDS = 10.0
"""Ingest promises a second; a machine that is busy with the demo may take longer."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to ingest and how many events it carries; `headers` are beside the key's.

    One that `is_refused` is bad on purpose, to be seen among what was not accepted.
    """

    method: str
    path: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    events: int = 0
    is_refused: bool = False


class Sent(NamedTuple):
    """What a replay came to; `seconds` is wall time from the first request to the last answer."""

    events: int
    acknowledged: int
    seconds: float


def in_arrays(path: str, events: Sequence[dict[str, Any]]) -> Iterator[Request]:
    """Events of one shape, as few requests to an openanalytics route."""
    for at in range(0, len(events), EVENTS_PER_REQUEST):
        batch = events[at : at + EVENTS_PER_REQUEST]
        headers = {"Content-Type": "application/json"}
        yield Request("POST", path, orjson.dumps(batch), headers, len(batch))


async def replay(
    base_url: str, key: str, requests: Sequence[Request], on_progress: Callable[[str, int, int], None]
) -> Sent:
    """Send the requests; ends when each of them was answered, which means that its events are on disk.

    Raises httpx.HTTPStatusError when a request is refused that is not meant to be.
    """
    waiting, acknowledged = iter(requests), 0
    events = sum(request.events for request in requests)
    started = time.monotonic()

    async def send(client: httpx.AsyncClient) -> None:
        nonlocal acknowledged
        for request in waiting:
            answer = await _answer(client, request)
            acknowledged += _acknowledged(request, answer)
            on_progress("", acknowledged, events)

    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(send(client) for _ in range(CONNECTIONS)))
    return Sent(events, acknowledged, time.monotonic() - started)


async def _answer(client: httpx.AsyncClient, request: Request) -> httpx.Response:
    """The answer; of a link that was defined just now, the one that it gives once ingest knows it."""
    ends = time.monotonic() + LINK_KNOWN_SECONDS
    while True:
        answer = await client.request(
            request.method, request.path, content=request.content, headers=request.headers
        )
        is_unknown = request.method == "GET" and answer.status_code == httpx.codes.NOT_FOUND
        if not is_unknown or time.monotonic() > ends:
            return answer
        await asyncio.sleep(0.1)


def _acknowledged(request: Request, answer: httpx.Response) -> int:
    if answer.is_redirect:
        # A link leads on.
        return request.events
    if request.is_refused and answer.status_code == httpx.codes.BAD_REQUEST:
        return 0
    answer.raise_for_status()
    # Where the dialect's answer says how many it took, that counts.
    accepted: int = answer.json().get("accepted", request.events) if request.events else 0
    return accepted
