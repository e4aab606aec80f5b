"""Which relation answers a question of sums: the mart, or a table in which it is summed already."""

from collections.abc import Iterable

from publication.layout import TWIN
from read_api.reader import Reader
from read_api.slices import Slice


def relation_of(reader: Reader, rows: Slice, columns: Iterable[str]) -> str:
    """What stands after FROM in the mart's place: the relation with the fewest rows that gives the same sums.

    `columns` are all that the query names beside sums and the slice's own conditions. Rows are others than
    the mart's: they can't be counted.
    """
    named = {"project_id", *rows.columns, *columns}
    for table in reader.summed.get(rows.mart, ()):
        if named <= table.columns:
            if rows.mart not in reader.converted:
                return table.name
            twins = sorted(name for name in table.columns if TWIN + name in table.columns)
            replaced = ", ".join(f"{TWIN}{name} as {name}" for name in twins)
            return f"(select * replace ({replaced}) from {table.name})"  # noqa: S608
    return rows.mart
