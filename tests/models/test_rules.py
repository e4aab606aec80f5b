"""The models keep their rules: dbt's unit tests pass, and every model has some."""

import csv
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dbt_cli import run_dbt

from funnelhouse.settings import Settings
from orchestration.manifest import DBT_PROJECT
from record.contract import END_OCCURRED_US, FIRST_OCCURRED_US
from record.sealing import parquet_schema, seal

PASSES_ROWS_ON = {
    "stg_raw__events",
    "stg_raw__definitions",
    "stg_raw__costs",
    "stg_raw__rejected",
    "stg_raw__unread_fields",
    "stg_raw__unrecorded_clicks",
    "int_events_set_aside",
}
"""Models that only rename or convert: there is no rule in them to test."""

EMPTY_IN_A_FULL_BUILD = {"int_events_displaced", "int_people_in_work", "int_projects_redefined", "int_work"}

# In an incremental build that makes the rows of `new` again.
KEYED_ROWS = {
    "int_refunds_unmatched": "select 1 as seq, 'new' as person_id",
    "int_conversion_paths": "select cast(null as varchar) as conversion_id, 'new' as person_id",
    "int_session_devices": "select 's' as session_id, unnest(['old', 'new']) as person_id",
    "int_journey_touches": (
        "select 'shop' as project_id, true as is_converting, 'j' as journey_id, 't' as touch_id, "
        "unnest(['old', 'old']) as person_id"
    ),
}


def _is_about_two_builds(model: Any) -> bool:
    """What an incremental build works on: a unit test is a full one (test_incremental.py compares many)."""
    return model["config"]["materialized"] == "in_work" or model["name"] in EMPTY_IN_A_FULL_BUILD


def test_every_rule_passes_its_unit_test(empty_warehouse: Settings, manifest: Any, tmp_path: Path) -> None:
    names = sorted(unit_test["name"] for unit_test in manifest["unit_tests"].values())
    homes = [Settings(home=tmp_path / name) for name in ("one", "other")]
    for home in homes:
        home.home_dir.mkdir()
        shutil.copy(empty_warehouse.warehouse_path, home.warehouse_path)
    # They are work for dbt, of which a process does one thing at a time.
    with ThreadPoolExecutor(len(homes)) as threads:
        ran = threads.map(_run_unit_tests, homes, [names[::2], names[1::2]])
    states = {name: state for states in ran for name, state in states.items()}
    assert sorted(states) == names
    assert len(states) >= 45
    assert {name: state for name, state in states.items() if state != "pass"} == {}


def _run_unit_tests(home: Settings, names: list[str]) -> dict[str, str]:
    ended = run_dbt(home, "test", "--select", *names, "--indirect-selection", "empty")
    assert ended.returncode in (0, 1), ended.stdout[-8000:]
    results = json.loads((home.home_dir / "dbt/target/run_results.json").read_bytes())["results"]
    found = [result for result in results if result["unique_id"].startswith("unit_test.")]
    return {result["unique_id"].rpartition(".")[2]: result["status"] for result in found}


def test_a_limit_is_ten_times_what_anybody_ever_had() -> None:
    with (DBT_PROJECT / "seeds/work_limits.csv").open() as seed:
        limits = {
            row["limit_name"]: (int(row["allowed"]), int(row["most_seen"])) for row in csv.DictReader(seed)
        }
    assert limits
    assert [name for name, (allowed, most_seen) in limits.items() if allowed < 10 * most_seen] == []


def test_every_model_with_a_rule_has_a_unit_test(manifest: Any) -> None:
    models = {
        n["name"]
        for n in manifest["nodes"].values()
        if n["resource_type"] == "model" and not _is_about_two_builds(n)
    }
    tested = {unit_test["model"] for unit_test in manifest["unit_tests"].values()}
    # dbt can't put rows into a source that is read from files (tested below), nor into a model in Python
    # (test_source_weights.py).
    assert models - tested == PASSES_ROWS_ON | {"stg_raw__superseded_files", "int_source_weights"}


@pytest.mark.long
def test_a_file_whose_range_lies_inside_anothers_is_ignored(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path / "home")
    seal(settings.landing_store, settings.raw_dir)
    day = settings.raw_dir / "events" / "received_date=2026-01-01"
    day.mkdir()
    rows = [_row(seq) for seq in range(1, 5)]
    _write(day / "seq-1-3.parquet", rows[:3])
    _write(day / "seq-2-3.parquet", rows[1:3])
    _write(day / "seq-4-4.parquet", rows[3:])
    # The same range twice, as after a copy by hand.
    elsewhere = settings.raw_dir / "events" / "received_date=2026-01-02"
    elsewhere.mkdir()
    shutil.copy(day / "seq-4-4.parquet", elsewhere / "seq-4-4.parquet")
    built = run_dbt(
        settings, "build", "--select", "+staging", "--exclude", "test_type:data", "test_type:unit"
    )
    assert built.returncode == 0, built.stdout
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as warehouse:
        assert warehouse.sql("select seq from stg_raw__events order by seq").fetchall() == [
            (1,),
            (2,),
            (3,),
            (4,),
        ]
    # What is quarantined is left out, told by its time too: a list of another house's means others.
    with duckdb.connect(str(settings.warehouse_path)) as warehouse:
        warehouse.execute("insert into quarantined_events values (2, 2, 'torn'), (3, 99, 'elsewhere')")
        assert warehouse.sql("select seq from stg_raw__events order by seq").fetchall() == [(1,), (3,), (4,)]


@pytest.mark.long
def test_older_files_lack_newer_columns_and_stay_closed_when_they_end_too_soon(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path / "home")
    seal(settings.landing_store, settings.raw_dir)
    day = settings.raw_dir / "events" / "received_date=2026-01-01"
    day.mkdir()
    _write(day / "seq-1-2.parquet", [_row(1), _row(2)], lacking="country")
    _write(day / "seq-3-4.parquet", [_row(3), {**_row(4), "country": "DE"}])
    built = run_dbt(
        settings, "build", "--select", "+stg_raw__events", "--exclude", "test_type:data", "test_type:unit"
    )
    assert built.returncode == 0, built.stdout
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as warehouse:
        countries = warehouse.sql("select seq, country from stg_raw__events order by seq").fetchall()
        assert countries == [(1, None), (2, None), (3, None), (4, "DE")]
        ((_, plan),) = warehouse.execute(
            "explain analyze select payload from stg_raw__events where seq > 2 and file_last_seq > 2"
        ).fetchall()
    assert "Scanning Files: 1/3" in plan


@pytest.mark.long
def test_what_came_before_ingest_held_bounds_is_bounded_or_set_aside(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path / "home")
    seal(settings.landing_store, settings.raw_dir)
    day = settings.raw_dir / "events" / "received_date=2026-01-01"
    day.mkdir()
    now = {"received_us": FIRST_OCCURRED_US, "occurred_us": FIRST_OCCURRED_US}
    orders = [
        *(("R-1\n", "R-1"), ("\ufeff R-1\u00a0", "R-1"), ("r 1", "r 1"), ("5001.0", "5001"), ("0.00", "0")),
        *(("5001.50", "5001.50"), ("1E+8", "1E+8"), ("v1.0", "v1.0"), (" \t", None)),
    ]
    named = [
        ('{"orderId":"v1-1 "}', "v1-1"),
        ('{"order_id":5001.0,"orderId":"x"}', "5001"),
        ('{"order_id":1E+8}', "100000000"),
        ('{"order_id":"1E+8"}', "1E+8"),
        ('{"order_id":12.5,"orderId":"x"}', "x"),
        # Too large for any decimal.
        ('{"order_id":1e30,"orderId":"x"}', "x"),
        ('{"order_id":[1]}', None),
        ('{"order_id":null}', None),
    ]
    odd: list[dict[str, Any]] = [
        {"user_id": "u" * 1025, "event_id": "e" * 1025, "transaction_id": "t" * 1024},
        # The last of them is cut in its middle: it goes as a whole.
        {"url": "https://shop.example/" + "ä" * 5000, "status": "s" * 257, "click_id": "c" * 4097},
        {"kind": "unheard-of"},
        {"occurred_us": END_OCCURRED_US},
        *({"amount_text": text, "amount_unit": "major"} for text in ("1e3", "ten", "", ".", "1" * 15)),
        *({"amount_text": text, "amount_unit": unit} for text, unit in [("2.5", "minor"), ("1", None)]),
        *({"amount_text": text, "amount_unit": "major"} for text in ("-1", "0019.990", ".5", "9" * 14)),
        *({"amount_text": text, "amount_unit": "minor"} for text in ("2499.0", "-7")),
        *({"transaction_id": order} for order, _ in orders),
        *({"dialect": "segment", "kind": "event", "properties": json} for json, _ in named),
        {"dialect": "segment", "kind": "visit", "properties": '{"order_id":"o"}'},
        {"sent_us": END_OCCURRED_US},
        {"dialect": "segment", "payload": '{"timestamp": "yesterday"}'},
        {"dialect": "segment", "payload": '{"timestamp": null, "originalTimestamp": ""}'},
    ]
    rows = [{**_row(seq), **now, **row} for seq, row in enumerate(odd, start=1)]
    _write(day / f"seq-1-{len(rows)}.parquet", rows)
    built = run_dbt(
        settings, "build", "--select", "+stg_raw__events", "--exclude", "test_type:data", "test_type:unit"
    )
    assert built.returncode == 0, built.stdout
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as warehouse:
        reasons = warehouse.sql("select seq, set_aside_reason from stg_raw__events order by seq").fetchall()
        bounded = warehouse.sql(
            "select user_id, length(event_id), length(transaction_id), has_text_out_of_bounds, strlen(url), "
            "strlen(status), click_id from stg_raw__events where seq <= 3 order by seq"
        ).fetchall()
        ordered = warehouse.sql(
            "select transaction_id from stg_raw__events where seq > 17 order by seq limit 18"
        ).fetchall()
        unreadable = warehouse.sql("select seq from stg_raw__events where has_unreadable_time").fetchall()
    assert [order for (order,) in ordered] == [*(o for _, o in orders), *(o for _, o in named), None]
    assert unreadable == [(len(rows) - 1,)]
    assert [reason for _, reason in reasons] == [
        *(None, None),
        *("unknown_kind", "time_out_of_range"),
        *["amount_unreadable"] * 7,
        *[None] * (6 + len(orders) + len(named) + 1),
        "time_out_of_range",
        *(None, None),
    ]
    assert bounded == [
        (None, 64, 1024, True, None, None, None),
        (None, 1, None, True, 8191, 256, None),
        (None, 1, None, False, None, None, None),
    ]


def test_a_key_that_is_null_or_stands_twice_is_found(empty_warehouse: Settings, tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    shutil.copytree(empty_warehouse.home_dir, home.home_dir)
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        for table, rows in KEYED_ROWS.items():
            warehouse.execute(f"insert into {table} by name {rows}")
        warehouse.execute("insert into int_people_in_work values ('new')")
    assert _failing(home) == {"int_conversion_paths", "int_session_devices", "int_journey_touches"}
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute("update this_build set is_incremental = true")
    # What an earlier build made, it tested.
    assert _failing(home) == {"int_conversion_paths", "int_session_devices"}


def _row(seq: int) -> dict[str, Any]:
    required = {"project_id": "shop", "dialect": "openanalytics", "dialect_version": "1", "payload": "{}"}
    return {
        **required,
        "seq": seq,
        "event_id": str(seq),
        "sender": "server",
        "kind": "visit",
        "received_us": seq,
        "occurred_us": seq,
    }


def _write(path: Any, rows: list[dict[str, Any]], lacking: str = "") -> None:
    table = pa.Table.from_pylist(rows, schema=parquet_schema("events"))
    pq.write_table(table.drop_columns([lacking]) if lacking else table, path)


def _failing(home: Settings) -> set[str]:
    run_dbt(home, "test", "--select", *(f"{table},test_name:keyed_by" for table in KEYED_ROWS))
    results = json.loads((home.home_dir / "dbt/target/run_results.json").read_bytes())["results"]
    states = {
        table: result["status"]
        for result in results
        for table in KEYED_ROWS
        if f".keyed_by_{table}_" in result["unique_id"]
    }
    assert set(states) == set(KEYED_ROWS)
    assert set(states.values()) <= {"pass", "fail"}
    return {table for table, state in states.items() if state == "fail"}
