"""The landing table and the Parquet schema are what the contract says."""

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from funnelhouse.contract import RAW_TABLES, columns
from funnelhouse.landing import open_store
from ingest_api.sealing import parquet_schema

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
