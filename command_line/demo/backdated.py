"""`python -m command_line.demo.backdated`: the ingest API, told by each request when it arrives.

Revenue as it was known on a day, versions of definitions and late reports are all about when something
arrived, which no sender may say. So the demo's past is sent to the same routes in a server of its own, whose
clock is what a header says, and which runs only as long as the demo is filled.
"""

import time
import types
from contextvars import ContextVar
from typing import TYPE_CHECKING

from funnelhouse.serving import run_server
from funnelhouse.settings import Settings
from ingest_api import requests
from ingest_api.app import create_app as create_ingest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ARRIVES = "demo-arrives"
"""Header with the time of arrival in Unix microseconds."""

_arrives_us: ContextVar[int | None] = ContextVar("arrives_us", default=None)


def create_app() -> "ASGIApp":
    """The ingest API with a clock that requests set, in this process only."""
    app = create_ingest()
    clock = types.SimpleNamespace(time_ns=_time_ns)
    # Whatever asks what time it is asks `requests.now_us`.
    setattr(requests, "time", clock)  # noqa: B010 (mypy: a module is no namespace)

    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if (arrives := headers.get(ARRIVES.encode())) is not None:
                _arrives_us.set(int(arrives))
        await app(scope, receive, send)

    return answer


def _time_ns() -> int:
    arrives_us = _arrives_us.get()
    return time.time_ns() if arrives_us is None else arrives_us * 1000


if __name__ == "__main__":
    settings = Settings()
    run_server("command_line.demo.backdated:create_app", settings, settings.ingest_port)
