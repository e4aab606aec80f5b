"""The parameters of addresses that carry an ad click, the one that counts first of several at the front.

`click_id_types.csv` beside this file is the one list. dbt's seed of that name is a link to it: what ingest
takes for a click id is what the models know.
"""

import csv
from pathlib import Path


def _in_order() -> tuple[str, ...]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: int(row["precedence"]))
    return tuple(row["click_id_type"] for row in rows)


CLICK_ID_TYPES = _in_order()
