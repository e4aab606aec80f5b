"""Large marts in the order in which they are published, sorted by the cluster that has built them.

Runs in the process of dbt, whose session is still open.
"""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col
from pyspark.sql.types import DateType

FILE_BYTES = 256_000_000
"""About as much of a mart is one file."""

ROW_GROUP_BYTES = 2_000_000
"""Whoever looks up one row reads all of its group, and of Parquet's usual 128 MB a mart may be only one."""


def sort_large_marts(environment: dict[str, str]) -> None:
    """Write each mart that has more rows than are copied into `_sorted/<mart>`, sorted.

    `environment` is that of the build. Raises what Spark raises.
    """
    folder = Path(environment["FUNNELHOUSE_SPARK_WAREHOUSE"])
    session = SparkSession.builder.getOrCreate()
    for mart in environment["FUNNELHOUSE_SPARK_MARTS"].split(","):
        if not any((folder / mart).glob("*.parquet")):
            continue
        table = session.read.parquet(str(folder / mart))
        # Parquet's footers know it.
        if table.count() > int(environment["FUNNELHOUSE_SPARK_LARGE_ROWS"]):
            size = sum(file.stat().st_size for file in (folder / mart).glob("*.parquet"))
            sort(table, folder / "_sorted" / mart, -(-size // FILE_BYTES))


def sort(table: DataFrame, folder: Path, files: int) -> None:
    """Write a table's rows by project, then by days, then by everything else: as a mart in DuckDB's file."""
    days = [field.name for field in table.schema if isinstance(field.dataType, DateType)]
    first = [*(["project_id"] if "project_id" in table.columns else []), *days]
    order = [col(f"`{name}`").asc_nulls_last() for name in dict.fromkeys([*first, *table.columns])]
    spread = table.repartitionByRange(files, *order) if files > 1 else table.coalesce(1)
    written = spread.sortWithinPartitions(*order).write.option("compression", "zstd")
    written.option("parquet.block.size", ROW_GROUP_BYTES).parquet(str(folder))
