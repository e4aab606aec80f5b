"""The order of a project's currencies, of which no two amounts compare."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from read_api.slices import Figure, Number


@dataclass(frozen=True)
class Currencies:
    """The order in which a project's currencies stand on all pages.

    The project's own is the first, then those of most conversions: amounts of two currencies don't compare.
    """

    own: str
    conversions: Mapping[str, Number]

    def in_order(self, currencies: Iterable[str]) -> list[str]:
        """These currencies in that order."""
        return sorted(
            set(currencies), key=lambda each: (each != self.own, -self.conversions.get(each, 0), each)
        )

    def main(self, amounts: Mapping[str, Figure]) -> str:
        """The currency to draw: the first that has money, else the first at all."""
        found = self.in_order(amounts)
        return next((each for each in found if amounts[each]), found[0] if found else self.own)
