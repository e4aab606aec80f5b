"""What a build must not publish is found by those tests of dbt that every build runs, in whichever mart."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from funnelhouse.settings import Settings
from orchestration.dbt_command import TESTED_FOLDERS
from orchestration.manifest import Manifest, model_names

PLANTED = {
    "VARCHAR": "'planted'",
    "BOOLEAN": "false",
    "DATE": "date '2026-01-01'",
    "TIMESTAMP": "timestamp '2026-01-01'",
}
"""A value by type; of numbers 1."""


class Planted:
    """A warehouse without data, and the tests of a build as dbt compiled them."""

    def __init__(self, folder: Path, manifest: Manifest, results: Path) -> None:
        self.marts = model_names(manifest, "marts")
        self.connection = duckdb.connect(str(folder / "warehouse.duckdb"))
        self._tests = {
            node["unique_id"].split(".")[2]: (node["compiled_code"], manifest["nodes"][node["unique_id"]])
            for node in json.loads(results.read_bytes())["results"]
            if node["unique_id"].startswith("test.")
            and manifest["nodes"][node["unique_id"]]["original_file_path"].startswith(TESTED_FOLDERS)
        }

    def columns(self, mart: str) -> dict[str, str]:
        rows = self.connection.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? order by column_index",
            [mart],
        ).fetchall()
        return dict(rows)

    def found(self, mart: str, times: int = 1, **values: str) -> set[str]:
        """Names of the tests that fail when a row of planted values, or more, stands in a mart."""
        row = ", ".join(
            f"{values.get(name, PLANTED.get(kind, '1'))} as {name}"
            for name, kind in self.columns(mart).items()
        )
        self.connection.execute("begin")
        try:
            for _ in range(times):
                self.connection.execute(f"insert into {mart} select {row}")
            return {
                name
                for name, (sql, node) in self._tests.items()
                if any(read.endswith(f".{mart}") for read in node["depends_on"]["nodes"])
                and self.connection.execute(f"select 1 from ({sql}) limit 1").fetchall()
            }
        finally:
            self.connection.execute("rollback")

    def filled(self, mart: str) -> list[str]:
        """Columns of its key that are never null."""
        for _, node in self._tests.values():
            if (node.get("attached_node") or "").endswith(f".{mart}"):
                arguments = node["test_metadata"]["kwargs"]
                if node["test_metadata"]["name"] == "keyed_by":
                    return list(arguments.get("never_null", arguments["columns"]))
        raise AssertionError(f"{mart} has no test of its key")


@pytest.fixture(scope="module")
def planted(
    empty_warehouse: Settings, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    folder = tmp_path_factory.mktemp("planted")
    # Views name the database, which is the file's name.
    shutil.copy(empty_warehouse.warehouse_path, folder / "warehouse.duckdb")
    found = Planted(folder, manifest, empty_warehouse.home_dir / "dbt" / "target" / "run_results.json")
    yield found
    found.connection.close()


def test_a_key_that_stands_twice_in_any_mart_is_found(planted: Planted) -> None:
    unfound = [
        mart
        for mart in planted.marts
        if not any(name.startswith("keyed_by_") for name in planted.found(mart, times=2))
    ]
    assert unfound == []


def test_a_key_that_is_null_in_any_mart_is_refused_or_found(planted: Planted) -> None:
    unfound = []
    for mart in planted.marts:
        for column in planted.filled(mart):
            try:
                found = planted.found(mart, **{column: "null"})
            except duckdb.ConstraintException:
                continue
            if not any(name.startswith("keyed_by_") for name in found):
                unfound.append((mart, column))
    assert unfound == []


def test_a_person_who_is_not_there_is_found_in_any_mart(planted: Planted) -> None:
    named = [mart for mart in planted.marts if "person_id" in planted.columns(mart) and mart != "dim_people"]
    assert len(named) >= 9
    finders = ("assert_everyone_is_in_dim_people", "relationships_dim_identifiers_person_id")
    unfound = [mart for mart in named if not any(name.startswith(finders) for name in planted.found(mart))]
    assert unfound == []


def test_a_report_or_entry_of_no_conversion_is_found(planted: Planted) -> None:
    for mart in ("fct_conversion_reports", "fct_conversion_ledger"):
        assert any(name.startswith(f"relationships_{mart}_conversion_id") for name in planted.found(mart))


def test_what_no_destination_should_be_told_is_found(planted: Planted) -> None:
    found = planted.found("fct_forwardings")
    assert any(name.startswith("assert_a_destination_is_told_what_a_conversion_is_worth") for name in found)


def test_a_cent_too_many_is_found_in_every_mart_with_money(planted: Planted) -> None:
    with_money = [
        mart for mart in planted.marts if any(name.endswith("amount_minor") for name in planted.columns(mart))
    ]
    assert len(with_money) >= 14
    unfound = [
        mart
        for mart in with_money
        if not any(name.startswith("assert_") for name in planted.found(mart, model="'last_touch'"))
    ]
    assert unfound == []
