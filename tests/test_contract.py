"""The landing table, the Parquet schema and the models' bounds are what the contract says."""

import csv
from contextlib import closing
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest
import yaml

from ingest_api import lengths
from orchestration.contract_for_dbt import files
from orchestration.manifest import DBT_PROJECT
from record import sealed_files, status_words
from record.contract import END_OCCURRED_US, FIRST_OCCURRED_US, RAW_TABLES, Kind, columns
from record.landing import open_store
from record.public_suffixes import is_public_suffix
from record.sealing import parquet_schema

SQLITE = {"VARCHAR": "TEXT", "BIGINT": "INTEGER", "BOOLEAN": "INTEGER"}
ARROW = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


@pytest.mark.parametrize("table", RAW_TABLES)
def test_the_landing_table_is_the_contract(table: str, tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "landing.sqlite")) as store:
        found = store.query('SELECT name, type, "notnull" FROM pragma_table_info(?)', table)
    assert found == [
        ("id", "INTEGER", 0),
        *((c.name, SQLITE[c.sql_type], int(c.is_required)) for c in columns(RAW_TABLES[table])),
    ]


@pytest.mark.parametrize("table", RAW_TABLES)
def test_the_parquet_schema_is_seq_and_the_contract(table: str) -> None:
    assert [(field.name, field.type, field.nullable) for field in parquet_schema(table)] == [
        ("seq", pa.int64(), False),
        *((c.name, ARROW[c.sql_type], not c.is_required) for c in columns(RAW_TABLES[table])),
    ]


def test_dbt_s_files_say_what_the_contract_says() -> None:
    differing = [path.name for path, text in files().items() if path.read_text(encoding="utf-8") != text]
    assert not differing, "run `make contract`"


def test_models_hold_the_bounds_that_ingest_holds() -> None:
    bounds = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]
    held = {
        "kinds_of_event": list(get_args(Kind)),
        "first_occurred_us": FIRST_OCCURRED_US,
        "end_occurred_us": END_OCCURRED_US,
        "id_bytes": lengths.ID_BYTES,
        "name_bytes": lengths.NAME_BYTES,
        "word_bytes": lengths.WORD_BYTES,
        "utm_bytes": lengths.UTM_BYTES,
        "click_id_bytes": lengths.CLICK_ID_BYTES,
        "address_bytes": lengths.ADDRESS_BYTES,
        "definition_bytes": lengths.DEFINITION_BYTES,
        "experiments_at_most": lengths.EXPERIMENTS,
    }
    assert {name: bounds[name] for name in held} == held


def test_ingest_and_the_models_know_the_same_status_words() -> None:
    seed = DBT_PROJECT / "seeds" / "status_words.csv"
    with seed.open(encoding="utf-8", newline="") as lines:
        assert {row["word"] for row in csv.DictReader(lines)} == status_words.status_words().keys()
    assert status_words.meaning(" Charge Back ") == status_words.Meaning("refunded", is_extension=True)
    assert status_words.meaning("paid?") is None


@pytest.mark.parametrize("name", ["status_words", "public_suffixes", "click_id_types", "currencies"])
def test_what_ingest_knows_is_what_the_models_know(name: str) -> None:
    seed = DBT_PROJECT / "seeds" / f"{name}.csv"
    ours = Path(status_words.__file__).with_name(f"{name}.csv")
    assert seed.is_symlink() and seed.samefile(ours), f"{seed} has to be a link to {ours}"


@pytest.mark.parametrize(
    ("host", "is_suffix"),
    [
        ("com", True),
        ("shop.com", False),
        ("co.uk", True),
        ("shop.co.uk", False),
        ("github.io", True),
        ("one.github.io", False),
        ("localhost", True),
        ("unlisted", True),
        ("shop.unlisted", False),
        # A rule with a wildcard, and the exception from it.
        ("kawasaki.jp", True),
        ("any.kawasaki.jp", True),
        ("shop.any.kawasaki.jp", False),
        ("city.kawasaki.jp", False),
    ],
)
def test_public_suffixes_are_told_by_their_rules(host: str, is_suffix: bool) -> None:
    assert is_public_suffix(host) == is_suffix


def test_models_read_the_range_in_a_files_name_as_python_does() -> None:
    assert f"'{sealed_files.RANGE}$'" in (DBT_PROJECT / "macros" / "record.sql").read_text()
