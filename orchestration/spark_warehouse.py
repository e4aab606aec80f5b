"""Builds on Spark: what they need, and their tables as DuckDB reads them.

spark/<build id>/<name>/*.parquet          the table of a model or seed
spark/<build id>/_sorted/<mart>/*.parquet  a large mart once more, in the order in which it is published
spark/<build id>/warehouse.duckdb          views over the tables: what checks and publication open

Every build is a full one, in a folder of its own, which goes when its marts are published.
"""

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb

from funnelhouse.settings import Settings
from orchestration.manifest import Manifest, model_names
from publication.files import reading, stored_types, typed

LARGE_ROWS = 5_000_000
"""Marts with more rows are sorted by the cluster, and published as it wrote them; the others are copied."""

SORTED = "_sorted"

OLDEST_JAVA = 17

_WAREHOUSE = "warehouse.duckdb"

# Plans of our models are deep, and Spark walks through them by recursion.
_SUBMITTED = (
    "--conf spark.driver.extraJavaOptions=-Xss8m --conf spark.executor.extraJavaOptions=-Xss8m pyspark-shell"
)

# Of its web page, which has no other form.
_UI_PORT = 8080
_UI_VERSION = re.compile(r'class="version"[^>]*>\s*([0-9][0-9A-Za-z.-]*)')
_UI_WITHIN_S = 5.0


class SparkError(Exception):
    """Spark can't be used; the message says what is missing or differs, and what to do."""


def is_on_spark(settings: Settings) -> bool:
    """Whether builds run on Spark."""
    return settings.engine == "spark"


def tables_dir(settings: Settings, build_id: str) -> Path:
    """Folder in which a build writes its tables."""
    return settings.spark_dir / build_id


def warehouse_of(settings: Settings, build_id: str) -> Path:
    """The DuckDB file by which a build's tables are read, on either engine."""
    if not is_on_spark(settings):
        return settings.warehouse_path
    return tables_dir(settings, build_id) / _WAREHOUSE


def remove_tables(settings: Settings) -> None:
    """Delete the tables of all builds. The caller holds the build lock, and no build needs them any more.

    What a cluster that was left alone still writes goes with the next one's.
    """
    shutil.rmtree(settings.spark_dir, ignore_errors=True)


def spark_environment(settings: Settings, build_id: str, manifest: Manifest) -> dict[str, str]:
    """Variables for dbt on Spark. It reads the second and third in its profile."""
    submitted = {} if "PYSPARK_SUBMIT_ARGS" in os.environ else {"PYSPARK_SUBMIT_ARGS": _SUBMITTED}
    return {
        **submitted,
        "FUNNELHOUSE_SPARK_WAREHOUSE": str(tables_dir(settings, build_id)),
        "FUNNELHOUSE_SPARK_MASTER": settings.spark_master,
        "FUNNELHOUSE_SPARK_PARTITIONS": str(settings.spark_partitions),
        # By it the sorting knows what is published.
        "FUNNELHOUSE_SPARK_MARTS": ",".join(model_names(manifest, "marts")),
        "FUNNELHOUSE_SPARK_LARGE_ROWS": str(LARGE_ROWS),
        # Python's times without a zone are UTC's, as Spark's are.
        "TZ": "UTC",
    }


def check_spark(settings: Settings) -> None:
    """Raises SparkError where a build on Spark could not begin: before anything is started."""
    if find_spec("pyspark") is None or find_spec("dbt.adapters.spark") is None:
        raise SparkError(
            "FUNNELHOUSE_ENGINE is spark, and Spark's packages are not installed: "
            "pip install 'funnelhouse[spark]'. Without the setting, builds run on DuckDB."
        )
    _check_java()
    ours, theirs = version("pyspark"), _version_of_master(settings.spark_master)
    if theirs is not None and theirs != ours:
        raise SparkError(
            f"Spark is {ours} here and {theirs} at {settings.spark_master}: they must be the same. "
            f"Install Spark {ours} there, the version that is tested."
        )


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    remedy = f"install Java {OLDEST_JAVA} (openjdk-{OLDEST_JAVA}-jre-headless), or set JAVA_HOME"
    if java is None:
        where = f"{home}/bin has no java" if home else "there is no java"
        raise SparkError(f"Spark needs Java {OLDEST_JAVA} or newer, and {where}: {remedy}.")
    said = subprocess.run(  # noqa: S603 (the machine's own)
        [java, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    found = re.search(r'version "(?:1\.)?([0-9]+)', said.stderr + said.stdout)
    if found is None or int(found[1]) < OLDEST_JAVA:
        is_said = f"is {found[1]}" if found else "does not say its version"
        raise SparkError(f"Spark needs Java {OLDEST_JAVA} or newer, and {java} {is_said}: {remedy}.")


def _version_of_master(master: str) -> str | None:
    """The version that the web page of a standalone master shows; None where there is none to be read.

    Where it is elsewhere or off, another version is refused by Spark itself, in its words.
    """
    host = re.match(r"spark://(\[[^\]]+\]|[^:,]+)", master)
    if host is None:
        return None
    try:
        with urllib.request.urlopen(f"http://{host[1]}:{_UI_PORT}/", timeout=_UI_WITHIN_S) as page:
            found = _UI_VERSION.search(page.read(200_000).decode(errors="replace"))
    except (OSError, ValueError):
        return None
    return found[1] if found else None


def write_warehouse(folder: Path, manifest: Manifest) -> Path:
    """Write the file of views over a build's tables; returns its path.

    Types are those that the models' contracts promise, comments are their descriptions. Raises SparkError
    where a model has no table.
    """
    path = folder / _WAREHOUSE
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.begin()
        for node in manifest["nodes"].values():
            if node["resource_type"] not in ("model", "seed") or node["config"]["materialized"] == "view":
                continue
            files = sorted((folder / node["name"]).glob("*.parquet"))
            if files:
                _create_view(connection, node, files)
            elif node["fqn"][1] == "marts":
                raise SparkError(f"Spark wrote no table for {node['name']} in {folder}; build again.")
        connection.commit()
    return path


def large_marts(folder: Path) -> dict[str, Path]:
    """Folders of the marts that the cluster has sorted, by name."""
    return {path.name: path for path in sorted((folder / SORTED).glob("*")) if path.is_dir()}


def _create_view(connection: duckdb.DuckDBPyConnection, node: Mapping[str, Any], files: list[Path]) -> None:
    stored = stored_types(connection, files)
    promised = {
        name: column["data_type"].upper()
        for name, column in node["columns"].items()
        if column.get("data_type")
    }
    shown = ", ".join(typed(name, each, promised.get(name, each)) for name, each in stored.items())
    name = node["name"]
    connection.execute(f'create view "{name}" as select {shown} from {reading(map(str, files))}')  # noqa: S608
    if node.get("description"):
        connection.execute(f'comment on view "{name}" is {_text(node["description"])}')
    for column in node["columns"].values():
        if column["name"] in stored and column.get("description"):
            connection.execute(
                f'comment on column "{name}"."{column["name"]}" is {_text(column["description"])}'
            )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
