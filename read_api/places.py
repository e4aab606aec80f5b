"""Places: how much may be done at once, in all and for one project, so that no project takes all of them."""

import threading
import time
from collections import Counter
from types import TracebackType

from funnelhouse.problems import Refusal


class BusyError(Refusal):
    """Too much is being read at once: 503."""

    def __init__(self) -> None:
        super().__init__(503, "Too much is being read at once; try again.", headers={"Retry-After": "1"})


class Place:
    """One taken place; a context manager, or released by hand."""

    def __init__(self, places: "Places", project_id: str) -> None:
        self._places = places
        self._project_id = project_id
        self._is_shared = True
        self._is_held = True

    def write_off(self) -> None:
        """Give the place to other projects while what was begun in it goes on: its own project lacks it."""
        with self._places.changed:
            if self._is_held and self._is_shared:
                self._is_shared = False
                self._places.taken -= 1
                self._places.changed.notify_all()

    def release(self) -> None:
        """Give the place back; releasing twice is harmless."""
        with self._places.changed:
            if self._is_held:
                self._is_held = False
                self._places.taken -= self._is_shared
                self._places.give_back(self._project_id)
                self._places.changed.notify_all()

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shared:
            self.release()


class Places:
    """`in_all` places, of which one project has `of_one` at most; safe to share between threads.

    Who finds none waits up to `wait_seconds`; of one project `waiting_of_one` wait at most, for each of them
    holds a thread. A place that comes free goes to the project that has the
    fewest, then to who waits longest.
    """

    def __init__(self, in_all: int, of_one: int, wait_seconds: float = 0.0, waiting_of_one: int = 0) -> None:
        self.changed = threading.Condition()
        self.taken = 0
        self._in_all = in_all
        self._of_one = of_one
        self._wait_seconds = wait_seconds
        self._waiting_of_one = waiting_of_one
        self._held: Counter[str] = Counter()
        # The project of each waiter, by a number that tells them apart; the longest first.
        self._waiting: dict[object, str] = {}

    def take(self, project_id: str) -> Place:
        """A place for the project; raises BusyError when none came free in time."""
        waiter = object()
        deadline = time.monotonic() + self._wait_seconds
        with self.changed:
            self._waiting[waiter] = project_id
            try:
                of_project = sum(each == project_id for each in self._waiting.values())
                while self._next() is not waiter:
                    left = deadline - time.monotonic()
                    if left <= 0 or of_project > self._waiting_of_one:
                        raise BusyError
                    self.changed.wait(left)
            finally:
                del self._waiting[waiter]
                # Whoever it kept from its turn may go now.
                self.changed.notify_all()
            self.taken += 1
            self._held[project_id] += 1
            return Place(self, project_id)

    def give_back(self, project_id: str) -> None:
        """One place of the project less; under the lock."""
        self._held[project_id] -= 1
        if not self._held[project_id]:
            del self._held[project_id]

    def _next(self) -> object | None:
        """The waiter that may go now; None while nobody may."""
        if self.taken >= self._in_all:
            return None
        may = [each for each, project_id in self._waiting.items() if self._held[project_id] < self._of_one]
        return min(may, key=lambda each: self._held[self._waiting[each]], default=None)
