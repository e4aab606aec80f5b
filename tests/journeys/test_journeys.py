"""Every journey: sent through real HTTP, built with all the others in real builds, read from the marts."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import duckdb
import httpx
import pytest
from journey import Journey, journeys, make_projects, send
from servers import start_ingest

from orchestration.build import run_build

JOURNEYS = journeys()


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published marts of a house in which every journey took place."""
    server = start_ingest(tmp_path_factory.mktemp("journeys") / "home")
    try:
        with closing(server.store()) as store:
            keys = make_projects(JOURNEYS, store)
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for each in JOURNEYS:
                client.headers["x-api-key"] = keys[each.name]
                send(each, each.sent, client)
            assert run_build(server.settings).failures == ()
            for each in JOURNEYS:
                client.headers["x-api-key"] = keys[each.name]
                send(each, each.later, client)
    finally:
        server.stop()
    assert run_build(server.settings).failures == ()
    with duckdb.connect(str(server.settings.warehouse_path), read_only=True) as warehouse:
        assert warehouse.sql("select is_incremental from this_build").fetchall() == [(True,)]
    published = (server.settings.published_dir / "current").resolve() / "marts.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        yield connection


def test_there_are_journeys_enough_and_each_has_a_name_of_its_own() -> None:
    names = [each.name for each in JOURNEYS]
    assert len(set(names)) == len(names)
    assert len(names) >= 60


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)
def test_journey(marts: duckdb.DuckDBPyConnection, journey: Journey) -> None:
    for relation, rows in journey.marts.items():
        name, _, condition = relation.partition(" where ")
        wanted = f"project_id = ? and ({condition or 'true'})"
        found = _rows(marts, f"select * from {name} where {wanted}", journey)
        if not rows:
            assert found == [], f"{journey.says} {relation} has rows"
            continue
        columns = sorted({column for row in rows for column in row})
        assert set(columns) <= set(_columns(marts, name)), f"{relation} has other columns"
        shown = [{column: _plain(row[column]) for column in columns} for row in found]
        expected = [{column: row.get(column) for column in columns} for row in rows]
        assert sorted(shown, key=repr) == sorted(expected, key=repr), f"{journey.says} ({relation})"


def _rows(marts: duckdb.DuckDBPyConnection, sql: str, journey: Journey) -> list[dict[str, Any]]:
    result = marts.execute(sql, [journey.name])
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _columns(marts: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    return [row[0] for row in marts.execute(f"describe {name}").fetchall()]


def _plain(value: Any) -> Any:
    """As YAML says it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        # A sum is a whole number, which YAML writes as one.
        return int(value) if value.as_tuple().exponent == 0 else format(value, "f")
    return str(value)
