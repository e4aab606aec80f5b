"""What destinations should know of conversions, as the published mart says it: `fct_forwardings`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from read_api.reader import Reader
from read_api.reports.columns import columns, made
from read_api.reports.conditions import having

MART = "fct_forwardings"
"""Publications of older versions have none."""

_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What one destination should know of a conversion, or why nothing."""

    destination_id: str
    destination_kind: str
    is_wanted: bool
    not_wanted_reason: str | None
    event_name: str | None
    state: str
    value_minor: int | None
    currency: str | None
    learnt_at: datetime


def of_conversion(reader: Reader, project_id: str, conversion_id: str) -> list[Forwarding]:
    """By destination; nothing where the publication knows of none."""
    if MART not in reader.marts:
        return []
    condition, values = having(reader, MART, project_id, "conversion_id", conversion_id)
    found = reader.rows(
        f"select {columns(Forwarding)} from {MART} where {condition} order by destination_id",  # noqa: S608
        values,
    )
    return made(Forwarding, found)


def facts_since(
    reader: Reader, project_id: str, destination_id: str, since: datetime
) -> Iterator[dict[str, Any]]:
    """A destination's rows of conversions that occurred since then (UTC, naive), latest first, as facts.

    Times are `…_us`, Unix microseconds, as `forwarding.deliveries.Facts` has them.
    """
    if MART not in reader.marts:
        return
    names = [column.name for column in reader.marts[MART].columns]
    select = ", ".join(
        f"epoch_us({name}) as {as_fact(name)}" if name.endswith("_at") else name for name in names
    )
    shown = [as_fact(name) for name in names]
    after: tuple[object, ...] = ()
    while True:
        further = "and (occurred_at, conversion_id) < (?, ?)" if after else ""
        rows, _ = reader.first_rows(
            f"""
            select {select}, occurred_at
            from {MART}
            where project_id = ? and destination_id = ? and occurred_at >= ? {further}
            order by occurred_at desc, conversion_id desc
            limit ?
            """,  # noqa: S608
            [project_id, destination_id, since, *after, _AT_ONCE],
        )
        for *values, occurred_at in rows:
            facts = dict(zip(shown, values, strict=True))
            yield facts
            after = (occurred_at, facts["conversion_id"])
        if not rows:
            return


def as_fact(column: str) -> str:
    """What a column is called among facts."""
    return f"{column.removesuffix('_at')}_us" if column.endswith("_at") else column
