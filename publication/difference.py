"""Which rows of a published mart a build changed: found by comparing, and replaced one by one.

A build says which rows may differ, often those of some people with all that they ever did; of reports it says
nothing. What does differ is far less: rows are compared by hashes of 64 bits, those of reports on the days
whose sums of hashes differ.
"""

from dataclasses import dataclass

import duckdb

from publication.tables import Table, identifier, listed, order_of

MOST_CHANGED = 0.3
"""Of a mart's rows: where more differ, all are copied, which also sorts them."""

_MODEL = "model"
"""Rows of a model that learns differ on every day with every build, those of others on few."""


@dataclass(frozen=True)
class Difference:
    """The rows of a mart that were replaced.

    `keys` are its columns of project, day and model. `last` was the greatest row number, `kept` are the count
    and the sum of the row numbers that stayed. The temporary tables of `removed` and `added` have
    `row_number`, those of the publication before and of the warehouse, and `key_1` and so on.
    """

    mart: str
    keys: tuple[str, ...]
    last: int
    kept: tuple[int, int]

    @property
    def removed(self) -> str:
        """The table of rows that are gone."""
        return f"removed_{self.mart}"

    @property
    def added(self) -> str:
        """The table of rows that came."""
        return f"added_{self.mart}"

    def on_changed_days(self, **given: str) -> str:
        """The condition that a row with the same keys was removed or added; keys may be `given`, as SQL."""
        same = " and ".join(
            f"days.key_{number} is not distinct from {given.get(name, identifier(name))}"
            for number, name in enumerate(self.keys, 1)
        )
        keys = ", ".join(f"key_{number}" for number in range(1, len(self.keys) + 1))
        days = f"select {keys} from {self.removed} union select {keys} from {self.added}"  # noqa: S608
        return f"exists (select 1 from ({days}) as days where {same})"  # noqa: S608

    def stayed(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the rows that were not replaced have the numbers that they had.

        A checkpoint may close the gaps that deleted rows leave: then the sum is another, or there are more.
        """
        found = connection.execute(
            f"select count(*), coalesce(sum(rowid), 0) from published.main.{self.mart} where rowid <= ?",  # noqa: S608
            [self.last],
        ).fetchone()
        return found == self.kept


def replace_rows(
    connection: duckdb.DuckDBPyConnection, mart: Table, changed: str | None
) -> Difference | None:
    """Replace those rows of `published` that differ from those of `warehouse`; both have the mart's types.

    `changed` is the condition of those that may. None where most rows differ, or where it is not known and
    rows are of no day: then nothing is replaced.
    """
    keys = order_of(mart.types)[:2]
    if changed is None and len(keys) < 2:
        return None
    keys += [_MODEL] if _MODEL in mart.types else []
    where = f"({changed})" if changed else _on_changed_days(connection, mart, keys)
    keyed = "".join(f", {identifier(name)} as key_{number}" for number, name in enumerate(keys, 1))
    hashed = f"hash({listed([*mart.columns])})"
    for name, side in (("before", "published"), ("after", "warehouse")):
        connection.execute(
            f"create or replace temp table {name} as "  # noqa: S608
            f"select rowid as row_number{keyed}, {hashed} as row_hash from {side}.main.{mart.name} "
            f"where {where}"
        )
    # Of rows that are the same there may be another number.
    connection.execute(
        "create or replace temp table differing as select row_hash from ("
        "select row_hash, 1 as one from after union all select row_hash, -1 from before"
        ") group by row_hash having sum(one) <> 0"
    )
    counts = {}
    for name, of in (("removed", "before"), ("added", "after")):
        ((counts[name],),) = connection.execute(
            f"create or replace temp table {name}_{mart.name} as "  # noqa: S608
            f"select * exclude (row_hash) from {of} semi join differing using (row_hash)"
        ).fetchall()
    rows, numbers, last = connection.execute(
        f"select count(*), coalesce(sum(rowid), 0), coalesce(max(rowid), -1) from published.main.{mart.name}"  # noqa: S608
    ).fetchall()[0]
    if max(counts.values()) > rows * MOST_CHANGED:
        return None
    ((removed_numbers,),) = connection.execute(
        f"select coalesce(sum(row_number), 0) from removed_{mart.name}"  # noqa: S608
    ).fetchall()
    found = Difference(mart.name, tuple(keys), last, (rows - counts["removed"], numbers - removed_numbers))
    if counts["removed"]:
        connection.execute(
            f"delete from published.main.{mart.name} where rowid in (select row_number from {found.removed})"  # noqa: S608
        )
    if counts["added"]:
        connection.execute(
            f"insert into published.main.{mart.name} by name from warehouse.main.{mart.name} "  # noqa: S608
            f"where rowid in (select row_number from {found.added}) "
            f"order by {listed(order_of(mart.types)) or 'all'}"
        )
    return found


def _on_changed_days(connection: duckdb.DuckDBPyConnection, mart: Table, keys: list[str]) -> str:
    """The condition on rows of those days of projects whose rows are not those published.

    Rows of a day are compared by their number and the sum of their hashes.
    """
    days = " union all ".join(
        f"select {listed(keys)}, count(*) as day_rows, sum(hash({listed([*mart.columns])})) as hashes "  # noqa: S608
        f"from {side}.main.{mart.name} group by {listed(keys)}"
        for side in ("published", "warehouse")
    )
    connection.execute(
        f"create or replace temp table changed_days as select {listed(keys)} "  # noqa: S608
        f"from ({days}) group by {listed(keys)}, day_rows, hashes having count(*) = 1"
    )
    same = " and ".join(
        f"changed_days.{name} is not distinct from {mart.name}.{name}" for name in map(identifier, keys)
    )
    return f"exists (select 1 from changed_days where {same})"  # noqa: S608
