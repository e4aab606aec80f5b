"""Marts as another engine leaves them: a folder of Parquet files for each, made here from DuckDB's tables."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import duckdb
from example_marts import FACTS, Rows, contract, write_warehouse

from funnelhouse.settings import Settings
from publication.layout import new_build_id
from publication.publishing import Publication, publish
from publication.tables import order_of

PARTS = 3


def publish_in_files(
    settings: Settings, rows: Rows, at: datetime, sql: str = "", tables: Collection[str] = ()
) -> Publication:
    """As `publish_rows`, but every mart that has rows is a view, besides those of `tables`."""
    settings.home_dir.mkdir(parents=True, exist_ok=True)
    write_warehouse(settings.warehouse_path, rows, sql)
    files = write_files(settings.warehouse_path, settings.spark_dir / new_build_id(at), tables)
    return publish(
        settings.warehouse_path,
        settings.published_dir,
        list(contract()),
        new_build_id(at),
        at,
        FACTS,
        files=files,
    )


def write_files(warehouse: Path, folder: Path, tables: Collection[str] = ()) -> dict[str, Path]:
    """Write the marts that have rows, each in a few files of several row groups; their times have a zone."""
    written = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set timezone = 'America/Lima'")
        found = connection.execute("select table_name from duckdb_tables() order by 1").fetchall()
        for (mart,) in found:
            described = connection.execute(f"describe {mart}").fetchall()
            types = {name: data_type for name, data_type, *_ in described}
            count = connection.table(mart).count("*").fetchall()[0][0]
            if not count or mart in tables:
                continue
            order = ", ".join([*order_of(types), *(name for name in types if name not in order_of(types))])
            times = [name for name, data_type in types.items() if data_type == "TIMESTAMP"]
            with_zone = ", ".join(f"{name} at time zone 'UTC' as {name}" for name in times)
            replaced = f"replace ({with_zone})" if times else ""
            written[mart] = folder / mart
            written[mart].mkdir(parents=True)
            (written[mart] / "_SUCCESS").touch()
            size = -(-count // PARTS)
            for number, start in enumerate(range(0, count, size)):
                connection.execute(
                    f"copy (select * {replaced} from "
                    f"(from {mart} order by {order} limit {size} offset {start})) "
                    f"to '{written[mart]}/part-{number:05}-c000.zstd.parquet' (row_group_size 2048)"
                )
    return written
