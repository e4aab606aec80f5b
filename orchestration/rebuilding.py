"""What the warehouse must be told for scoped builds: what the project's files are, and that a build was published.

Everything else about them is SQL: dbt_project/macros/rebuilding.sql, dbt_project/models/intermediate/rebuild.
"""

import hashlib
from importlib.metadata import version
from pathlib import Path

import duckdb

from orchestration.manifest import DBT_PROJECT

# A change of anything else, such as a test, leaves every table as it is.
_MADE_FROM = ("dbt_project.yml", "models", "macros", "seeds")


def fingerprint() -> str:
    """SHA-256 of what the tables are made from: SQL, seeds, variables, and the version of the engine."""
    digest = hashlib.sha256(version("duckdb").encode())
    for path in sorted(_files()):
        name = str(path.relative_to(DBT_PROJECT)).encode()
        content = path.read_bytes()
        # Lengths, so that no two projects read the same.
        digest.update(b"%d %d " % (len(name), len(content)) + name + content)
    return digest.hexdigest()


def mark_published(warehouse_path: Path) -> None:
    """Let the next build start from this one: its tables are those of the publication.

    Called when `current` has moved. A crash in between does no harm: the next build then rebuilds the same people
    again. Raises duckdb.IOException when another process writes the warehouse.
    """
    with duckdb.connect(str(warehouse_path)) as warehouse:
        warehouse.execute("begin")
        warehouse.execute("delete from publication")
        warehouse.execute(
            "insert into publication by name "
            "select fingerprint, position, definitions_position, true as is_latest_build from build_scope"
        )
        warehouse.execute("commit")


def _files() -> list[Path]:
    roots = [DBT_PROJECT / name for name in _MADE_FROM]
    return [
        path for root in roots for path in (root.rglob("*") if root.is_dir() else [root]) if path.is_file()
    ]
