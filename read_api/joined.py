"""Rows of a slice beside columns of other marts: rows are grouped by what they can be filtered by."""

from collections.abc import Sequence
from dataclasses import replace

from publication.derived import CONVERTING_SESSIONS
from publication.layout import DERIVED
from read_api.reader import Reader
from read_api.slices import REACHED_BY, Slice, excludes

_SEVERAL = ("fct_attribution", "fct_goal_completions")
"""Marts that have several rows of one key: a row is beside each of their values."""


def joined(
    reader: Reader, rows: Slice, paths: Sequence[str], relation: str = ""
) -> tuple[str, list[str], list[object]]:
    """What follows FROM, the SQL of the column at the end of each path, and the values to bind.

    The mart's own columns need no prefix. What a path leads to nothing for is null, as `where` has it.
    `relation` stands in the mart's place (`read_api/summed.py`).
    """
    reached = {path.partition(".")[0] for path in paths if "." in path}
    conditions = {mart: () if mart in _SEVERAL else rows.reaching(mart) for mart in reached}
    # The join itself leaves out what their conditions do.
    choosing = {mart for mart, each in conditions.items() if not all(excludes(*one) for one in each)}
    own = replace(rows, filters=tuple(f for f in rows.filters if f[0].partition(".")[0] not in choosing))
    condition, values = own.condition
    found = f"(select * from {relation or rows.mart} where {condition}) as own"  # noqa: S608
    bound = list(values)
    columns = []
    for number, path in enumerate(paths):
        mart, _, rest = path.partition(".")
        if not rest:
            columns.append(f"own.{path}")
            continue
        key, name = REACHED_BY[mart], f"reached_{number}"
        of_mart = Slice(mart, rows.project_id, conditions[mart])
        inner, [column], more = joined(reader, of_mart, [rest], _fewer(reader, rows.mart, mart))
        distinct = "distinct " if mart in _SEVERAL else ""
        selected = f"select {distinct}own.{key} as reached_key, {column} as reached from {inner}"  # noqa: S608
        how = "inner" if mart in choosing else "left"
        found += f" {how} join ({selected}) as {name} on own.{key} = {name}.reached_key"
        bound += more
        columns.append(f"{name}.reached")
    return found, columns, bound


def _fewer(reader: Reader, mart: str, reached: str) -> str:
    """A relation with those rows of a mart that another one reaches at all; the mart where there is none."""
    if (mart, reached) == ("fct_conversions", "fct_sessions") and CONVERTING_SESSIONS in reader.prepared:
        return f"{DERIVED}.{CONVERTING_SESSIONS}"
    return reached
