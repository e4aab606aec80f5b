"""A project's rows of the published marts: pages of JSON, or a whole mart as CSV, Parquet or Arrow.

Pages are cut by position in the file, which publishing sorted, and a cursor names its build: all pages of one
walk come from the same build, though a newer one is published in between.
"""

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request, Response

from funnelhouse.auth import ReadCaller
from funnelhouse.problems import Refusal
from read_api.answers import build_headers, json_answer
from read_api.exports import ExportFormat, FileAnswer, arrow_stream, csv_columns, csv_file, parquet_file
from read_api.publications import Mart, Publications, Reader

MAX_LIMIT = 10_000
DEFAULT_LIMIT = 1_000


class _Export(NamedTuple):
    """How a whole mart is written."""

    media_type: str
    suffix: str
    columns: Callable[[Mart], str]
    write: ExportFormat


def _plain_columns(mart: Mart) -> str:
    return ", ".join(f'"{column.name}"' for column in mart.columns)


EXPORTS = {
    "csv": _Export("text/csv; charset=utf-8; header=present", "csv", csv_columns, csv_file),
    "parquet": _Export("application/vnd.apache.parquet", "parquet", _plain_columns, parquet_file),
    "arrow": _Export("application/vnd.apache.arrow.stream", "arrows", _plain_columns, arrow_stream),
}
FORMATS = ("json", *EXPORTS)

_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_CURSOR = re.compile(r"([0-9]{8}T[0-9]{12}Z)\.([0-9]{1,18})")

router = APIRouter(tags=["marts"])


@router.get("/v1/projects/{project_id}/marts")
def marts(request: Request, caller: ReadCaller) -> Response:
    """The marts with their columns, and how many rows the project has in each."""
    publications: Publications = request.app.state.publications
    with publications.current() as reader:
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
    return json_answer({"build": reader.build_id, "marts": found}, reader.build_id)


@router.get("/v1/projects/{project_id}/marts/{name}")
def mart(
    request: Request,
    caller: ReadCaller,
    name: str,
    form: Annotated[
        str | None, Query(alias="format", description="json (default), csv, parquet, arrow.")
    ] = None,
    limit: Annotated[str | None, Query(description="Rows of a json page, 1 to 10000; default 1000.")] = None,
    cursor: Annotated[str | None, Query(description="`next` of the page before; json only.")] = None,
) -> Response:
    """The project's rows of one mart: a page of json with `next` (null at the end), or all rows as a file.

    Times are UTC. In csv, text that a spreadsheet would take for a formula is led by an apostrophe.
    """
    form = form or "json"
    if form not in FORMATS:
        raise Refusal(400, "format must be one of " + ", ".join(FORMATS))
    if form != "json" and (limit or cursor):
        raise Refusal(400, f"limit and cursor belong to format=json; {form} has every row")
    rows_wanted = _limit(limit)
    build_id, position = _position(cursor)

    publications: Publications = request.app.state.publications
    with ExitStack() as stack:
        reader = publications.build(build_id) if build_id else publications.current()
        stack.callback(reader.close)
        found = reader.marts.get(name)
        if found is None:
            raise Refusal(400, "Unknown mart; use one of " + ", ".join(reader.marts))
        if form == "json":
            return _page(reader, found, caller.project_id, rows_wanted, position)
        answer = _file(reader, found, caller.project_id, EXPORTS[form])
        # The build stays open until the file is sent; the answer closes it.
        stack.pop_all()
        return answer


def _page(reader: Reader, mart: Mart, project_id: str, limit: int, position: int) -> Response:
    """One page from a position in the file on; the row after it says whether there is a next page."""
    rows = reader.rows(
        f"select rowid, {_plain_columns(mart)} from {mart.name} "  # noqa: S608
        "where project_id = ? and rowid >= ? order by rowid limit ?",
        [project_id, position, limit + 1],
    )
    names = [column.name for column in mart.columns]
    answer = {
        "build": reader.build_id,
        "mart": mart.name,
        "rows": [dict(zip(names, row[1:], strict=True)) for row in rows[:limit]],
        "next": f"{reader.build_id}.{rows[limit][0]}" if len(rows) > limit else None,
    }
    return json_answer(answer, reader.build_id)


def _file(reader: Reader, mart: Mart, project_id: str, export: _Export) -> Response:
    """All rows, in the order of the pages."""
    # Without ORDER BY, which would need the whole mart in memory: rows come as publishing sorted them.
    schema, batches = reader.batches(
        f"select {export.columns(mart)} from {mart.name} where project_id = ?",  # noqa: S608
        [project_id],
    )
    filename = f"{project_id}_{mart.name}_{reader.build_id}.{export.suffix}"
    headers = {
        **build_headers(reader.build_id),
        "Content-Disposition": f'attachment; filename="{filename}"',
    }
    return FileAnswer(export.write(schema, batches), export.media_type, headers, reader.close)


def _count(reader: Reader, mart: Mart, project_id: str) -> int:
    rows = reader.rows(f"select count(*) from {mart.name} where project_id = ?", [project_id])  # noqa: S608
    return int(rows[0][0])


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    limit = int(text) if _WHOLE_NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise Refusal(400, f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return limit


def _position(cursor: str | None) -> tuple[str | None, int]:
    """Build and position that a cursor names; none and the start without one."""
    if not cursor:
        return None, 0
    named = _CURSOR.fullmatch(cursor)
    if named is None:
        raise Refusal(400, "cursor must be `next` of the page before")
    return named[1], int(named[2])
