"""Domains below which strangers register theirs: no cookie may be set for all of them.

`public_suffixes.csv` beside this file is the one list. dbt's seed of that name is a link to it: ingest
refuses a cookie's domain by the rules by which the models tell sites apart. It is made from the Public Suffix
List; its licence stands beside the seed.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple


class _Rule(NamedTuple):
    suffix_labels: int
    is_exception: bool


def is_public_suffix(host: str) -> bool:
    """Whether a host, in lower case, is a public suffix; a name without a dot is one, listed or not."""
    labels = host.split(".")
    domains = (".".join(labels[start:]) for start in range(len(labels)))
    found = [rule for domain in domains for rule in _rules().get(domain, ())]
    exceptions = [rule for rule in found if rule.is_exception]
    return max((rule.suffix_labels for rule in exceptions or found), default=1) >= len(labels)


@cache
def _rules() -> Mapping[str, list[_Rule]]:
    rules: dict[str, list[_Rule]] = {}
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            rule = _Rule(int(row["suffix_labels"]), row["is_exception"] == "true")
            rules.setdefault(row["domain"], []).append(rule)
    return rules
