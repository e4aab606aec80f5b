"""What the warehouse is told of a publication, for the next build to start from.

Everything else about incremental builds is SQL: dbt_project/macros/incremental.sql and
dbt_project/models/intermediate/clusters.
"""

from pathlib import Path

import duckdb

from orchestration.manifest import Manifest
from publication.publishing import Changes


def mark_published(warehouse_path: Path, build_id: str) -> None:
    """Let the next build start from this one: its tables are those of the publication of that id.

    Called when `current` has moved. A crash in between does no harm: the next build then works on the same
    events again. Raises duckdb.IOException when another process writes the warehouse.
    """
    with duckdb.connect(str(warehouse_path)) as warehouse:
        warehouse.execute("begin")
        warehouse.execute("delete from publication")
        warehouse.execute(
            "insert into publication by name "
            "select fingerprint, position, definitions_position, true as is_latest_build, ? as build_id "
            "from this_build",
            [build_id],
        )
        warehouse.execute("commit")


def changes_of_build(warehouse_path: Path, manifest: Manifest) -> Changes | None:
    """What the last build changed of the publication that it started from; None when it was a full one.

    A mart whose rows stay from build to build says in its configuration which of them a build replaces.
    """
    with duckdb.connect(str(warehouse_path), read_only=True) as warehouse:
        found = warehouse.execute("select is_incremental, published_build_id from this_build").fetchone()
    if found is None or not found[0] or found[1] is None:
        return None
    rows = {}
    for node in manifest["nodes"].values():
        kept = node["config"]
        if node["resource_type"] == "model" and node["fqn"][1] == "marts" and "replaces" in kept:
            key, listed = kept["kept_by"], f"warehouse.main.{kept['replaces']}"
            condition = f"{key} in (select {key} from {listed})"  # noqa: S608 (names of our models)
            rows[node["name"]] = " or ".join([condition, *filter(None, [kept.get("and_replaces")])])
    return Changes(str(found[1]), rows)


def seeds_are_loaded(warehouse_path: Path, fingerprint: str) -> bool:
    """Whether the seeds' tables are those of the publication, and it is of a project of this fingerprint.

    They were tested then. A build of other files, or one that is to build everything anew, forgets the
    publication before it changes any table.
    """
    return _published(warehouse_path, "fingerprint") == fingerprint


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
