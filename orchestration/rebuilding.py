"""What the warehouse is told of a publication, for the next build to start from.

Everything else about builds of what changed is SQL: dbt_project/macros/rebuilding.sql and
dbt_project/models/intermediate/rebuild.
"""

from pathlib import Path

import duckdb

from orchestration.manifest import fingerprint


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


def seeds_are_loaded(warehouse_path: Path) -> bool:
    """Whether the seeds' tables are those of the publication, and it is of these very files.

    They were tested then. A build of other files, or one that is to build everything anew, forgets the
    publication before it changes any table.
    """
    if not warehouse_path.exists():
        return False
    with duckdb.connect(str(warehouse_path)) as warehouse:
        if not warehouse.execute("from duckdb_tables() where table_name = 'publication'").fetchall():
            return False
        found = warehouse.execute("select fingerprint from publication").fetchall()
    return found == [(fingerprint(),)]
