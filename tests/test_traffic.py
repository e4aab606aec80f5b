"""The generator of synthetic traffic: the same for one seed, in the shape of sealed files, and going on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.traffic import generate, generate_more
from record.contract import Event, columns
from record.sealed_files import span_of
from record.sealing import parquet_schema


def files(home: Path) -> list[Path]:
    return sorted((home / "raw" / "events").glob("*/*.parquet"), key=span_of)


def events(home: Path) -> pa.Table:
    return pa.concat_tables(pq.ParquetFile(file).read() for file in files(home))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("traffic")
    generate(home, 3000, seed=7)
    generate_more(home, 400)
    return home


def test_files_are_as_sealing_writes_them(home: Path) -> None:
    for file in files(home):
        assert pq.read_schema(file).equals(parquet_schema("events"))
        seqs = pq.ParquetFile(file).read(["seq", "received_us"])
        assert (seqs["seq"][0].as_py(), seqs["seq"][-1].as_py()) == span_of(file)
        days = pc.unique(pc.divide(seqs["received_us"], 86_400_000_000)).to_pylist()
        assert [f"{day}" for day in pc.cast(pa.array(days, pa.int32()), pa.date32())] == [
            file.parent.name.removeprefix("received_date=")
        ]


def test_rows_are_dense_by_arrival_and_keep_the_contract(home: Path) -> None:
    rows = events(home)
    assert rows["seq"].to_pylist() == list(range(1, 3401))
    received = rows["received_us"].to_pylist()
    assert received == sorted(received)
    for column in columns(Event):
        assert not (column.is_required and rows[column.name].null_count), column.name
        if column.choices:
            found = set(rows[column.name].drop_null().to_pylist())
            assert found <= set(column.choices), column.name


def test_one_seed_makes_one_traffic(home: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", 3000, seed=7)
    generate(tmp_path / "other", 3000, seed=8)
    assert events(tmp_path / "again").equals(events(home).slice(0, 3000))
    assert not events(tmp_path / "other").equals(events(home).slice(0, 3000))
