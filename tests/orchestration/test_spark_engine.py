"""Builds on Spark: what is missing is said, and what a cluster wrote is read as the contracts say."""

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError
from spark_here import needs_spark

from funnelhouse.settings import Settings
from orchestration import spark_warehouse
from orchestration.spark_warehouse import (
    SparkError,
    check_spark,
    large_marts,
    remove_tables,
    spark_environment,
    tables_dir,
    warehouse_of,
    write_warehouse,
)

BUILD_ID = "20261121T120000000000Z"


@pytest.fixture
def on_spark(home: Settings) -> Settings:
    return home.model_copy(update={"engine": "spark"})


def test_settings_say_which_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Settings(home=tmp_path).engine == "duckdb"
    monkeypatch.setenv("FUNNELHOUSE_ENGINE", "spark")
    monkeypatch.setenv("FUNNELHOUSE_SPARK_MASTER", "spark://10.0.0.5:7077")
    monkeypatch.setenv("FUNNELHOUSE_SPARK_PARTITIONS", "96")
    settings = Settings(home=tmp_path)
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    told = spark_environment(settings, BUILD_ID, {"nodes": {}})
    assert "spark.driver.extraJavaOptions=-Xss8m" in told["PYSPARK_SUBMIT_ARGS"]
    with monkeypatch.context() as own:
        own.setenv("PYSPARK_SUBMIT_ARGS", "--name ours pyspark-shell")
        assert "PYSPARK_SUBMIT_ARGS" not in spark_environment(settings, BUILD_ID, {"nodes": {}})
    assert told["FUNNELHOUSE_SPARK_MASTER"] == "spark://10.0.0.5:7077"
    assert told["FUNNELHOUSE_SPARK_PARTITIONS"] == "96"
    assert told["FUNNELHOUSE_SPARK_WAREHOUSE"] == f"{settings.home_dir}/spark/{BUILD_ID}"
    for name, value in (
        ("FUNNELHOUSE_ENGINE", "hive"),
        ("FUNNELHOUSE_SPARK_MASTER", "https://spark"),
        ("FUNNELHOUSE_SPARK_PARTITIONS", "0"),
    ):
        with monkeypatch.context() as wrong:
            wrong.setenv(name, value)
            with pytest.raises(ValidationError):
                Settings(home=tmp_path)


def test_missing_packages_are_said(on_spark: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_warehouse, "find_spec", lambda _: None)
    with pytest.raises(SparkError, match=r"pip install 'funnelhouse\[spark\]'"):
        check_spark(on_spark)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, "bin has no java"),
        ('openjdk version "1.8.0_402"', "is 8"),
        ('openjdk version "11.0.22"', "is 11"),
        ("", "not say"),
    ],
)
def test_missing_and_old_java_are_said(
    on_spark: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str | None, found: str
) -> None:
    monkeypatch.setattr(spark_warehouse, "find_spec", lambda name: name)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if said is not None:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
        java.chmod(0o755)
    with pytest.raises(SparkError, match=rf"needs Java 17 or newer.*{found}.*install Java 17"):
        check_spark(on_spark)


def test_no_java_at_all_is_said(on_spark: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spark_warehouse, "find_spec", lambda name: name)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SparkError, match="there is no java"):
        check_spark(on_spark)


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A standalone master's web page, which shows the version that is put in."""
    shown = {"version": "3.5.1"}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            page = f'<img src="logo.svg"/><span class="version" style="x">{shown["version"]}</span></a>'
            self.wfile.write(page.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(spark_warehouse, "_UI_PORT", server.server_port)
    yield shown
    server.shutdown()
    server.server_close()


@needs_spark
def test_another_version_of_the_cluster_is_refused_with_both_named(
    on_spark: Settings, master: dict[str, str]
) -> None:
    settings = on_spark.model_copy(update={"spark_master": "spark://127.0.0.1:7077"})
    with pytest.raises(SparkError, match=rf"Spark is {version('pyspark')} here and 3\.5\.1 at spark://127"):
        check_spark(settings)
    master["version"] = version("pyspark")
    check_spark(settings)


def node(name: str, folder: str, columns: dict[str, str], resource_type: str = "model") -> dict[str, Any]:
    return {
        "resource_type": resource_type,
        "name": name,
        "fqn": ["funnelhouse", folder, name],
        "config": {"materialized": "table"},
        "description": f"{name}'s rows.",
        "columns": {
            column: {"name": column, "data_type": data_type, "description": f"The {column}."}
            for column, data_type in columns.items()
        },
    }


MANIFEST = {
    "nodes": {
        "a": node(
            "fct_things", "marts", {"thing_id": "varchar", "happened_at": "timestamp", "minor": "bigint"}
        ),
        "b": node("currencies", "currencies", {}, "seed"),
    }
}


def written(settings: Settings) -> Path:
    """Tables as a cluster writes them: other types that mean the same, several files, an empty one."""
    folder = tables_dir(settings, BUILD_ID)
    for name, query in {
        "fct_things": "select 'a' thing_id, '2026-03-01 12:00:00+00'::timestamptz happened_at, 7::int minor",
        "currencies": "select 'JPY' as currency, 1 as minor_per_major",
    }.items():
        (folder / name).mkdir(parents=True)
        for number, limit in enumerate((1, 0)):
            duckdb.sql(f"{query} limit {limit}").write_parquet(f"{folder}/{name}/part-{number}.parquet")
    return folder


def test_what_a_cluster_wrote_is_read_in_the_contracts_types(on_spark: Settings) -> None:
    path = write_warehouse(written(on_spark), MANIFEST)
    assert path == warehouse_of(on_spark, BUILD_ID)
    with duckdb.connect(str(path), read_only=True) as warehouse:
        warehouse.execute("set timezone = 'Asia/Tokyo'")
        described = warehouse.execute("describe fct_things").fetchall()
        assert [(name, data_type) for name, data_type, *_ in described] == [
            ("thing_id", "VARCHAR"),
            ("happened_at", "TIMESTAMP"),
            ("minor", "BIGINT"),
        ]
        ((thing, at, minor),) = warehouse.execute("from fct_things").fetchall()
        assert (thing, str(at), minor) == ("a", "2026-03-01 12:00:00", 7)
        comments = warehouse.execute(
            "select comment from duckdb_views() where view_name = 'fct_things' union all "
            "select comment from duckdb_columns() where column_name = 'minor'"
        )
        assert comments.fetchall() == [("fct_things's rows.",), ("The minor.",)]


def test_a_mart_that_was_not_written_is_named(on_spark: Settings) -> None:
    folder = written(on_spark)
    (folder / "fct_things" / "part-0.parquet").unlink()
    (folder / "fct_things" / "part-1.parquet").unlink()
    with pytest.raises(SparkError, match="no table for fct_things"):
        write_warehouse(folder, MANIFEST)


def test_tables_of_killed_builds_go(on_spark: Settings) -> None:
    written(on_spark)
    remove_tables(on_spark)
    assert not on_spark.spark_dir.exists()


def test_on_duckdb_the_warehouse_is_what_it_was(home: Settings) -> None:
    assert warehouse_of(home, BUILD_ID) == home.warehouse_path


@needs_spark
def test_large_marts_are_sorted_by_the_cluster(on_spark: Settings, tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    from orchestration.sorting_on_spark import sort, sort_large_marts

    folder = tables_dir(on_spark, BUILD_ID)
    for mart, rows in (("fct_many", 1000), ("fct_few", 10), ("fct_most", 200_000)):
        (folder / mart).mkdir(parents=True)
        duckdb.sql(
            "select 'p' || (i % 7) as project_id, date '2026-01-01' + (i * 37 % 100)::int as fact_date, "
            f"nullif(i % 3, 0) as part, md5(i::varchar) as id from range({rows}) numbers(i)"
        ).write_parquet(f"{folder}/{mart}/part-0.parquet")
    os.environ["TZ"] = "UTC"
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        sort_large_marts(
            {
                "FUNNELHOUSE_SPARK_WAREHOUSE": str(folder),
                "FUNNELHOUSE_SPARK_MARTS": "fct_few,fct_many,fct_none",
                "FUNNELHOUSE_SPARK_LARGE_ROWS": "100",
            }
        )
        assert large_marts(folder).keys() == {"fct_many"}
        sort(session.read.parquet(f"{folder}/fct_many"), folder / "_sorted" / "in_parts", 3)
        sort(session.read.parquet(f"{folder}/fct_most"), tmp_path / "in_groups", 1)
    finally:
        session.stop()
    wanted = duckdb.sql(
        f"from '{folder}/fct_many/*.parquet' order by project_id, fact_date, part, id"
    ).fetchall()
    for name in ("fct_many", "in_parts"):
        files = sorted(str(file) for file in (folder / "_sorted" / name).glob("*.parquet"))
        found = duckdb.sql(f"from read_parquet({files!r})").fetchall()
        # Nothing is last, as in DuckDB's files.
        assert found == wanted
    assert len(files) == 3
    # A look-up of one row reads all of its group.
    (largest,) = duckdb.sql(
        f"select max(row_group_num_rows) from parquet_metadata('{tmp_path}/in_groups/*.parquet')"
    ).fetchall()
    assert largest[0] < 100_000


@pytest.mark.long
def test_a_killed_build_leaves_no_driver_behind() -> None:
    child = (
        "import time; from orchestration.dbt_process import _end_with_parent; _end_with_parent(); "
        "print('ready', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        pid = int(build.stdout.readline())
        build.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
