"""The same record on DuckDB and on a Spark cluster: every mart, row for row, to the cent."""

import os
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from dbt_cli import run_dbt
from histories import batches
from journey import send_all
from on_spark import check_ended, differences, executors, start_dbt
from servers import start_ingest
from spark_here import NEEDS_SPARK

from funnelhouse.settings import Settings
from orchestration.manifest import DBT_PROJECT, load_manifest
from record.contract import RAW_TABLES, row_values
from record.landing import open_store
from record.sealing import seal

pytestmark = NEEDS_SPARK

SEED = 1
PROJECTS, BATCHES = 10, 4

MIDDLE = "int_conversions"
"""About half of the models are made before this one."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What all journeys send, and a random history of ten projects, built on DuckDB."""
    server = start_ingest(tmp_path_factory.mktemp("parity") / "home")
    try:
        with closing(server.store()) as store:
            send_all(server.url, store)
    finally:
        server.stop()
    settings = server.settings
    with closing(open_store(settings.landing_store)) as store:
        for batch in batches(SEED, PROJECTS, BATCHES):
            store.append(
                [(table, [row_values(RAW_TABLES[table])(row) for row in batch[table]]) for table in batch]
            )
    seal(settings.landing_store, settings.raw_dir)
    built = run_dbt(settings, "build", "--exclude", "test_type:unit", "test_type:data")
    assert built.returncode == 0, built.stdout[-8000:]
    return settings


@pytest.fixture(scope="module")
def marts(home: Settings) -> list[str]:
    """All marts."""
    models = load_manifest(home).nodes.values()
    names = [model.name for model in models if model.resource_type == "model" and "marts" in model.fqn]
    assert len(names) >= 25
    return sorted(names)


@pytest.fixture(scope="module")
def on_spark(home: Settings) -> Path:
    """Folder of what a cluster of two made of the same record, though one was killed in the middle."""
    folder = home.home_dir.with_name("spark")
    build = start_dbt(DBT_PROJECT, home.home_dir, "build --exclude test_type:unit test_type:data", folder)
    while build.poll() is None:
        if (folder / MIDDLE).exists():
            at_work = executors(build)
            assert len(at_work) == 2
            os.kill(at_work[0], signal.SIGKILL)
            break
        time.sleep(0.1)
    check_ended(build, folder)
    return folder


def test_every_mart_is_the_same(home: Settings, marts: list[str], on_spark: Path) -> None:
    assert not list(differences(home.warehouse_path, on_spark, marts))


def test_every_mart_has_rows(home: Settings, marts: list[str]) -> None:
    with duckdb.connect(home.warehouse_path, read_only=True) as connection:
        empty = [mart for mart in marts if not connection.sql(f"from {mart} limit 1").fetchall()]
    assert not empty


def test_a_cent_too_much_is_found(home: Settings, on_spark: Path, tmp_path: Path) -> None:
    changed = tmp_path / "spark" / "fct_conversions"
    shutil.copytree(on_spark / "fct_conversions", changed)
    with duckdb.connect() as connection:
        connection.execute(
            f"create table conversions as from read_parquet('{changed}/*.parquet');"
            "update conversions set net_amount_minor = net_amount_minor + 1 where conversion_id ="
            " (select min(conversion_id) from conversions where net_amount_minor > 0)"
        )
        for file in changed.glob("*.parquet"):
            file.unlink()
        connection.execute(f"copy conversions to '{changed}/part.parquet'")
    (found,) = differences(home.warehouse_path, tmp_path / "spark", ["fct_conversions"])
    assert found.startswith("fct_conversions: 1 rows of DuckDB only, 1 of Spark")
