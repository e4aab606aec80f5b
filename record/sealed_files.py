"""Files of the raw zone by their names: `<table>/received_date=YYYY-MM-DD/seq-<first>-<last>.parquet`.

A name says the day (UTC) on which the rows arrived and the range of `seq` that they have. Python makes and
reads such names here only. The models' macro `file_position` has the same pattern; a test compares them.
"""

import re
from collections.abc import Collection
from datetime import date
from pathlib import Path

Span = tuple[int, int]
"""First and last `seq`, both included."""

_DAY = "received_date="

RANGE = "seq-([0-9]+)-([0-9]+)[.]parquet"
"""Pattern of a file's name, in Python and in SQL: the first `seq` and the last."""

_FILE_NAME = re.compile(RANGE)


def file_name(received: date, span: Span) -> str:
    """Name, below the table's folder, of the file with these rows."""
    return f"{_DAY}{received}/seq-{span[0]}-{span[1]}.parquet"


EMPTY_FILE = file_name(date(1970, 1, 1), (0, 0))
"""Of every table: without rows, but with every column."""


def files_of(table_dir: Path, received: date | None = None) -> list[Path]:
    """Files of a raw table, of all days or of one, by path; none where the folder is missing."""
    return sorted(table_dir.glob(f"{_DAY}{received or '*'}/seq-*.parquet"))


def days_of(table_dir: Path) -> set[date]:
    """Days of which a raw table has a folder."""
    return {_day(folder.name) for folder in table_dir.glob(f"{_DAY}*")}


def name_of(file: Path) -> str:
    """A file's name below its table's folder."""
    return f"{file.parent.name}/{file.name}"


def received_on(file: Path) -> date:
    """Day on which the file's rows arrived. Raises ValueError for a file in any other folder."""
    return _day(file.parent.name)


def named_span(file: Path) -> Span | None:
    """First and last `seq` that the file's name says; None for any other name."""
    name = _FILE_NAME.fullmatch(file.name)
    return (int(name[1]), int(name[2])) if name else None


def span_of(file: Path) -> Span:
    """First and last `seq` that the file's name says; (0, 0) for any other name."""
    return named_span(file) or (0, 0)


def named_range_sql(path: str) -> str:
    """Columns `named_from` and `named_to` as SQL: the range that the name at the end of a path says."""
    first, last = (f"regexp_extract({path}, '{RANGE}$', {group})::bigint" for group in (1, 2))
    return f"{first} as named_from, {last} as named_to"


def highest_seq(table_dir: Path) -> int:
    """The last `seq` that any file of a raw table is named for; 0 where there is none."""
    return max((span_of(file)[1] for file in files_of(table_dir)), default=0)


def nested(files: Collection[Path]) -> list[Path]:
    """Files of a raw table whose range of `seq` lies inside another's: left by a rewrite, ignored by staging.

    Of two files with one range the one whose path sorts first stays. Names without a range count as (0, 0).
    """
    spans = {file: span_of(file) for file in files}
    widest_first = sorted(files, key=lambda file: (spans[file][0], -spans[file][1], str(file)))
    inside: list[Path] = []
    covered_to = -1
    for file in widest_first:
        if spans[file][1] <= covered_to:
            inside.append(file)
        else:
            covered_to = spans[file][1]
    return inside


def _day(folder: str) -> date:
    return date.fromisoformat(folder.removeprefix(_DAY))
