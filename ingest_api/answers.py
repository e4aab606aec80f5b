"""The answers that several vendors share: `{"accepted": n}`, and `{"error": "…"}` for what is refused."""

import orjson
from fastapi import Response

from funnelhouse.problems import Refusal
from ingest_api.arrival import Reading


def accepted(reading: Reading) -> Response:
    """200 with the number of accepted events."""
    return Response(orjson.dumps({"accepted": len(reading.events)}), media_type="application/json")


def error(refusal: Refusal) -> Response:
    """A refusal as `{"error": "…"}`."""
    body = orjson.dumps({"error": refusal.detail})
    return Response(body, refusal.status, refusal.headers, media_type="application/json")
