"""Answers with figures: exact numbers in JSON, and the build that they come from."""

from decimal import Decimal

import orjson
from fastapi import Response

BUILD_HEADER = "Funnelhouse-Build"


def build_headers(build_id: str) -> dict[str, str]:
    """Headers of every answer with data: the build it was read from; figures of a tenant are not cached."""
    return {BUILD_HEADER: build_id, "Cache-Control": "no-store"}


def json_answer(content: object, build_id: str) -> Response:
    """JSON in which decimals are numbers of all their digits and times (UTC) end in Z."""
    body = orjson.dumps(content, default=_number, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)
    return Response(body, headers=build_headers(build_id), media_type="application/json")


def _number(value: object) -> orjson.Fragment:
    """A decimal written out: a float would round it."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"no JSON for {type(value).__name__}")
