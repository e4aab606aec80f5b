"""A build never takes the disk space that landing needs: refused before it begins, or ended."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from pydantic import ByteSize

from expectations.checking import Suite, check, no_rows
from funnelhouse.settings import Settings
from orchestration import disk_space
from orchestration.disk_space import (
    FLOOR,
    DiskFullError,
    check_space,
    engine_options,
    needed,
    reserve_kept,
)
from publication.layout import new_build_id
from publication.publishing import publish


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with a record, a warehouse and a publication of known sizes."""
    settings = Settings(home=tmp_path / "home")
    build = settings.published_dir / "20260101T000000000000Z"
    build.mkdir(parents=True)
    (settings.published_dir / "current").symlink_to(build.name)
    (settings.raw_dir / "events").mkdir(parents=True)
    for path, size in (
        (build / "marts.duckdb", 3_000_000),
        (settings.warehouse_path, 40_000_000),
        (settings.raw_dir / "events" / "seq-1-2.parquet", 1_000_000),
    ):
        with path.open("wb") as file:
            file.truncate(size)
    return settings


def with_free(settings: Settings, keep_free: int) -> Settings:
    return settings.model_copy(update={"keep_free": ByteSize(keep_free)})


def test_what_a_build_needs_follows_what_is_there(home: Settings) -> None:
    assert needed(home, is_whole=False) == FLOOR + 40_000_000 // 4 + 3_000_000
    assert needed(home, is_whole=True) == FLOOR + 40_000_000 + 3_000_000
    home.warehouse_path.unlink()
    assert needed(home, is_whole=False) == FLOOR + 16_000_000 + 3_000_000
    shutil.rmtree(home.home_dir)
    assert needed(home, is_whole=False) == FLOOR
    check_space(with_free(home, 0), is_whole=True)


def test_a_build_that_would_take_the_reserve_is_refused(home: Settings) -> None:
    check_space(with_free(home, 0), is_whole=False)
    with pytest.raises(DiskFullError) as refusal:
        check_space(with_free(home, 10**18), is_whole=False)
    said = str(refusal.value)
    assert f"a build needs {10**12 + 113:,} MB: 113 MB to write, and {10**12:,} MB that stay free" in said
    assert "FUNNELHOUSE_KEEP_FREE" in said


def test_the_setting_is_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNNELHOUSE_KEEP_FREE", "2.5GB")
    assert Settings().keep_free == 2_500_000_000


def test_work_is_stopped_when_the_reserve_is_touched(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [2_000_000_000]
    monkeypatch.setattr(disk_space, "_free", lambda folder: free[0])
    with duckdb.connect() as connection, reserve_kept(home, connection.interrupt):
        connection.execute("select 1")
    with (
        duckdb.connect() as connection,
        pytest.raises(DiskFullError, match="The build was ended: less than 1,000 MB were free"),
        reserve_kept(home, connection.interrupt),
    ):
        connection.execute("select 1")
        free[0] = 999_999_999
        connection.execute("select max(md5(a.range::varchar)) from range(1000000) a, range(1000000) b")


@pytest.mark.long
def test_what_a_suite_and_a_publication_spill_is_bounded(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "_free", lambda folder: 1_000_000_000 + 4_000_000)
    small = {**engine_options(home), "memory_limit": "100MB"}
    home.warehouse_path.unlink()
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute(
            "create table marts as select range as n, md5(range::varchar) as t from range(4000000)"
        )
    sorting = no_rows("sorts_much", "critical", "all", "select * from {batch} order by t desc offset 3999999")
    suite = Suite(
        name="large",
        database=home.warehouse_path,
        batches={"all": "select * from marts"},
        expectations=[sorting],
    )
    (outcome,) = check(suite, small).failures
    assert "max_temp_directory_size" in outcome.observed
    now = datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(duckdb.OutOfMemoryException, match="max_temp_directory_size"):
        publish(home.warehouse_path, home.published_dir, ["marts"], new_build_id(now), now, engine=small)
    # Neither the spill nor the half publication is left.
    assert list(home.home_dir.glob("*.tmp")) == list(home.published_dir.glob(".*")) == []
