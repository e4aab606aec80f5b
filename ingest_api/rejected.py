"""What an authenticated sender sent that could not be accepted, kept so that nobody has to guess.

A daily quota per project keeps a broken integration from filling the disk. What anybody can send has quotas
of its own: of page keys, of the tracker, of postbacks. All are counted per process, and in memory only.
"""

import base64
import re
from collections import Counter
from collections.abc import Sequence

from ingest_api.access import Anybody
from ingest_api.arrival import Arrival, Rejection
from record.contract import DAY_US, Rejected
from record.rejected import KEPT_BYTES

DAILY_QUOTA = 1000
"""Of keys, and as much of postbacks."""
PAGE_DAILY_QUOTA = 100
"""Of page keys, and as much of the tracker."""

# By pattern, not by parsing: the body may be what could not be parsed. Possessive: a key of a megabyte would
# otherwise leave a way back for each of its letters.
_SENT_KEY = re.compile(rb'("(?:writeKey|api_key)"\s*+:\s*+)"(?:[^"\\]++|\\.)*+"?')


class Quota:
    """Counts what is kept per project and day (UTC)."""

    def __init__(self, daily: int = DAILY_QUOTA) -> None:
        self._daily = daily
        self._day = 0
        self._kept: Counter[str] = Counter()

    def take(self, project_id: str, wanted: int, received_us: int) -> int:
        """How many of `wanted` may still be kept today; they count as kept."""
        day = received_us // DAY_US
        if day != self._day:
            self._day = day
            self._kept.clear()
        granted = min(wanted, self._daily - self._kept[project_id])
        self._kept[project_id] += granted
        return granted


class Quotas:
    """The running app's, by how something came: who has no key cannot use up those of others."""

    def __init__(self) -> None:
        self._of_keys = Quota()
        self._of_anybody: dict[Anybody, Quota] = {
            "page": Quota(PAGE_DAILY_QUOTA),
            "tracker": Quota(PAGE_DAILY_QUOTA),
            "postback": Quota(),
        }

    def of(self, sent_by: Anybody | None) -> Quota:
        """The quota that counts; None stands for a key that nobody else knows."""
        return self._of_keys if sent_by is None else self._of_anybody[sent_by]


def rejected_rows(arrival: Arrival, path: str, rejections: Sequence[Rejection]) -> list[Rejected]:
    """Rows of raw table `rejected`: the first 64 KB of each body in base64, without API keys."""
    return [
        Rejected(
            project_id=arrival.project_id,
            path=path,
            received_us=arrival.received_us,
            sender=arrival.sender,
            user_agent=arrival.user_agent,
            has_page_key=arrival.has_page_key,
            sent_us=rejection.sent_us,
            reason=rejection.reason,
            body=base64.b64encode(_SENT_KEY.sub(rb'\1""', rejection.body)[:KEPT_BYTES]).decode(),
        )
        for rejection in rejections
    ]
