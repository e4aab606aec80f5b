"""Whole marts as files, written batch by batch: memory does not grow with the mart.

Each writer takes the Arrow schema and the batches and yields the file's bytes.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anyio
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from read_api.answers import FORMULA_STARTS
from read_api.opened_build import Mart

ExportFormat = Callable[[pa.Schema, Iterable[pa.RecordBatch]], Iterator[bytes]]

# The server lets a number of pieces wait for a slow client, whatever their size: small ones need less memory.
PIECE_BYTES = 256 * 1024

# A client that takes its file more slowly is cut off, and so is one that takes no piece for so long: it keeps
# a build open, and a place that others of its project want.
EXPORT_SECONDS = 3600.0
PIECE_SECONDS = 60.0

# Rows of so many bytes become a row group of a Parquet file.
ROW_GROUP_BYTES = 8_000_000

# As a list in SQL.
_FORMULA_STARTS = ", ".join(f"chr({ord(start)})" for start in FORMULA_STARTS)


class _Outbox(io.RawIOBase):
    """A file that only remembers what was written since it was last emptied."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        """It is written to only."""
        return True

    def write(self, data: Any) -> int:
        """Keep a copy: the caller may reuse its buffer."""
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def tell(self) -> int:
        """Bytes written so far; Parquet notes positions."""
        return self._position

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class FileAnswer(StreamingResponse):
    """Streams a file, and calls `done` when that ended: sent, broken off by the client, or failed.

    Raises TimeoutError after EXPORT_SECONDS, and when a piece waits for PIECE_SECONDS; the client then sees
    that the file is not whole.
    """

    def __init__(
        self, content: Iterator[bytes], media_type: str, headers: dict[str, str], done: Callable[[], None]
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""

        async def send_in_time(message: Message) -> None:
            with anyio.fail_after(PIECE_SECONDS):
                await send(message)

        try:
            with anyio.fail_after(EXPORT_SECONDS):
                await super().__call__(scope, receive, send_in_time)
        finally:
            self._done()


def csv_file(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """RFC 4180 with a header line; null is empty, an empty text is `""`."""
    outbox = _Outbox()
    return _written(outbox, pyarrow.csv.CSVWriter(outbox, schema), batches)


def parquet_file(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """One Parquet file; batches are gathered to row groups that are worth their while."""
    outbox = _Outbox()
    return _written(outbox, pyarrow.parquet.ParquetWriter(outbox, schema), _gathered(batches))


def arrow_stream(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Arrow's IPC stream."""
    outbox = _Outbox()
    return _written(outbox, pa.ipc.new_stream(outbox, schema), batches)


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of ROW_GROUP_BYTES, but for the last and for what one batch is more."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.nbytes for each in waiting) >= ROW_GROUP_BYTES:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


def _written(outbox: _Outbox, writer: Any, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        writer.write_batch(batch)
        yield from _pieces(outbox.take())
    writer.close()
    yield from _pieces(outbox.take())


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def csv_columns(mart: Mart) -> str:
    """The select list for csv: text that would be a formula led by an apostrophe, times in ISO 8601."""
    return ", ".join(_csv_column(f'"{column.name}"', column.data_type) for column in mart.columns)


def _csv_column(name: str, data_type: str) -> str:
    if data_type == "VARCHAR":
        return (
            f"case when left({name}, 1) in ({_FORMULA_STARTS}) then '''' || {name} else {name} end as {name}"
        )
    if data_type == "TIMESTAMP":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') as {name}"
    return name
