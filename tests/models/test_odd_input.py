"""No tenant breaks another: whatever ingest accepts can be built, and costs an ordinary project nothing."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from odd import OddSender, Senders, ordinary
from seeds import a_seed
from servers import start_ingest

from funnelhouse.settings import Settings
from orchestration.build import run_build

BATCHES = 3
PROJECTS = [f"odd{n}" for n in range(10)]
ORDINARY = "ordinary"
ACCEPTED_AT_LEAST = 20_000
SET_ASIDE_AT_MOST = 0.01

_KNOWN_LATER = ("received", "learnt", "known", "seq", "defined_at", "published")
"""Columns that name when or where something arrived: two houses differ in them."""


@pytest.mark.slow
def test_whatever_is_accepted_can_be_built_and_an_ordinary_project_is_as_if_alone(tmp_path: Path) -> None:
    seed = a_seed()
    shared, alone = start_ingest(tmp_path / "shared"), start_ingest(tmp_path / "alone")
    accepted = Counter[str]()
    try:
        senders = {project: OddSender(project, seed).requests() for project in PROJECTS}
        with Senders(shared, [*PROJECTS, ORDINARY]) as send, Senders(alone, [ORDINARY]) as send_alone:
            for batch in range(BATCHES):
                for request in ordinary(ORDINARY, batch):
                    assert send(ORDINARY, request) > 0
                    assert send_alone(ORDINARY, request) > 0
                for project, requests in senders.items():
                    for request in ordinary(project, batch):
                        accepted[project] += send(project, request)
                    while accepted[project] * BATCHES < ACCEPTED_AT_LEAST / len(PROJECTS) * (batch + 1):
                        accepted[project] += send(project, next(requests))
                for settings in (shared.settings, alone.settings):
                    report = run_build(settings)
                    assert report.failures == (), f"seed {seed}, batch {batch}: {report.failures}"
    finally:
        shared.stop()
        alone.stop()
    assert accepted.total() >= ACCEPTED_AT_LEAST
    with _published(shared.settings) as house, _published(alone.settings) as other:
        _few_are_set_aside(house, accepted.total())
        _ordinary_orders_are_worth_what_they_were(house)
        for mart in _marts(house):
            assert _rows(house, mart) == _rows(other, mart), f"seed {seed}: {mart}"


def _few_are_set_aside(house: duckdb.DuckDBPyConnection, accepted: int) -> None:
    ((count,),) = house.sql(
        "select coalesce(sum(occurrences), 0) from rpt_data_trust where measure like '%set_aside'"
    ).fetchall()
    assert count <= accepted * SET_ASIDE_AT_MOST


def _ordinary_orders_are_worth_what_they_were(house: duckdb.DuckDBPyConnection) -> None:
    found = house.sql(
        "select project_id, count(*), sum(net_amount_minor), count(distinct transaction_id) "
        "from fct_conversions where transaction_id like 'plain-%' group by project_id order by project_id"
    ).fetchall()
    orders = 40 * BATCHES
    assert found == [(project, orders, 1000 * orders, orders) for project in sorted([*PROJECTS, ORDINARY])]


def _published(settings: Settings) -> duckdb.DuckDBPyConnection:
    marts = (settings.published_dir / "current").resolve() / "marts.duckdb"
    return duckdb.connect(str(marts), read_only=True)


def _marts(house: duckdb.DuckDBPyConnection) -> Iterator[str]:
    for (name,) in house.sql(
        "select table_name from duckdb_tables() where schema_name = 'main' order by table_name"
    ).fetchall():
        yield name


def _rows(house: duckdb.DuckDBPyConnection, mart: str) -> list[tuple[Any, ...]]:
    columns = [
        f'"{name}"'
        for name, *_ in house.execute(f"describe {mart}").fetchall()
        if not any(word in name for word in _KNOWN_LATER)
    ]
    return house.execute(
        f"select {', '.join(columns)} from {mart} where project_id = ? order by all", [ORDINARY]
    ).fetchall()
