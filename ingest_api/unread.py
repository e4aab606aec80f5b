"""Fields that nothing reads, counted by name, so that somebody sees a misspelt one on the data-trust page.

Counts are kept in memory, and landed as rows of `unread_fields` a second after the first of a project's day,
then twice as long after, and so on up to an hour: some 40 times a day, whatever comes. A process that is
killed loses what it counted since. Per project and day (UTC) the first 50 names are told apart.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from funnelhouse.problems import Refusal
from ingest_api.group_commit import GroupCommit
from ingest_api.hints import MOST_NAMES
from record.contract import DAY_US, UnreadField, row_values

_SECOND_US = 1_000_000
LONGEST_GAP_US = 3600 * _SECOND_US

_log = logging.getLogger(__name__)
_unread_row = row_values(UnreadField)


@dataclass(slots=True)
class _Counted:
    """Of one project on one day: the names that are told apart, and the counts that are not landed yet."""

    day: int
    names: set[str] = field(default_factory=set)
    counts: Counter[str | None] = field(default_factory=Counter)
    since_us: int = 0
    gap_us: int = _SECOND_US


class UnreadFields:
    """The running process's counts. Belongs to the event loop."""

    def __init__(self) -> None:
        self._projects: dict[str, _Counted] = {}
        self._left: list[UnreadField] = []

    def count(self, project_id: str, received_us: int, unread: Mapping[str | None, int]) -> None:
        """Add what one request sent, by name; None stands for names that are not told apart."""
        day = received_us // DAY_US
        counted = self._projects.get(project_id)
        if counted is None or counted.day != day:
            if counted is not None:
                self._left += _rows(project_id, counted)
            counted = self._projects[project_id] = _Counted(day)
        if not counted.counts:
            counted.since_us = received_us
        for name, occurrences in unread.items():
            told_apart = name
            if name is not None and name not in counted.names:
                if len(counted.names) < MOST_NAMES:
                    counted.names.add(name)
                else:
                    told_apart = None
            counted.counts[told_apart] += occurrences

    def due(self, now_us: int) -> list[UnreadField]:
        """Rows to land now; they are given once."""
        rows, self._left = self._left, []
        over = []
        for project_id, counted in self._projects.items():
            if counted.counts and now_us - counted.since_us >= counted.gap_us:
                rows += _rows(project_id, counted)
                counted.gap_us = min(2 * counted.gap_us, LONGEST_GAP_US)
            if not counted.counts and counted.day < now_us // DAY_US:
                over.append(project_id)
        for project_id in over:
            del self._projects[project_id]
        return rows

    def rest(self) -> list[UnreadField]:
        """Rows of all that is counted and not landed."""
        rows, self._left = self._left, []
        for project_id, counted in self._projects.items():
            rows += _rows(project_id, counted)
        return rows

    def put_back(self, rows: list[UnreadField]) -> None:
        """Take rows back that could not be landed."""
        self._left += rows


def _rows(project_id: str, counted: _Counted) -> list[UnreadField]:
    rows = [
        UnreadField(project_id=project_id, received_us=counted.since_us, name=name, occurrences=occurrences)
        for name, occurrences in counted.counts.items()
    ]
    counted.counts.clear()
    return rows


async def land_unread(unread: UnreadFields, commits: GroupCommit, now_us: Callable[[], int]) -> None:
    """Land the counts when they are due, until this is cancelled, and then the rest."""
    try:
        while True:
            await asyncio.sleep(1)
            await _land(unread, commits, unread.due(now_us()))
    except asyncio.CancelledError:
        await _land(unread, commits, unread.rest())
        raise


async def _land(unread: UnreadFields, commits: GroupCommit, rows: list[UnreadField]) -> None:
    if not rows:
        return
    try:
        await commits.submit("unread_fields", [_unread_row(row) for row in rows], 0)
    except Refusal as refusal:
        _log.warning("Counts of unread fields wait: %s", refusal.detail)
        unread.put_back(rows)
