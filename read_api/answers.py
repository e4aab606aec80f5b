"""Answers with figures: exact numbers in JSON or CSV, and the build that they come from."""

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from read_api.parameters import Days, PageAsked, one_of
from read_api.publications import Publications, Reader

Row = TypeVar("Row")

BUILD_HEADER = "Funnelhouse-Build"

NANO = 9
"""A conversion's credit is counted in 10⁻⁹."""

Exact = Annotated[Decimal, WithJsonSchema({"type": "number"})]
"""A number of all its digits; never a float."""

# First characters by which a spreadsheet takes text for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

_FORMATS = ("json", "csv")


class Table(BaseModel, Generic[Row]):
    """Rows of a report over days."""

    model_config = ConfigDict(populate_by_name=True)

    build: str = Field(description="The build that was read.")
    first: date | None = Field(alias="from", description="First day, null for all.")
    last: date | None = Field(alias="to", description="Last day, included; null for all.")
    rows: list[Row]
    next: str | None = Field(description="`cursor` of the next page, null at the end.")


@contextmanager
def reading(request: Request, build_id: str | None) -> Iterator[Reader]:
    """The build asked for, else the current one; raises Refusal 410 or 503."""
    publications: Publications = request.app.state.publications
    with publications.build(build_id) if build_id else publications.current() as reader:
        yield reader


def build_headers(build_id: str) -> dict[str, str]:
    """Headers of every answer with data: the build it was read from; figures of a tenant are not cached."""
    return {BUILD_HEADER: build_id, "Cache-Control": "no-store"}


def json_answer(content: object, build_id: str) -> Response:
    """JSON in which decimals are numbers of all their digits and times (UTC) end in Z."""
    try:
        body = _json(content)
    except TypeError:
        # An integer of more than 64 bits, which sums of sums can be.
        body = _json(_spelt(content))
    return Response(body, headers=build_headers(build_id), media_type="application/json")


async def _format(
    form: Annotated[str | None, Query(alias="format", description="json (default) or csv.")] = None,
) -> str:
    return one_of("format", form, _FORMATS, "json")


AskedFormat = Annotated[str, Depends(_format)]


def table_answer(reader: Reader, form: str, days: Days, asked: PageAsked, rows: list[Any]) -> Response:
    """Rows (of `asked.one_more`) of a tabular report; in CSV `next` is a link of the answer's head."""
    rows, following = asked.cut(rows, reader.build_id)
    if form == "csv":
        return csv_answer(rows, reader.build_id, following)
    content = {"build": reader.build_id, "from": days.first, "to": days.last, "rows": rows, "next": following}
    return json_answer(content, reader.build_id)


def csv_answer(rows: Sequence[Any], build_id: str, following: str | None) -> Response:
    """Dataclass rows as RFC 4180; what a spreadsheet would take for a formula is led by an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    if rows:
        writer.writerow([field.name for field in dataclasses.fields(rows[0])])
    for row in rows:
        writer.writerow([_cell(getattr(row, field.name)) for field in dataclasses.fields(row)])
    headers = build_headers(build_id)
    if following:
        headers["Funnelhouse-Next"] = following
    return Response(text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8; header=present")


def of_nano(nano: int) -> Decimal:
    """Conversions of a sum of credit; whole numbers without a point."""
    conversions = Decimal(nano).scaleb(-NANO)
    whole = conversions.to_integral_value()
    return whole if conversions == whole else conversions


def _json(content: object) -> bytes:
    return orjson.dumps(content, default=_number, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def _number(value: object) -> orjson.Fragment:
    """A decimal written out: a float would round it."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"no JSON for {type(value).__name__}")


def _spelt(content: Any) -> Any:
    """The same with every integer as a decimal."""
    if isinstance(content, dict):
        return {name: _spelt(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_spelt(value) for value in content]
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return {field.name: _spelt(getattr(content, field.name)) for field in dataclasses.fields(content)}
    return Decimal(content) if isinstance(content, int) and not isinstance(content, bool) else content


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    return format(value, "f") if isinstance(value, Decimal) else value
