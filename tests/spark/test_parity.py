"""The same record on DuckDB and on a Spark cluster: every mart, row for row, to the cent."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt_cli import run_dbt
from histories import FIRST_BATCH_US, batches
from journey import send_all
from odd import OddSender, Senders
from on_spark import check_ended, differences, measured, running_cluster, start_dbt
from servers import start_ingest
from spark_here import NEEDS_SPARK

from benchmarks.traffic import generate
from funnelhouse.settings import Settings
from orchestration.manifest import DBT_PROJECT, load_manifest, model_names
from record.contract import RAW_TABLES, Definition, Event, row_values
from record.landing import open_store
from record.sealing import seal

pytestmark = [*NEEDS_SPARK, pytest.mark.slow]

SEED = 1
PROJECTS, BATCHES = 10, 4
ODD_PROJECTS, ODD_REQUESTS = ["odd0", "odd1"], 200
TRAFFIC_EVENTS = 200_000

MODELS_AND_SEEDS = ("build", "--exclude", "test_type:unit", "test_type:data")

EXECUTOR_ENDS_AT = "int_conversions"
"""About half of the models are made before this one."""

WORKER_ENDS_AT = "fct_touches"


@dataclass(frozen=True)
class Built:
    """What a cluster has made, in which folder, and which of its processes ran tasks when it was asked."""

    folder: Path
    executors: list[int]


@contextmanager
def built_on_cluster(home: Settings, folder: Path) -> Iterator[Built]:
    """What a cluster of two makes of a record, though an executor is killed in the middle, later a worker."""
    with running_cluster(folder.with_name("cluster")) as cluster:
        build = start_dbt(DBT_PROJECT, home.home_dir, " ".join(MODELS_AND_SEEDS), folder, cluster.master)
        try:
            _wait_for(folder / EXECUTOR_ENDS_AT, build)
            at_work = cluster.executors()
            os.kill(at_work[0], signal.SIGKILL)
            _wait_for(folder / WORKER_ENDS_AT, build)
            cluster.workers[1].kill()
            check_ended(build, folder)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(build.pid, signal.SIGKILL)
        yield Built(folder, at_work)


def _wait_for(table: Path, build: subprocess.Popen[str]) -> None:
    while build.poll() is None and not table.exists():
        time.sleep(0.1)


def rich_conversions() -> list[Event]:
    """Of the largest amount that the record may hold: what they come to is beyond 64 bits."""
    return [
        Event(
            event_id=f"rich-{number}",
            project_id="rich",
            dialect="openanalytics",
            dialect_version="1",
            sender="server",
            kind="conversion",
            name="purchase",
            received_us=FIRST_BATCH_US + number,
            occurred_us=FIRST_BATCH_US + number,
            payload="{}",
            visitor_id=f"rich-{number % 3}",
            transaction_id=f"rich-{number}",
            amount_text="9" * 14,
            amount_unit="major",
            currency=("CLF", "USD", "JPY")[number % 3],
        )
        for number in range(60)
    ]


def clicks_of_two_parameters() -> dict[str, list[Any]]:
    """Visits with two click ids, of one traffic source with a medium and without: nulls have an order."""
    project: dict[str, Any] = {"project_id": "networks", "received_us": FIRST_BATCH_US}
    sources = ({"click_id_param": "plain"}, {"click_id_param": "paid", "medium": "cpc"})
    return {
        "definitions": [
            Definition(
                **project,
                kind="traffic_source",
                key=f"n{number}",
                body=json.dumps({"name": "Network", "source": "network", "is_paid": True, **each}),
            )
            for number, each in enumerate(sources)
        ],
        "events": [
            Event(
                **project,
                event_id=f"click-{number}",
                dialect="openanalytics",
                dialect_version="1",
                sender="browser",
                kind="visit",
                occurred_us=FIRST_BATCH_US + number,
                payload="{}",
                visitor_id=f"clicked-{number}",
                url=f"https://networks.example/offer?plain={number}&paid=x{number}",
            )
            for number in range(5)
        ],
    }


def _built_on_duckdb(settings: Settings) -> None:
    built = run_dbt(settings, *MODELS_AND_SEEDS)
    assert built.returncode == 0, built.stdout[-8000:]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What all journeys send, random histories, odd senders and rich ones, built on DuckDB."""
    server = start_ingest(tmp_path_factory.mktemp("parity") / "home")
    try:
        with closing(server.store()) as store:
            send_all(server.url, store)
        with Senders(server, ODD_PROJECTS) as send:
            for project in ODD_PROJECTS:
                requests = islice(OddSender(project, SEED).requests(), ODD_REQUESTS)
                assert sum(send(project, request) for request in requests) > 500
    finally:
        server.stop()
    settings = server.settings
    rows = [*batches(SEED, PROJECTS, BATCHES), {"events": rich_conversions()}, clicks_of_two_parameters()]
    with closing(open_store(settings.landing_store)) as store:
        for batch in rows:
            store.append(
                [(table, [row_values(RAW_TABLES[table])(row) for row in batch[table]]) for table in batch]
            )
    seal(settings.landing_store, settings.raw_dir)
    _built_on_duckdb(settings)
    return settings


@pytest.fixture(scope="module")
def marts(home: Settings) -> list[str]:
    """All marts."""
    names = model_names(load_manifest(home), "marts")
    assert len(names) >= 25
    return names


@pytest.fixture(scope="module")
def on_spark(home: Settings) -> Iterator[Built]:
    with built_on_cluster(home, home.home_dir.with_name("spark")) as built:
        yield built


def test_both_executors_worked_and_gave_each_other_rows(on_spark: Built) -> None:
    """A third one stands in for the one that was killed."""
    assert len(set(on_spark.executors)) == 2
    at_work = measured(on_spark.folder)
    assert len(at_work) == 3
    for one in at_work.values():
        assert one["tasks"] > 0 and one["read"] > 0 and one["wrote"] > 0, at_work


def test_every_mart_is_the_same(home: Settings, marts: list[str], on_spark: Built) -> None:
    assert not list(differences(home.warehouse_path, on_spark.folder, marts))


def test_every_mart_has_rows(home: Settings, marts: list[str]) -> None:
    with duckdb.connect(home.warehouse_path, read_only=True) as connection:
        empty = [mart for mart in marts if not connection.sql(f"from {mart} limit 1").fetchall()]
    assert not empty


def test_a_cent_too_much_is_found(home: Settings, on_spark: Built, tmp_path: Path) -> None:
    changed = tmp_path / "spark" / "fct_conversions"
    shutil.copytree(on_spark.folder / "fct_conversions", changed)
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


def test_traffic_is_the_same(marts: list[str], tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    generate(settings.home_dir, TRAFFIC_EVENTS)
    # Traffic is written as sealed files; of tables without rows, sealing writes one that is empty.
    seal(settings.landing_store, settings.raw_dir)
    _built_on_duckdb(settings)
    with built_on_cluster(settings, tmp_path / "spark") as built:
        assert len(set(built.executors)) == 2
        assert not list(differences(settings.warehouse_path, built.folder, marts))
