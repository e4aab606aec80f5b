"""How something bounded is shared: bytes, places. Whoever comes finds room, however much others hold."""

from collections import Counter
from collections.abc import Hashable


class Shares:
    """A total of which an owner may hold a multiple of what is still free. Belongs to one thread.

    With a multiple of 4 one owner holds at most four fifths, two hold four ninths each: each that holds as
    much as it may leaves room for the next.
    """

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: Counter[Hashable] = Counter()

    def take(self, owner: Hashable, amount: int, multiple: float) -> bool:
        """Give an owner more, unless it would hold more than `multiple` times what is free then."""
        free = self._free - amount
        if free < 0 or self._held[owner] + amount > multiple * free:
            return False
        self._free = free
        self._held[owner] += amount
        return True

    def give_back(self, owner: Hashable, amount: int) -> None:
        """Take back what an owner was given, or a part of it."""
        self._free += amount
        self._held[owner] -= amount
        if not self._held[owner]:
            del self._held[owner]
