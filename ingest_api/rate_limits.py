"""Rate limits: of projects, where one is set, and of the addresses that postbacks come from.

Counted are requests, whatever a batch holds, dry runs too, per process and in memory only. The answer to one
that was counted says so: `RateLimit-Policy: "project";q=1000;w=60` and `RateLimit: "project";r=999;t=60`,
as in https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (revision 11).
"""

import math
import time
from functools import cache

import limits
from fastapi import Request
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from funnelhouse.access import OFF
from funnelhouse.problems import Refusal

MOST_COUNTERS = 20_000

RATE_LIMIT_FIELDS = "funnelhouse.rate_limit"
"""Key of the scope: items of the answer's RateLimit-Policy and RateLimit, two lists of text."""

_item = cache(limits.parse)


class Counters(Storage):
    """Counters of fixed windows in memory, `MOST_COUNTERS` at most: the oldest make room for new ones.

    The library's own storage has no bound, and starts a thread every few requests to look for ended windows.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        # By key: requests, and the Unix time at which the window ends; in the order of the windows' begin.
        self._windows: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """None: nothing here can fail."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count; the first opens a window of `expiry` seconds. Returns the window's count."""
        now = time.time()
        count, end = self._windows.get(key, (0, 0.0))
        if end > now:
            self._windows[key] = (count + amount, end)
            return count + amount
        self._windows.pop(key, None)
        while self._windows and (
            len(self._windows) >= MOST_COUNTERS or next(iter(self._windows.values()))[1] <= now
        ):
            del self._windows[next(iter(self._windows))]
        self._windows[key] = (amount, now + expiry)
        return amount

    def get(self, key: str) -> int:
        """The count of the running window."""
        count, end = self._windows.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Unix time at which the window ends, or ended."""
        return self._windows.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """It is always there."""
        return True

    def reset(self) -> int:
        """Forget all windows; returns how many there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one window."""
        self._windows.pop(key, None)


class RateLimits:
    """The running app's, in `app.state.rate_limits`."""

    def __init__(self, per_address: str) -> None:
        self._per_address = per_address
        # Apart, so that no flood of addresses makes a project's counter go.
        self._addresses = FixedWindowRateLimiter(Counters())
        self._projects = FixedWindowRateLimiter(Counters())

    def count_address(self, request: Request, address: str) -> None:
        """Count a postback of a client address. Raises Refusal 429."""
        if self._per_address != OFF:
            _count(request, self._addresses, "address", self._per_address, address)

    def count_project(self, request: Request, project_id: str, limit: str) -> None:
        """Count a request of a project. Raises Refusal 429."""
        _count(request, self._projects, "project", limit, project_id)


def _count(request: Request, limiter: FixedWindowRateLimiter, policy: str, limit: str, whose: str) -> None:
    item = _item(limit)
    is_within = limiter.hit(item, whose)
    window = limiter.get_window_stats(item, whose)
    seconds = max(1, math.ceil(window.reset_time - time.time()))
    policies, states = request.scope.setdefault(RATE_LIMIT_FIELDS, ([], []))
    policies.append(f'"{policy}";q={item.amount};w={item.get_expiry()}')
    states.append(f'"{policy}";r={window.remaining};t={seconds}')
    if not is_within:
        raise Refusal(
            429,
            f"More than {limit} of this {policy}; try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )
