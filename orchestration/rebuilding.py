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
    return _published(warehouse_path, "fingerprint") == fingerprint()


def holds_publication(warehouse_path: Path) -> bool:
    """Whether the warehouse can be opened, and its tables are those of the last publication."""
    return _published(warehouse_path, "is_latest_build") is True


def _published(warehouse_path: Path, column: str) -> object:
    """What the warehouse remembers of its publication; None where there is none, or no warehouse."""
    if not warehouse_path.exists():
        return None
    try:
        with duckdb.connect(str(warehouse_path)) as warehouse:
            found = warehouse.execute(f"select {column} from publication").fetchone()  # noqa: S608 (ours)
    except duckdb.Error:
        return None
    return found and found[0]
