"""What routes of our own API share: strict shapes, bodies of one JSON value, and answers in JSON."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from funnelhouse.problems import Refusal
from ingest_api.arrival import Rejection
from ingest_api.body import UndecodableBody, read_body
from ingest_api.fields import MajorAmount, errors
from ingest_api.lengths import DEFINED_NAME_BYTES, within
from ingest_api.requests import arrival_of, is_dry_run, keep_rejected, parsed
from ingest_api.strict_json import parse

_T = TypeVar("_T")


class OwnShape(BaseModel):
    """A shape of our own API: a misspelt field is an error, not something to be ignored."""

    model_config = ConfigDict(strict=True, extra="forbid")


_Shape = TypeVar("_Shape", bound=BaseModel)


def _not_negative(value: Any) -> Any:
    if type(value) in (int, float, Decimal) and value < 0:
        raise ValueError("must not be negative")
    return value


def _whole(value: Any) -> Any:
    """A whole number, however it is written: 14.0 is 14."""
    if type(value) in (float, Decimal) and abs(value) < 10**15 and value == int(value):
        return int(value)
    return value


NonEmpty = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(partial(within, most=DEFINED_NAME_BYTES)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": DEFINED_NAME_BYTES}),
]
Amount = Annotated[MajorAmount, BeforeValidator(_not_negative)]
"""A number in major units, at least 0; kept as plain decimal text."""

Whole = BeforeValidator(_whole)
"""Marks an integer field that takes 14.0 too."""


Kept = Literal["whole", "reason", "nothing"]
"""Of what is refused: all of it, to be shown; or only why, where there may be a secret in it by mistake; or
nothing, where it is one."""


async def read_shape(
    request: Request, project_id: str, shape: Callable[[Any], _T], kept: Kept = "whole"
) -> _T:
    """Read the body, then as `shaped`. Raises also as `read_body` does."""
    try:
        body = await read_body(request)
    except UndecodableBody as refusal:
        await _keep(request, project_id, refusal, refusal.sent, kept)
        raise
    return await shaped(request, project_id, body, shape, kept)


async def shaped(
    request: Request, project_id: str, body: bytes, shape: Callable[[Any], _T], kept: Kept = "whole"
) -> _T:
    """What `shape` makes of the body's JSON value, or its Refusal 400; then it is kept as rejected.

    Raises Refusal 400 also when the body is no JSON.
    """
    try:
        return await parsed(request, body, lambda body: shape(parse(body)[0]))
    except Refusal as refusal:
        await _keep(request, project_id, refusal, body, kept)
        raise


async def _keep(request: Request, project_id: str, refusal: Refusal, body: bytes, kept: Kept) -> None:
    if kept != "nothing" and not is_dry_run(request):
        rejection = Rejection(refusal.detail, body if kept == "whole" else b"")
        # The path itself: it names what was to be defined, and no path of ours holds a secret.
        await keep_rejected(request, arrival_of(request, project_id), [rejection], request.scope["path"])


def read_as(shape: type[_Shape], value: Any) -> _Shape:
    """A JSON value in a shape. Raises Refusal 400 naming the fields at fault."""
    if not isinstance(value, dict):
        raise Refusal(400, "the body must be a JSON object")
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise Refusal(400, errors(error)) from None


def number(text: str | None) -> orjson.Fragment | None:
    """A stored amount as a JSON number with all its digits."""
    return None if text is None else orjson.Fragment(text)


def json_answer(value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """200 with a JSON body."""
    return Response(orjson.dumps(value), 200, headers, media_type="application/json")


def described_body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    """A request body for OpenAPI: a JSON schema, and an example that fits it."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}
