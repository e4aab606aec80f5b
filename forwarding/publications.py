"""What the newest publication says that destinations should know, compared with what they were told.

The marts file is opened read-only by its real path, beside a DuckDB in memory. What is compared goes through
it in steps of the conversions' ids, so that a million rows need little memory; facts are read of those rows
only that are to be planned.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import duckdb
import pyarrow as pa

from forwarding.outbox.schema import DestinationKey
from publication.files import find_files
from publication.layout import (
    CURRENT,
    KEPT_FILE,
    MARTS_FILE,
    Published,
    published_builds,
    read_build,
    read_kept,
)

MART = "fct_forwardings"

RETRACTED = "retracted"
"""Fingerprint of what was taken back."""

TAKEN_BACK = ("rejected", "refunded", "pending")
"""Reasons not to be wanted for which what was told is taken back; any other leaves it as it is."""

Todo = Literal["tell", "retract", "leave"]
"""What a difference asks for. `leave`: cancel what waits, and leave what was told."""

Compared = tuple[str, str | None, str | None]
"""Of a conversion: its id, the fingerprint last planned, and that of what was told."""

MEMORY = "256MB"

Row = tuple[str, Todo, dict[str, Any] | None]
"""A conversion, what it asks for, and its facts; None where its row is gone."""

FACTS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """A destination in a publication. `version`: the newest of its definition that the build saw."""

    version: int
    rows: int


def version_of_published(published_dir: Path) -> tuple[object, ...]:
    """Differs when what `newest_publication` returns may differ; cheap."""
    try:
        kept = published_dir / KEPT_FILE
        return (
            *((published_dir / CURRENT).readlink(), published_dir.stat().st_mtime_ns),
            kept.stat().st_mtime_ns if kept.exists() else 0,
        )
    except OSError:
        return ()


def newest_publication(published_dir: Path) -> tuple[Path, Published] | None:
    """The real folder of the newest publication; None while there is none, or readers are held at a build.

    Nor for an older build that readers were sent back to: a plan would undo what is right.
    """
    current = published_dir / CURRENT
    try:
        folder = current.resolve(strict=True)
        if read_kept(published_dir).held is not None or published_builds(published_dir)[-1] != folder.name:
            return None
    except (OSError, IndexError):
        return None
    published = read_build(folder)
    return None if published is None else (folder, published)


@contextmanager
def opened(folder: Path) -> Iterator["Forwardings | None"]:
    """The forwardings of a publication; None when it has none. Raises duckdb.Error."""
    path = str(folder / MARTS_FILE).replace("'", "''")
    with (
        TemporaryDirectory(prefix="funnelhouse-plan-") as spill,
        duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "temp_directory": spill}) as connection,
    ):
        connection.execute(f"attach '{path}' as marts (read_only)")
        find_files(connection, folder)
        columns = connection.execute(
            "select column_name, data_type from duckdb_columns()"
            " where database_name = 'marts' and schema_name = 'main' and table_name = ?"
            " order by column_index",
            [MART],
        ).fetchall()
        yield Forwardings(connection, columns) if columns else None


class Forwardings:
    """`fct_forwardings` of one publication."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[tuple[str, str]]) -> None:
        self._connection = connection
        # Times are integers, of the same name otherwise.
        self._facts = ", ".join(
            f'epoch_us(f."{name}") as "{name.removesuffix("_at")}_us"'
            if name.endswith("_at") and data_type.startswith("TIMESTAMP")
            else f'f."{name}"'
            for name, data_type in columns
        )

    def destinations(self) -> dict[DestinationKey, Found]:
        """The destinations that have rows."""
        rows = self._connection.execute(
            "select project_id, destination_id, max(destination_version), count(*)"  # noqa: S608
            f" from marts.main.{MART} group by all"
        ).fetchall()
        return {(row[0], row[1]): Found(row[2], row[3]) for row in rows}

    def since(self, key: DestinationKey, since_us: int) -> Iterator[dict[str, Any]]:
        """The facts of a destination's rows whose conversions occurred from a time on, newest first."""
        reader = (
            self._connection.cursor()
            .execute(
                f"select {self._facts} from marts.main.{MART} f"  # noqa: S608
                " where project_id = ? and destination_id = ? and epoch_us(occurred_at) >= ?"
                " order by occurred_at desc, conversion_id",
                [*key, since_us],
            )
            .to_arrow_reader(FACTS_AT_ONCE)
        )
        for batch in reader:
            yield from batch.to_pylist()

    def differences(
        self, key: DestinationKey, compared: Sequence[Compared], after: str | None, until: str | None
    ) -> pa.Table:
        """What differs of the conversions behind `after`, up to and with `until`: `conversion_id`, `todo`.

        `compared` are all of these that anything was ever planned of, in order.
        """
        known = pa.table(
            {
                name: pa.array([row[position] for row in compared], pa.string())
                for position, name in enumerate(("conversion_id", "planned", "told"))
            }
        )
        bounds, values = "", list(key)
        if after is not None:
            bounds, values = bounds + " and conversion_id > ?", [*values, after]
        if until is not None:
            bounds, values = bounds + " and conversion_id <= ?", [*values, until]
        self._connection.register("known", known)
        try:
            return self._connection.execute(
                f"""
                with wanted as (
                    select
                        conversion_id, fingerprint, not_wanted_reason = 'before_since' as is_early,
                        case
                            when is_wanted then 'tell'
                            when not_wanted_reason in {TAKEN_BACK} then 'retract'
                            else 'leave'
                        end as todo
                    from marts.main.{MART} where project_id = ? and destination_id = ?{bounds}
                ),
                compared as (
                    select
                        conversion_id,
                        -- What was told before the destination was switched off is kept right all the same.
                        case
                            when is_early and told <> '{RETRACTED}' then 'tell'
                            else coalesce(todo, 'retract')
                        end as to_do,
                        case to_do
                            when 'tell' then fingerprint
                            when 'retract' then case when planned is not null then '{RETRACTED}' end
                            else told
                        end as to_know,
                        planned
                    from wanted full join known using (conversion_id)
                )
                select conversion_id, to_do as todo from compared where to_know is distinct from planned
                """,  # noqa: S608
                values,
            ).to_arrow_table()
        finally:
            self._connection.unregister("known")

    def facts(self, key: DestinationKey, chosen: pa.Table) -> Iterator[list[Row]]:
        """What `differences` gave, with the facts of each, by 10,000 at most."""
        connection = self._connection.cursor()
        connection.register("chosen", chosen)
        reader = connection.execute(
            f"select c.conversion_id as chosen_id, c.todo as chosen_todo, {self._facts}"  # noqa: S608
            f" from chosen c left join marts.main.{MART} f"
            " on f.conversion_id = c.conversion_id and f.project_id = ? and f.destination_id = ?",
            list(key),
        ).to_arrow_reader(FACTS_AT_ONCE)
        for batch in reader:
            for start in range(0, batch.num_rows, FACTS_AT_ONCE):
                part = batch.slice(start, FACTS_AT_ONCE).to_pylist()
                yield [
                    (
                        row.pop("chosen_id"),
                        row.pop("chosen_todo"),
                        row if row["conversion_id"] is not None else None,
                    )
                    for row in part
                ]


def facts_of(folder: Path, key: DestinationKey, conversion_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Facts of conversions in a publication, of those that are wanted there. Raises duckdb.Error."""
    with opened(folder) as forwardings:
        if forwardings is None:
            return {}
        chosen = pa.table(
            {"conversion_id": pa.array(conversion_ids), "todo": pa.array(["tell"] * len(conversion_ids))}
        )
        rows = [row for part in forwardings.facts(key, chosen) for row in part]
    return {
        conversion_id: facts for conversion_id, _, facts in rows if facts is not None and facts["is_wanted"]
    }
