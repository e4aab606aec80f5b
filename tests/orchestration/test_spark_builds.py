"""Whole builds on Spark: readers see what DuckDB's build shows them, and nothing of a killed one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from example_marts import read_server
from spark_here import NEEDS_SPARK

from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.manifest import load_manifest, model_names

pytestmark = [*NEEDS_SPARK, pytest.mark.slow]

# A mart with a row is a large one: everything is read through views.
_BUILD = """
import sys
from pathlib import Path

from funnelhouse.settings import Settings
from orchestration import spark_warehouse
from orchestration.build import run_build

spark_warehouse.LARGE_ROWS = 0
settings = Settings(home=Path(sys.argv[1]), engine="spark", spark_master="local-cluster[2,1,1024]")
report = run_build(settings)
print(report.failures)
sys.exit(not report.published)
"""


def start_build(home: Path) -> subprocess.Popen[str]:
    # Executors of a local cluster write beside what started them.
    environment = {
        **os.environ,
        "SPARK_WORKER_DIR": str(home.with_name("work")),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    # pyspark takes a program without a file for one of its own doctests, and ends it.
    program = home.with_name("build.py")
    program.write_text(_BUILD)
    return subprocess.Popen(
        [sys.executable, str(program), str(home)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_build_is_killed_and_the_next_one_shows_what_duckdb_shows(home_copy: Settings) -> None:
    """`home_copy` is built on DuckDB."""
    on_duckdb = (home_copy.published_dir / "current").resolve()
    killed = start_build(home_copy.home_dir)
    deadline = time.monotonic() + 600
    while not list(home_copy.spark_dir.glob("*/int_events/*.parquet")):
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (home_copy.published_dir / "current").resolve() == on_duckdb
    (left,) = home_copy.spark_dir.iterdir()

    build = start_build(home_copy.home_dir)
    said, _ = build.communicate()
    assert build.returncode == 0, said
    assert not left.exists() and not home_copy.spark_dir.exists()
    folder = (home_copy.published_dir / "current").resolve()
    assert folder != on_duckdb
    marts = model_names(load_manifest(home_copy), "marts")
    assert json.loads((folder / "build.json").read_text())["files"].keys() <= set(marts)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{on_duckdb}/marts.duckdb' as ours (read_only)")
        connection.execute(f"attach '{folder}/marts.duckdb' as theirs (read_only)")
        connection.execute(f"set file_search_path = '{folder.parent}'")
        for mart in marts:
            for one, other in (("ours", "theirs"), ("theirs", "ours")):
                only = f"from {one}.main.{mart} except all from {other}.main.{mart}"
                assert not connection.execute(only).fetchall(), mart
    with read_server(home_copy.home_dir) as server:
        for mart in marts:
            found = [
                server.get(f"/v1/projects/shop/marts/{mart}", format="csv", build=build_id).content
                for build_id in (on_duckdb.name, folder.name)
            ]
            assert found[0] == found[1], mart
    again = run_build(home_copy.model_copy(update={"engine": "spark"}))
    assert again.is_unchanged
