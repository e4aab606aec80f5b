"""A project's rows of the published marts: pages of JSON, or all rows as CSV, Parquet or Arrow.

Pages are cut by position in the file, which publishing sorted, and a cursor names its build: all pages of one
walk come from the same build, though a newer one is published in between.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from funnelhouse.auth import ReadCaller
from funnelhouse.keys import Key
from funnelhouse.problems import Refusal
from publication.files import rows_from
from read_api.answers import (
    CSV_MEDIA_TYPE,
    build_headers,
    gzipped,
    json_answer,
    opened,
    reading,
    tag_answer,
    takes_gzip,
)
from read_api.column_values import column_value
from read_api.exports import ExportFormat, FileAnswer, arrow_stream, csv_columns, csv_file, parquet_file
from read_api.opened_build import Column, Mart
from read_api.parameters import AskedBuild, AskedPage, Page, cursor, one_of
from read_api.places import Places
from read_api.reader import Reader
from read_api.reports.conditions import Condition

# Files sent at once: each keeps a query open.
FILES = 32
FILES_OF_A_PROJECT = 4

# Values of one column that may be asked for at once.
MAX_VALUES = 100


class _Export(NamedTuple):
    """How all rows are written."""

    media_type: str
    suffix: str
    columns: Callable[[Mart], str]
    write: ExportFormat
    is_text: bool = False


def _plain_columns(mart: Mart) -> str:
    return ", ".join(f'"{column.name}"' for column in mart.columns)


EXPORTS = {
    "csv": _Export(CSV_MEDIA_TYPE, "csv", csv_columns, csv_file, is_text=True),
    "parquet": _Export("application/vnd.apache.parquet", "parquet", _plain_columns, parquet_file),
    "arrow": _Export("application/vnd.apache.arrow.stream", "arrows", _plain_columns, arrow_stream),
}
FORMATS = ("json", *EXPORTS)

# What is not a filter.
_PARAMETERS = ("format", "limit", "cursor", "build")

_ENDS = ("from", "to", "not", "contains", "is")
_ONCE = ("from", "to", "is")
"""What may follow a column's name and a dot, and what of it is given once."""

_places = Places(FILES, FILES_OF_A_PROJECT)

router = APIRouter(tags=["marts"])


class MartColumn(BaseModel):
    """A column of a mart."""

    name: str
    type: str = Field(description="DuckDB's name of the type, lower case.")
    description: str | None


class MartSummary(BaseModel):
    """A mart."""

    name: str
    description: str | None
    rows: int = Field(description="The project's rows.")
    columns: list[MartColumn]


class Marts(BaseModel):
    """The marts of a build."""

    build: str
    marts: list[MartSummary]


class MartPage(BaseModel):
    """Rows of a mart, in the order of the file."""

    build: str
    mart: str
    rows: list[dict[str, Any]] = Field(description="By column; times are UTC.")
    next: str | None = Field(description="`cursor` of the next page, null at the end.")


@router.get("/v1/projects/{project_id}/marts", response_model=Marts)
def marts(request: Request, caller: ReadCaller, build: AskedBuild) -> Response:
    """The marts with their columns, and how many rows the project has in each."""
    with reading(request, caller, build) as reader:
        found = [
            {
                "name": mart.name,
                "description": mart.description,
                "rows": _count(reader, mart, caller.project_id),
                "columns": [
                    {"name": column.name, "type": column.data_type.lower(), "description": column.description}
                    for column in mart.columns
                ],
            }
            for mart in reader.marts.values()
        ]
        return json_answer(request, {"build": reader.build_id, "marts": found}, reader.build_id)


@router.get("/v1/projects/{project_id}/marts/{name}", response_model=MartPage)
def mart(
    request: Request,
    caller: ReadCaller,
    name: str,
    build: AskedBuild,
    asked: AskedPage,
    form: Annotated[
        str | None, Query(alias="format", description="json (default), csv, parquet, arrow.")
    ] = None,
) -> Response:
    """The project's rows of one mart: a page of json with `next` (null at the end), or all rows as a file.

    Each column is a parameter: `currency=USD` (several times for any of several), and for a range, both ends
    included, `conversion_date.from=2026-01-01` and `conversion_date.to=2026-01-31`. `source.not=google`
    leaves a value out (several times for several), `campaign.contains=sale` finds text in any case (several
    times for any of several), `campaign.is=null` or `campaign.is=set` asks whether there is a value.

    In csv, text that a spreadsheet would take for a formula is led by an apostrophe.
    """
    form = one_of("format", form, FORMATS, "json")
    if form != "json" and (request.query_params.get("limit") or request.query_params.get("cursor")):
        raise Refusal(400, f"limit and cursor belong to format=json; {form} has every row")
    with ExitStack() as stack:
        reader = opened(request, caller, asked.build_id or build)
        stack.callback(reader.close)
        found = reader.marts.get(name)
        if found is None:
            raise Refusal(404, "Unknown mart; use one of " + ", ".join(reader.marts))
        condition = _condition(request, found, caller)
        tag_answer(request, caller, reader.build_id)
        if form == "json":
            return _page(request, reader, found, condition, asked.page, caller.project_id)
        stack.callback(_places.take(caller.project_id).release)
        # The build stays open until the file is sent; the answer closes it.
        return _file(request, reader, found, condition, EXPORTS[form], caller.project_id, stack)


def _condition(request: Request, mart: Mart, caller: Key) -> Condition:
    """Rows of the project for which the parameters hold; raises Refusal 400."""
    columns = {column.name: column for column in mart.columns}
    condition = "project_id = ?"
    values: list[object] = [caller.project_id]
    for parameter in dict.fromkeys(request.query_params):
        given = [value for value in request.query_params.getlist(parameter) if value]
        if parameter in _PARAMETERS or not given:
            continue
        name, _, end = parameter.partition(".")
        if name not in columns or end not in ("", *_ENDS) or parameter.endswith("."):
            raise Refusal(
                400,
                "Unknown parameter; this mart takes its columns, or a column with one of "
                + ", ".join(f".{each}" for each in _ENDS)
                + ": "
                + ", ".join(columns),
            )
        if len(given) > (1 if end in _ONCE else MAX_VALUES):
            most = "once" if end in _ONCE else f"{MAX_VALUES} times"
            raise Refusal(400, f"{parameter} may be given {most} at most")
        more, bound = _of_column(parameter, columns[name], end, given)
        condition += f" and {more}"
        values += bound
    return condition, values


def _of_column(parameter: str, column: Column, end: str, given: list[str]) -> Condition:
    """What a parameter asks of its column; raises Refusal 400."""
    name = f'"{column.name}"'
    if end == "is":
        if given[0] not in ("null", "set"):
            raise Refusal(400, f"{parameter} must be null or set")
        return f"{name} is {'null' if given[0] == 'null' else 'not null'}", []
    if end == "contains":
        if column.data_type != "VARCHAR":
            raise Refusal(400, f"{parameter}: only text contains something")
        either = " or ".join(f"contains(lower({name}), lower(?))" for _ in given)
        return f"({either})", [*given]
    values = [column_value(parameter, column, text) for text in given]
    marks = ", ".join("?" for _ in given)
    if end == "not":
        return f"({name} is null or {name} not in ({marks}))", values
    return f"{name} " + {"from": ">= ?", "to": "<= ?", "": f"in ({marks})"}[end], values


_ROWS_IN_ORDER = 50_000
"""Rows that an export from Parquet files sorts at once."""


def _page(
    request: Request, reader: Reader, mart: Mart, condition: Condition, page: Page, project_id: str
) -> Response:
    """One page from a position on.

    Positions count from the project's first row: those of the file would tell how much others have in it.
    """
    where, values = condition
    ((start,),) = reader.rows(f"select min(rowid) from {mart.name} where project_id = ?", [project_id])  # noqa: S608
    start = start or 0
    behind = rows_from("?::bigint") if mart.name in reader.in_files else "rowid >= ?"
    first = [start + page.offset] * behind.count("?")
    # One row more says whether there is a next page. DuckDB keeps the order of the file without being asked;
    # asked, it would hold all rows of a page at once, however long their texts are.
    rows, is_whole = reader.first_rows(
        f"select rowid, {_plain_columns(mart)} from {mart.name} where {where} and {behind} limit ?",  # noqa: S608
        [*values, *first, page.limit + 1],
    )
    shown = rows[: page.limit]
    is_last = is_whole and len(rows) == len(shown)
    names = [column.name for column in mart.columns]
    answer = {
        "build": reader.build_id,
        "mart": mart.name,
        "rows": [dict(zip(names, row[1:], strict=True)) for row in shown],
        "next": cursor(reader.build_id, None if is_last else shown[-1][0] - start + 1),
    }
    return json_answer(request, answer, reader.build_id)


def _file(
    request: Request,
    reader: Reader,
    mart: Mart,
    condition: Condition,
    export: _Export,
    project_id: str,
    stack: ExitStack,
) -> Response:
    """All rows, in the order of the pages."""
    schema, batches = _in_order(reader, mart, export.columns(mart), condition)
    filename = f"{project_id}_{mart.name}_{reader.build_id}.{export.suffix}"
    headers = {
        **build_headers(request, reader.build_id),
        "Content-Disposition": f'attachment; filename="{filename}"',
    }
    pieces = export.write(schema, batches)
    # The others are compressed inside.
    if export.is_text and takes_gzip(request):
        pieces = gzipped(pieces)
        headers["Content-Encoding"] = "gzip"
    done = stack.pop_all()
    return FileAnswer(pieces, export.media_type, headers, done.close)


def _in_order(
    reader: Reader, mart: Mart, columns: str, condition: Condition
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of all rows, as publishing sorted them; as Reader.batches."""
    where, values = condition
    # Without ORDER BY, which would need the whole mart in memory.
    if mart.name not in reader.in_files:
        return reader.batches(f"select {columns} from {mart.name} where {where}", values)  # noqa: S608
    # From Parquet files, DuckDB streams in any order: so it is asked for a part after the other.
    spans = reader.rows(
        f"select file_index, min(file_row_number), max(file_row_number) from {mart.name} "  # noqa: S608
        f"where {where} group by file_index order by file_index",
        values,
    )
    parts = [
        (file, start, min(start + _ROWS_IN_ORDER, last + 1))
        for file, first, last in spans
        for start in range(first, last + 1, _ROWS_IN_ORDER)
    ]
    sql = (
        f"select {columns} from {mart.name} where {where} and file_index = ? "  # noqa: S608
        "and file_row_number >= ? and file_row_number < ? order by file_row_number"
    )
    schema, first_batches = reader.batches(sql, [*values, *(parts or [(0, 0, 0)])[0]])

    def batches() -> Iterator[pa.RecordBatch]:
        yield from first_batches
        for part in parts[1:]:
            yield from reader.batches(sql, [*values, *part])[1]

    return schema, batches()


def _count(reader: Reader, mart: Mart, project_id: str) -> int:
    rows = reader.rows(f"select count(*) from {mart.name} where project_id = ?", [project_id])  # noqa: S608
    return int(rows[0][0])
