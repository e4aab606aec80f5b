"""Counters for rate limits of the library `limits`, in this process's memory."""

import time

from limits.storage import Storage

MOST_COUNTERS = 20_000


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
