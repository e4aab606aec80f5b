"""Sends the demo's events over HTTP as a backend would: in order of time, in arrays, over few connections."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import httpx
import orjson

EVENTS_PER_REQUEST = 500
CONNECTIONS = 4


class Sent(NamedTuple):
    """What a replay came to; `seconds` is wall time from the first request to the last answer."""

    events: int
    acknowledged: int
    seconds: float


async def replay(
    url: str, key: str, events: Sequence[dict[str, Any]], on_progress: Callable[[str, int, int], None]
) -> Sent:
    """Post the events to an openanalytics route; ends when each of them was answered.

    Raises httpx.HTTPStatusError when a request is refused: the demo's events are good.
    """
    batches = (events[at : at + EVENTS_PER_REQUEST] for at in range(0, len(events), EVENTS_PER_REQUEST))
    acknowledged = 0
    started = time.monotonic()

    async def send(client: httpx.AsyncClient) -> None:
        nonlocal acknowledged
        for batch in batches:
            answer = await client.post(url, content=orjson.dumps(batch))
            answer.raise_for_status()
            acknowledged += answer.json()["accepted"]
            on_progress("", acknowledged, len(events))

    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        await asyncio.gather(*(send(client) for _ in range(CONNECTIONS)))
    return Sent(len(events), acknowledged, time.monotonic() - started)
