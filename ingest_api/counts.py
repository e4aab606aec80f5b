"""What ingest counts for the data-trust page: fields that nothing reads, clicks that were not recorded.

Counts are kept in memory, and landed as rows of their table a second after the first of a project's day, then
twice as long after, and so on up to an hour: some 40 times a day, whatever comes. While the landing store is
away they wait. A process that is killed loses what it counted since. Per project and day (UTC) the first 50
keys are told apart.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from funnelhouse.problems import Refusal
from ingest_api.group_commit import GroupCommit
from ingest_api.hints import MOST_NAMES
from record.contract import DAY_US, RAW_TABLES, RawRow, UnreadField, UnrecordedClick, row_values
from record.landing.store import Row

_SECOND_US = 1_000_000
LONGEST_GAP_US = 3600 * _SECOND_US

_log = logging.getLogger(__name__)
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(slots=True)
class _Counted(Generic[_Key]):
    """Of one project on one day: the keys that are told apart, and the counts that are not landed yet."""

    day: int
    keys: set[_Key] = field(default_factory=set)
    counts: Counter[_Key | None] = field(default_factory=Counter)
    since_us: int = 0
    gap_us: int = _SECOND_US


class Counts(Generic[_Key]):
    """The running process's counts of one thing. Belongs to the event loop.

    `row` makes a row of project, time (Unix microseconds) of the first that is counted in it, key (None for
    those that are not told apart) and number.
    """

    def __init__(self, row: Callable[[str, int, _Key | None, int], RawRow]) -> None:
        self._row = row
        self._projects: dict[str, _Counted[_Key]] = {}
        self._left: list[RawRow] = []

    def count(self, project_id: str, received_us: int, found: Mapping[_Key | None, int]) -> None:
        """Add what one request showed, by key; None stands for keys that are not told apart."""
        day = received_us // DAY_US
        counted = self._projects.get(project_id)
        if counted is None or counted.day != day:
            if counted is not None:
                self._left += self._rows(project_id, counted)
            counted = self._projects[project_id] = _Counted(day)
        if not counted.counts:
            counted.since_us = received_us
        for key, occurrences in found.items():
            told_apart = key
            if key is not None and key not in counted.keys:
                if len(counted.keys) < MOST_NAMES:
                    counted.keys.add(key)
                else:
                    told_apart = None
            counted.counts[told_apart] += occurrences

    def due(self, now_us: int) -> list[RawRow]:
        """Rows to land now; they are given once."""
        rows, self._left = self._left, []
        over = []
        for project_id, counted in self._projects.items():
            if counted.counts and now_us - counted.since_us >= counted.gap_us:
                rows += self._rows(project_id, counted)
                counted.gap_us = min(2 * counted.gap_us, LONGEST_GAP_US)
            if not counted.counts and counted.day < now_us // DAY_US:
                over.append(project_id)
        for project_id in over:
            del self._projects[project_id]
        return rows

    def rest(self) -> list[RawRow]:
        """Rows of all that is counted and not landed."""
        rows, self._left = self._left, []
        for project_id, counted in self._projects.items():
            rows += self._rows(project_id, counted)
        return rows

    def put_back(self, rows: list[RawRow]) -> None:
        """Take rows back that could not be landed."""
        self._left += rows

    def _rows(self, project_id: str, counted: _Counted[_Key]) -> list[RawRow]:
        rows = [
            self._row(project_id, counted.since_us, key, number) for key, number in counted.counts.items()
        ]
        counted.counts.clear()
        return rows


def unread_fields() -> Counts[str]:
    """Counts of fields that nothing reads, by name, so that somebody sees a misspelt one."""
    return Counts(
        lambda project_id, since_us, name, number: UnreadField(
            project_id=project_id, received_us=since_us, name=name, occurrences=number
        )
    )


def unrecorded_clicks() -> Counts[tuple[str, str]]:
    """Counts of clicks that led on and are not in the record, by link and why."""

    def row(project_id: str, since_us: int, key: tuple[str, str] | None, number: int) -> RawRow:
        link_id, reason = key or (None, None)
        return UnrecordedClick(
            project_id=project_id, received_us=since_us, link_id=link_id, reason=reason, occurrences=number
        )

    return Counts(row)


async def land_counts(
    counted: Sequence[Counts[Any]], commits: GroupCommit, now_us: Callable[[], int]
) -> None:
    """Land the counts when they are due, until this is cancelled, and then the rest."""
    try:
        while True:
            await asyncio.sleep(1)
            for counts in counted:
                await _land(counts, commits, counts.due(now_us()))
    except asyncio.CancelledError:
        for counts in counted:
            await _land(counts, commits, counts.rest())
        raise


_TABLES = {row: table for table, row in RAW_TABLES.items()}
_VALUES: dict[type[RawRow], Callable[[Any], Row]] = {row: row_values(row) for row in RAW_TABLES.values()}


async def _land(counts: Counts[Any], commits: GroupCommit, rows: list[RawRow]) -> None:
    if not rows:
        return
    kind = type(rows[0])
    try:
        await commits.submit(_TABLES[kind], [_VALUES[kind](row) for row in rows], 0)
    except Refusal as refusal:
        _log.warning("Counts for the data-trust page wait: %s", refusal.detail)
        counts.put_back(rows)
