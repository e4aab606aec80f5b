"""The words in which senders say the state of a conversion: what each means, and whether only some take it.

Any other word means approved too, and is flagged as unknown. Four words that mean approved are in the list so
that nobody is warned of them. Case and blanks don't matter, also inside a word (`pre approved`).

`status_words.csv` beside this file is the one list. dbt's seed of that name is a link to it: ingest warns of
words that the models would not know.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Meaning:
    """The state that a word means. An extension is only taken where the dialect or the project says so."""

    state: str
    is_extension: bool


@cache
def status_words() -> dict[str, Meaning]:
    """The known words, in lower case and without blanks."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        return {
            row["word"]: Meaning(row["state"], row["is_extension"] == "true") for row in csv.DictReader(lines)
        }


def meaning(status: str) -> Meaning | None:
    """What a sender's status means, compared as the models do; None for a word that nobody knows."""
    return status_words().get(status.replace(" ", "").lower())
