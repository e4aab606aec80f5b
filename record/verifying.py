"""Whether the permanent record is whole: every position from 1 to the last sealed is in a file that is good.

A file is good when it is readable, holds as many rows as its name says, and its content is what was sealed.
A build looks at each file's size and time, and reads only those that it does not know as they are; `verify`
reads all of them. Files whose range lies inside another's are ignored, as staging ignores them. Of
`rejected`, which is forgotten, the files that were sealed and are not forgotten yet must be there.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from record.contract import RAW_TABLES
from record.landing import Location, open_store
from record.landing.remembered_files import SealedFile, remember_files, remembered_files, sealed_ranges
from record.landing.store import LandingStore, SealRange
from record.sealed_files import Span, files_of, name_of, named_span, nested, received_on, span_of
from record.sealing import write_range

REJECTED_DAYS = 30
"""Files of `rejected` are forgotten when their day is longer ago."""

REMEDY = (
    "Mount the disk, or put the files back from a backup; `funnelhouse verify --repair` writes those again "
    "whose rows are still in the landing store. Until then nothing is built, and the last publication stays."
)

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with some positions of a raw table, as a sentence."""

    table: str
    spans: tuple[Span, ...]
    sentence: str


class IncompleteRecordError(Exception):
    """The permanent record has a hole, or a file that is damaged; the message says where, and what to do."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        said = [fault.sentence for fault in self.faults[:_NAMED_AT_MOST]]
        if len(self.faults) > len(said):
            said.append(f"{len(self.faults) - len(said)} more are listed by `funnelhouse verify`.")
        super().__init__("\n".join([*said, REMEDY]))


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification has read, and found wrong."""

    files: int
    rows: int
    faults: tuple[Fault, ...]


def check_record(location: Location, raw_dir: Path, now_us: int) -> None:
    """See that the record is whole before anything is made of it; cheap where nothing has changed.

    `now_us` is in Unix microseconds. The caller holds the build lock. Raises IncompleteRecordError,
    LandingError.
    """
    with closing(open_store(location)) as store:
        faults = [
            fault for table in RAW_TABLES for fault in _Files(store, raw_dir, table, now_us).faults(_glance)
        ]
    if faults:
        raise IncompleteRecordError(faults)


def verify(location: Location, raw_dir: Path, now_us: int) -> Verified:
    """Read every file of the record; remembers the digest of those that have none yet.

    Raises LandingError.
    """
    faults: list[Fault] = []
    files = rows = 0
    with closing(open_store(location)) as store:
        for table in RAW_TABLES:
            of_table = _Files(store, raw_dir, table, now_us)
            faults += of_table.faults(_read)
            files += len(of_table.good)
            rows += sum(last - first + 1 for first, last in of_table.good)
    return Verified(files, rows, tuple(faults))


def repair(location: Location, raw_dir: Path, faults: Iterable[Fault]) -> list[tuple[str, Span]]:
    """Write the files of faulty positions again from the landing store, where all rows of a range are there.

    The caller holds the build lock. Returns table and span of what was written. Raises LandingError,
    OSError.
    """
    written: list[tuple[str, Span]] = []
    by_table: dict[str, list[Span]] = {}
    for fault in faults:
        by_table.setdefault(fault.table, []).extend(fault.spans)
    with closing(open_store(location)) as store, store.sealing():
        for table, spans in by_table.items():
            for sealed in store.prunable_ranges(table, _END_OF_TIME_US):
                span = _span(sealed)
                if not any(_overlap(span, faulty) for faulty in spans):
                    continue
                if sum(count for _, count in store.range_days(sealed)) == sealed.row_count:
                    write_range(store, sealed, raw_dir)
                    written.append((table, span))
    return written


class RangeFiles:
    """The files of a raw table's sealed ranges, read before their rows leave the landing store."""

    def __init__(self, store: LandingStore, raw_dir: Path, table: str, now_us: int) -> None:
        self._files = _Files(store, raw_dir, table, now_us)

    def faults(self, sealed: SealRange) -> list[Fault]:
        """What is wrong with the files of a sealed range. Raises LandingError."""
        return self._files.faults(_read, _span(sealed))


_END_OF_TIME_US = 2**62

_Look = Callable[[Path, Span, SealedFile | None], SealedFile]
"""Looks at a file of a span, given what is known of it; returns what is known now. Raises _DamagedError."""


class _DamagedError(Exception):
    """A file is not what was sealed; the message goes on behind the file's name."""


class _Files:
    """The files of one raw table beside what the landing store knows of them.

    `good` are the spans of those that were found good.
    """

    def __init__(self, store: LandingStore, raw_dir: Path, table: str, now_us: int) -> None:
        self._store = store
        self._table = table
        self._folder = raw_dir / table
        self._today = datetime.fromtimestamp(now_us / 1_000_000, UTC).date()
        # What the store says comes first: files may join while this looks, and none may be missed.
        self._sealed = sealed_ranges(store, table)
        unfinished = [_span(each) for each in store.unfinished_ranges(table)]
        self._known = remembered_files(store, table)
        found = {path: span for path in files_of(self._folder) if (span := named_span(path)) and span[1] > 0}
        ignored = set(nested(list(found)))
        # An unfinished range is written again.
        self._found = {
            path: span
            for path, span in found.items()
            if path not in ignored and not any(a <= span[0] and span[1] <= z for a, z in unfinished)
        }
        self.good: list[Span] = []

    def faults(self, look: _Look, within: Span | None = None) -> list[Fault]:
        """What is wrong, of all positions or of some; remembers what it has learnt of the files."""
        found = {path: span for path, span in self._found.items() if within is None or _overlap(span, within)}
        good: list[Span] = []
        damaged: list[Fault] = []
        learnt: list[SealedFile] = []
        for path, span in found.items():
            name = name_of(path)
            if self._is_forgotten(name):
                continue
            known = self._known.get(name)
            try:
                seen = look(path, span, known)
            except _DamagedError as why:
                damaged.append(Fault(self._table, (span,), f"{path} {why}."))
                # The next look reads it, whatever its size and time.
                learnt.append(replace(known, mtime_ns=0) if known else SealedFile(name, 0, 0, None))
            else:
                good.append(span)
                if seen != known:
                    learnt.append(seen)
        if learnt:
            with self._store.transaction():
                remember_files(self._store, self._table, learnt)
        self.good += good
        return [*self._missing([*good, *(fault.spans[0] for fault in damaged)], within), *damaged]

    def _missing(self, present: list[Span], within: Span | None) -> list[Fault]:
        if self._table == "rejected":
            return self._missing_of_forgotten(within)
        ends = [last for _, last in (*self._sealed, *self._found.values())]
        holes = _holes(present, within or (1, max(ends, default=0)))
        if not holes:
            return []
        sentence = f"{self._folder} lacks the positions {_listed(holes)}, which were sealed."
        if not self._found:
            sentence = f"{self._folder} has no file of the positions {_listed(holes)}: is its disk mounted?"
        return [Fault(self._table, tuple(holes), sentence)]

    def _missing_of_forgotten(self, within: Span | None) -> list[Fault]:
        """Of a table that loses its old days, what was sealed and is not forgotten yet."""
        gone = sorted(self._known.keys() - {name_of(path) for path in self._found})
        spans = {name: span_of(Path(name)) for name in gone if not self._is_forgotten(name)}
        return [
            Fault(self._table, (span,), f"{self._folder / name} is missing.")
            for name, span in spans.items()
            if within is None or _overlap(span, within)
        ]

    def _is_forgotten(self, name: str) -> bool:
        """Whether a file may be gone, or empty: its day is over."""
        if self._table != "rejected":
            return False
        return self._today - received_on(Path(name)) > timedelta(days=REJECTED_DAYS)


def _glance(path: Path, span: Span, known: SealedFile | None) -> SealedFile:
    """Reads a file only where it is not known as it lies there; of one that nobody knows yet, the footer."""
    seen = _stat(path)
    if known is None:
        _count(path, span)
        return seen
    if (known.size, known.mtime_ns) == (seen.size, seen.mtime_ns):
        return known
    return _read(path, span, known)


def _read(path: Path, span: Span, known: SealedFile | None) -> SealedFile:
    """Reads all of a file: by its digest, where there is one, else every row."""
    seen = _stat(path)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if known is None or known.sha256 is None:
            seqs = [seq for batch in pq.ParquetFile(path).iter_batches() for seq in batch["seq"].to_pylist()]
            if seqs != list(range(span[0], span[1] + 1)):
                raise _DamagedError("does not hold the positions that its name says")
        elif sha256 != known.sha256:
            raise _DamagedError("is not what was sealed: its content has changed")
    except (OSError, pa.ArrowException, KeyError) as error:
        raise _DamagedError(f"cannot be read: {_first_line(error)}") from error
    return replace(seen, sha256=sha256)


def _count(path: Path, span: Span) -> None:
    try:
        rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as error:
        raise _DamagedError(f"cannot be read: {_first_line(error)}") from error
    if rows != span[1] - span[0] + 1:
        raise _DamagedError(f"holds {rows} rows, not the {span[1] - span[0] + 1} that its name says")


def _stat(path: Path) -> SealedFile:
    try:
        stat = path.stat()
    except OSError as error:
        raise _DamagedError(f"cannot be read: {_first_line(error)}") from error
    return SealedFile(name_of(path), stat.st_size, stat.st_mtime_ns, None)


def _span(sealed: SealRange) -> Span:
    return sealed.first_seq, sealed.first_seq + sealed.row_count - 1


def _overlap(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _holes(present: Iterable[Span], within: Span) -> list[Span]:
    """The spans of `within` that no span of `present` covers, in order."""
    holes: list[Span] = []
    next_seq = within[0]
    for first, last in sorted(present):
        if first > next_seq:
            holes.append((next_seq, min(first - 1, within[1])))
        next_seq = max(next_seq, last + 1)
        if next_seq > within[1]:
            break
    if next_seq <= within[1]:
        holes.append((next_seq, within[1]))
    return holes


def _listed(spans: list[Span]) -> str:
    named = [f"{first} to {last}" for first, last in spans[:_NAMED_AT_MOST]]
    if len(spans) > len(named):
        named.append(f"{len(spans) - len(named)} more ranges up to {spans[-1][1]}")
    return ", ".join(named)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
