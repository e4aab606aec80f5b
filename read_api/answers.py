"""Answers with figures: exact numbers in JSON or CSV, the build that they come from, and their ETag.

All of it is made in the thread of the request, compression too: the event loop only passes bytes on.
"""

import csv
import dataclasses
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query as QueryParameter
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from funnelhouse.keys import Key
from funnelhouse.problems import Refusal
from publication.layout import is_build_id
from read_api.opened_build import BuildGoneError
from read_api.parameters import (
    ALL_DAYS,
    REPORTED,
    AskedBuild,
    AskedPage,
    Days,
    Page,
    PageAsked,
    cursor,
    one_of,
)
from read_api.publications import Publications
from read_api.reader import Reader

Row = TypeVar("Row")

BUILD_HEADER = "Funnelhouse-Build"

NEXT_HEADER = "Funnelhouse-Next"
"""Where CSV has the cursor of the next page."""

CSV_MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

NANO = 9
"""A conversion's credit is counted in 10⁻⁹."""

Exact = Annotated[Decimal, WithJsonSchema({"type": "number"})]
"""A number of all its digits; never a float."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes text for a formula."""

_FORMATS = ("json", "csv")


# What an answer says is made by these files from a build: both are in its ETag.
_CODE = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))
).digest()

# Less is not worth compressing; more effort costs more time than it saves bytes.
_COMPRESSED_FROM_BYTES = 1_000
_COMPRESSION = 4


class NotModifiedError(Exception):
    """The caller has this very answer: 304."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__("not modified")
        self.headers = headers


class Table(BaseModel, Generic[Row]):
    """Rows of a report over days."""

    model_config = ConfigDict(populate_by_name=True)

    build: str = Field(description="The build that was read.")
    first: date | None = Field(alias="from", description="First day, null for all.")
    last: date | None = Field(alias="to", description="Last day, included; null for all.")
    rows: list[Row]
    next: str | None = Field(description="`cursor` of the next page, null at the end.")


def opened(request: Request, caller: Key, build_id: str | None = None) -> Reader:
    """The build asked for, else the current one, for a project's queries; raises Refusal 410 or 503.

    What somebody tries in a home to edit in is for admins: to others there is no such build.
    """
    publications: Publications = request.app.state.publications
    if not build_id:
        return publications.current(caller.project_id)
    if not is_build_id(build_id) and "admin" not in caller.scopes:
        raise BuildGoneError
    return publications.build(build_id, caller.project_id)


@contextmanager
def reading(
    request: Request, caller: Key, build_id: str | None = None, money: str = REPORTED
) -> Iterator[Reader]:
    """The build asked for, else the current one, for an answer that follows from it and from the request.

    Amounts are read as `money` says.

    Raises Refusal 400 for a parameter that the route does not take, 410 or 503, and NotModifiedError.
    """
    refuse_unknown_parameters(request)
    with opened(request, caller, build_id) as reader:
        tag_answer(request, caller, reader.build_id)
        reader.convert(money)
        yield reader


def refuse_unknown_parameters(request: Request) -> None:
    """Raises Refusal 400: a filter with a slip in its name would be figures of something else."""
    route: APIRoute = request.scope["route"]
    known = _PARAMETERS.get(route.path)
    if known is None:
        found = get_flat_params(route.dependant)
        known = {each.alias for each in found if isinstance(each.field_info, QueryParameter)}
        _PARAMETERS[route.path] = known
    if not known.issuperset(request.query_params):
        raise Refusal(400, "Unknown parameter; this route takes " + (", ".join(sorted(known)) or "none"))


# What each route takes, looked up once: it does not change.
_PARAMETERS: dict[str, set[str]] = {}


def tag_answer(request: Request, caller: Key, *follows_from: object) -> None:
    """Give the answer an ETag: of the code, the project, the request, and what else it follows from.

    Raises NotModifiedError when the caller has this answer.
    """
    asked = (caller.project_id, request.url.path, sorted(request.query_params.multi_items()))
    digest = hashlib.sha256(_CODE + repr((*asked, *follows_from)).encode(errors="surrogatepass"))
    # Weak, because the same figures may come compressed.
    tag = f'W/"{digest.hexdigest()[:32]}"'
    request.state.etag = tag
    given = request.headers.get("if-none-match", "")
    if tag.removeprefix("W/") in {each.strip().removeprefix("W/") for each in given.split(",")}:
        raise NotModifiedError({"ETag": tag, **_CACHING})


_CACHING = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}


def install_not_modified(app: FastAPI) -> None:
    """Answer NotModifiedError."""

    def on_not_modified(_request: Request, error: Exception) -> Response:
        assert isinstance(error, NotModifiedError)
        return Response(status_code=304, headers=error.headers)

    app.add_exception_handler(NotModifiedError, on_not_modified)


def build_headers(request: Request, build_id: str) -> dict[str, str]:
    """Headers of every answer with data: the build it was read from; caches ask each time."""
    tag = getattr(request.state, "etag", None)
    return {BUILD_HEADER: build_id, **({"ETag": tag} if tag else {}), **_CACHING}


def takes_gzip(request: Request) -> bool:
    """Whether the caller takes gzip."""
    for each in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = each.replace(" ", "").partition(";")
        if coding in ("gzip", "*"):
            return weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces as one gzip file, without waiting for all of them."""
    compressor = zlib.compressobj(_COMPRESSION, wbits=31)
    for piece in pieces:
        if compressed := compressor.compress(piece):
            yield compressed
    yield compressor.flush()


def compressed(request: Request, body: bytes) -> tuple[bytes, dict[str, str]]:
    """A body as the caller takes it, gzipped where that is worth it, and the headers that say so."""
    headers = {"Vary": "Accept-Encoding"}
    if len(body) < _COMPRESSED_FROM_BYTES or not takes_gzip(request):
        return body, headers
    return gzip.compress(body, _COMPRESSION, mtime=0), {**headers, "Content-Encoding": "gzip"}


def _answer(request: Request, body: bytes, build_id: str, media_type: str, **more: str) -> Response:
    content, coding = compressed(request, body)
    headers = {**build_headers(request, build_id), **coding, **more}
    return Response(content, headers=headers, media_type=media_type)


def json_answer(request: Request, content: object, build_id: str) -> Response:
    """JSON in which decimals are numbers of all their digits and times (UTC) end in Z."""
    try:
        body = _json(content)
    except TypeError:
        # An integer of more than 64 bits, which sums of sums can be.
        body = _json(_spelt(content))
    return _answer(request, body, build_id, "application/json")


async def _format(
    form: Annotated[str | None, Query(alias="format", description="json (default) or csv.")] = None,
) -> str:
    return one_of("format", form, _FORMATS, "json")


AskedFormat = Annotated[str, Depends(_format)]


@dataclass(frozen=True)
class TableAsked:
    """A tabular report is asked for: which page of it, of which build, in which format."""

    request: Request
    build_id: str | None
    asked: PageAsked
    form: str

    @property
    def page(self) -> Page:
        """The rows to look for."""
        return self.asked.page

    @contextmanager
    def reading(self, caller: Key, money: str = REPORTED) -> Iterator[Reader]:
        """As `reading`; the build of a cursor goes before the one asked for."""
        with reading(self.request, caller, self.asked.build_id or self.build_id, money) as reader:
            yield reader

    def answer(self, reader: Reader, rows: list[Any], days: Days = ALL_DAYS) -> Response:
        """The rows of the page that was read last, which are of these days; in CSV `next` is in a header."""
        following = cursor(reader.build_id, reader.following)
        if self.form == "csv":
            return csv_answer(self.request, rows, reader.build_id, following)
        content = {
            "build": reader.build_id,
            "from": days.first,
            "to": days.last,
            "rows": rows,
            "next": following,
        }
        return json_answer(self.request, content, reader.build_id)


async def _table(request: Request, build: AskedBuild, asked: AskedPage, form: AskedFormat) -> TableAsked:
    return TableAsked(request, build, asked, form)


AskedTable = Annotated[TableAsked, Depends(_table)]


def csv_answer(request: Request, rows: Sequence[Any], build_id: str, following: str | None) -> Response:
    """Dataclass rows as RFC 4180; what a spreadsheet would take for a formula is led by an apostrophe."""
    names = [field.name for field in dataclasses.fields(rows[0])] if rows else []
    lines = [[getattr(row, name) for name in names] for row in rows]
    return csv_lines_answer(request, names, lines, build_id, following)


def csv_lines_answer(
    request: Request,
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    build_id: str,
    following: str | None = None,
) -> Response:
    """As `csv_answer`, of heads and values."""
    more = {NEXT_HEADER: following} if following else {}
    return _answer(request, csv_text(heads, rows).encode(), build_id, CSV_MEDIA_TYPE, **more)


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """RFC 4180; nothing at all without heads."""
    text = io.StringIO()
    writer = csv.writer(text)
    if heads:
        writer.writerow([_cell(head) for head in heads])
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


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
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    return format(value, "f") if isinstance(value, Decimal) else value
