"""A warehouse that is damaged is set aside, whatever became of it; one that is only in use is left alone."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from orchestration import warehouse
from orchestration.warehouse import WarehouseError, heal, show_damage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A warehouse whose last build was published."""
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as made:
        made.execute("create table marts as select range as n, md5(range::varchar) as t from range(200000)")
        made.execute("create table publication as select true as is_latest_build")
    return path


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_bytes(path: Path) -> None:
    path.write_bytes(b"no database" * 10_000)


def flipped(path: Path) -> None:
    chance, content = random.Random(1), bytearray(path.read_bytes())
    for _ in range(3000):
        content[chance.randrange(12_288, len(content))] ^= 0xFF
    path.write_bytes(content)


def of_another_version(path: Path) -> None:
    """The version number of the file's header, with the checksum that belongs to it left as it was."""
    content = bytearray(path.read_bytes())
    content[12] = 200
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [emptied, cut, other_bytes, flipped, of_another_version])
def test_a_damaged_one_is_set_aside(path: Path, harm: Callable[[Path], None]) -> None:
    assert heal(path) is None
    harm(path)
    harmed = path.read_bytes()
    said = heal(path)
    assert said is not None
    assert said.startswith(f"{path} was damaged (")
    assert not path.exists()
    assert path.with_name("warehouse.duckdb.damaged").read_bytes() == harmed
    assert heal(path) is None


def flip_one_block(path: Path) -> None:
    """A block of a table's rows, which opening the file does not read."""
    with duckdb.connect(str(path), read_only=True) as opened:
        ((block,),) = opened.execute(
            "select max(block_id) from pragma_storage_info('marts') where column_name = 't' and block_id > 0"
        ).fetchall()
    content = bytearray(path.read_bytes())
    content[12_288 + block * 262_144 + 5000] ^= 1
    path.write_bytes(content)


def test_damage_that_opening_does_not_show_is_found_where_it_is_suspected(path: Path) -> None:
    flip_one_block(path)
    assert heal(path) is None
    said = heal(path, is_suspect=True)
    assert said is not None
    assert "checksum" in said


@pytest.mark.parametrize(
    "statement",
    ["update publication set is_latest_build = false", "delete from publication", "drop table publication"],
)
def test_after_a_build_that_was_not_published_all_of_it_is_read(path: Path, statement: str) -> None:
    with duckdb.connect(str(path)) as opened:
        opened.execute(statement)
    assert heal(path) is None
    flip_one_block(path)
    assert heal(path) is not None


def test_what_was_set_aside_does_not_pile_up(path: Path) -> None:
    good = path.read_bytes()
    for _ in range(2):
        emptied(path)
        path.with_name("warehouse.duckdb.wal").write_bytes(b"of the damaged one")
        assert heal(path) is not None
        assert sorted(file.name for file in path.parent.iterdir()) == [
            "warehouse.duckdb.damaged",
            "warehouse.duckdb.damaged.wal",
        ]
        path.write_bytes(good)
    assert heal(path) is None
    assert [file.name for file in path.parent.iterdir()] == ["warehouse.duckdb"]


HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


def test_one_that_another_process_has_open_is_not_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "LOCK_PATIENCE_S", 0.1)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(WarehouseError, match=rf"Another process has .*PID {other.pid}"):
            heal(path)
    finally:
        other.kill()
        other.wait()
    assert heal(path) is None
    assert path.exists()


def test_what_the_system_refuses_is_no_damage(tmp_path: Path) -> None:
    folder = tmp_path / "warehouse.duckdb"
    folder.mkdir()
    with pytest.raises(WarehouseError, match="cannot be opened"):
        heal(folder)
    assert folder.is_dir()


def test_one_that_this_process_has_open_is_no_damage(path: Path) -> None:
    with (
        duckdb.connect(str(path), read_only=True),
        pytest.raises(WarehouseError, match="could not be inspected"),
    ):
        heal(path)
    assert path.exists()


def test_only_what_may_come_of_damage_is_looked_into() -> None:
    assert show_damage(["dbt model x: IO Error: Corrupt database file: computed checksum 1 does not match 2"])
    assert show_damage(["dbt ended with exit code -11; dbt.log says why."])
    assert not show_damage(["dbt test assert_x: Got 2 results, configured to fail if != 0"])
