"""The dbt project is built as it says: grains, keys, contracts, descriptions, sources as the contract."""

import functools
import re
from typing import Any

import duckdb
import pytest

from funnelhouse.settings import Settings
from record.contract import RAW_TABLES, SEQ_DOC, columns

SUM_TYPE = "decimal(38,0)"
"""Of sums of money and of credit: no number of rows overflows it."""

COMPLETE_THERE = {("fct_costs", "int_channels")}
"""Marts, and what holds a part only, but all that the mart reads of it: origins of every cost."""


def is_part(node: Any) -> bool:
    """Whether it is the part of another table that a build works on: that has its key and columns."""
    return bool(node["config"]["materialized"] == "in_work")


@pytest.fixture(scope="module")
def models(manifest: Any) -> dict[str, Any]:
    return {n["name"]: n for n in manifest["nodes"].values() if n["resource_type"] == "model"}


def test_line_one_states_the_grain_and_so_does_the_description(models: dict[str, Any]) -> None:
    for name, model in models.items():
        first_line = model["raw_code"].splitlines()[0]
        comment = {"sql": "-- ", "python": "# "}[model["language"]]
        assert first_line.startswith(f"{comment}One row per "), name
        # Rules may follow, as paragraphs of their own.
        assert model["description"].splitlines()[0] == first_line.removeprefix(comment), name


def test_every_model_has_its_key_tested(models: dict[str, Any], manifest: Any) -> None:
    keyed = {
        manifest["nodes"][test["attached_node"]]["name"]
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        and test.get("attached_node", "") in manifest["nodes"]
        and test["test_metadata"]["name"] == "keyed_by"
    }
    assert set(models) <= keyed | {name for name, model in models.items() if is_part(model)}


def test_every_column_is_described(models: dict[str, Any], empty_warehouse: Settings, manifest: Any) -> None:
    seeds = {n["name"]: n for n in manifest["nodes"].values() if n["resource_type"] == "seed"}
    with duckdb.connect(str(empty_warehouse.warehouse_path), read_only=True) as warehouse:
        for name, node in {**models, **seeds}.items():
            if is_part(node):
                continue
            built = [row[0] for row in warehouse.execute(f"describe {name}").fetchall()]
            described = {c["name"]: c["description"] for c in node["columns"].values()}
            assert set(built) == set(described), name
            assert all(described.values()), name


def test_every_mart_has_an_example_that_runs(models: dict[str, Any], empty_warehouse: Settings) -> None:
    with duckdb.connect(str(empty_warehouse.warehouse_path), read_only=True) as warehouse:
        for name, model in models.items():
            if model["fqn"][1] == "marts":
                example = model["config"]["meta"]["example"]
                assert f"from {name}" in example
                warehouse.execute(example)


def test_marts_have_contracts_and_only_marts(models: dict[str, Any]) -> None:
    contracted = {name for name, model in models.items() if model["contract"]["enforced"]}
    assert contracted == {name for name, model in models.items() if model["fqn"][1] == "marts"}


def test_no_money_and_no_mart_column_is_a_float(models: dict[str, Any], empty_warehouse: Settings) -> None:
    with duckdb.connect(str(empty_warehouse.warehouse_path), read_only=True) as warehouse:
        for name, model in models.items():
            types = {row[0]: row[1] for row in warehouse.execute(f"describe {name}").fetchall()}
            if model["fqn"][1] == "marts":
                assert not {"DOUBLE", "FLOAT"} & set(types.values()), name
            money = {kind for column, kind in types.items() if column.endswith(("_minor", "_nano"))}
            assert money <= {"BIGINT", SUM_TYPE.upper()}, name


def test_no_contract_promises_a_float_and_money_is_whole_minor_units(models: dict[str, Any]) -> None:
    for name, model in models.items():
        types = {c["name"]: (c["data_type"] or "").lower() for c in model["columns"].values()}
        assert not {"double", "float", "real"} & set(types.values()), name
        # A goal's least amount is no money but a part of its rule; a report's is what its sender wrote.
        said = {"minimum_amount", "amount_text", "amount_unit"}
        money = {c for c in types if "amount" in c or c.endswith(("_minor", "_nano"))} - said
        if model["fqn"][1] == "marts":
            # A fact has amounts of its own. What a report sums has no end, nor have the spellings of a cost.
            expected = SUM_TYPE if name.startswith("rpt_") or name == "fct_costs" else "bigint"
            assert {types[column] for column in money} <= {expected}, name


def test_only_staging_reads_the_record(models: dict[str, Any]) -> None:
    for name, model in models.items():
        reads_record = any(node.startswith("source.") for node in model["depends_on"]["nodes"])
        assert reads_record == (model["fqn"][1] == "staging"), name


def test_no_mart_is_made_anew_from_what_holds_a_part_only(models: dict[str, Any]) -> None:
    by_id = {model["unique_id"]: model for model in models.values()}

    @functools.cache
    def holds_a_part(node: str) -> bool:
        """Whether after an incremental build the table holds only what that build worked on."""
        model = by_id.get(node)
        if model is None or model["config"]["materialized"] == "incremental":
            return False
        if is_part(model) or re.search(r"\bis_(new|among)\(", model["raw_code"]):
            return True
        return any(
            holds_a_part(parent)
            for parent in model["depends_on"]["nodes"]
            if (model["name"], parent.rpartition(".")[2]) not in COMPLETE_THERE
        )

    assert holds_a_part("model.funnelhouse.int_conversions")
    assert not [name for name, m in models.items() if m["fqn"][1] == "marts" and holds_a_part(m["unique_id"])]


def test_exposures_name_every_mart_and_nothing_else(models: dict[str, Any], manifest: Any) -> None:
    marts = {model["unique_id"] for model in models.values() if model["fqn"][1] == "marts"}
    read = {e["name"]: set(e["depends_on"]["nodes"]) for e in manifest["exposures"].values()}
    assert set().union(*read.values()) <= marts
    assert read["bi_tools"] == read["mart_exports"] == marts


@pytest.mark.parametrize("table", RAW_TABLES)
def test_the_source_is_the_contract(table: str, manifest: Any) -> None:
    source = manifest["sources"][f"source.funnelhouse.raw.{table}"]
    found = [(c["name"], c["data_type"], c["description"]) for c in source["columns"].values()]
    expected = [("seq", "BIGINT", SEQ_DOC)]
    expected += [(c.name, c.sql_type, c.doc) for c in columns(RAW_TABLES[table])]
    assert found == expected
