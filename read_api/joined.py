"""Rows of a slice beside columns of other marts: rows are grouped by what they can be filtered by."""

from collections.abc import Iterable, Sequence
from typing import Any

from read_api.slices import REACHED_BY, Slice

_SEVERAL = ("fct_attribution", "fct_goal_completions")
"""Marts that have several rows of one key: a row is beside each of their values."""


def joined(rows: Slice, paths: Sequence[str], relation: str = "") -> tuple[str, list[str], list[object]]:
    """What follows FROM, the SQL of the column at the end of each path, and the values to bind.

    The mart's own columns need no prefix. What a path leads to nothing for is null, as `where` has it.
    `relation` stands in the mart's place (`read_api/summed.py`).
    """
    condition, values = rows.condition
    relation = f"(select * from {relation or rows.mart} where {condition}) as own"  # noqa: S608
    bound = list(values)
    columns = []
    for number, path in enumerate(paths):
        mart, _, rest = path.partition(".")
        if not rest:
            columns.append(f"own.{path}")
            continue
        key, name = REACHED_BY[mart], f"reached_{number}"
        is_several = mart in _SEVERAL
        # Rows that the condition leaves out are not even read.
        known = () if is_several else tuple(_within(mart, rows))
        inner, [column], more = joined(Slice(mart, rows.project_id, known), [rest])
        distinct = "distinct " if is_several else ""
        relation += (
            f" left join (select {distinct}own.{key} as reached_key, {column} as reached from {inner}) "  # noqa: S608
            f"as {name} on own.{key} = {name}.reached_key"
        )
        bound += more
        columns.append(f"{name}.reached")
    return relation, columns, bound


def _within(mart: str, rows: Slice) -> Iterable[tuple[str, Any]]:
    """The slice's conditions on another mart, as conditions of that mart's own rows."""
    for name, value in rows.filters:
        of, _, rest = name.partition(".")
        if of == mart:
            yield rest, value
