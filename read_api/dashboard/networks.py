"""Affiliate networks: what each puts into an address of ours, by `networks.csv` beside this file.

    click_id_param    parameter of the network's link that takes our click id
    click_id          macro in a postback that gives it back
    transaction_id    macro for the network's id of the conversion
    payout            macro for what is earned, in major units
    status            macro for a word that says what became of it; none where it is a number, or not told
    source            public page that names them

Nothing else reads the list, and no figure depends on it: it is no seed of the models.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("networks.csv")

HIT = "{hit}"
"""What links put in: the id of the page view."""


@dataclass(frozen=True)
class Network:
    """One of them."""

    network_id: str
    name: str
    click_id_param: str
    click_id: str
    transaction_id: str
    payout: str
    status: str
    source: str

    @property
    def parameters(self) -> dict[str, str]:
        """Those of a postback."""
        said = {
            "hit": self.click_id,
            "tx": self.transaction_id,
            "rev": self.payout,
            "status": self.status,
        }
        return {name: macro for name, macro in said.items() if macro}

    @property
    def link_parameter(self) -> str:
        """What the address of an offer of the network has at its end."""
        return f"{self.click_id_param}={HIT}"


ANY = Network("", "Another network", "clickid", "REPLACE", "REPLACE", "REPLACE", "", "")
"""What the postback of a network that is not listed looks like."""


@cache
def networks() -> dict[str, Network]:
    """By id, in the order of the file."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {row["network_id"]: Network(**row) for row in csv.DictReader(file)}
