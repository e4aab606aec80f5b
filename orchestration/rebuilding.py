"""What the warehouse is told of a publication, for the next build to start from.

Everything else about builds of what changed is SQL: dbt_project/macros/rebuilding.sql and
dbt_project/models/intermediate/rebuild.
"""

from pathlib import Path

import duckdb


def mark_published(warehouse_path: Path) -> None:
    """Let the next build start from this one: its tables are those of the publication.

    Called when `current` has moved. A crash in between does no harm: the next build then rebuilds the same
    people again. Raises duckdb.IOException when another process writes the warehouse.
    """
    with duckdb.connect(str(warehouse_path)) as warehouse:
        warehouse.execute("begin")
        warehouse.execute("delete from publication")
        warehouse.execute(
            "insert into publication by name "
            "select fingerprint, position, definitions_position, true as is_latest_build from build_scope"
        )
        warehouse.execute("commit")
