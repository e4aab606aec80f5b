"""A hole in the permanent record is named, a damaged file too; what is put back or written again is good."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from raw_rows import ROWS

from record import sealing, verifying
from record.contract import RAW_TABLES, row_values
from record.landing import Location, open_store
from record.retention import prune
from record.sealed_files import span_of
from record.sealing import seal
from record.verifying import IncompleteRecordError, check_record, repair, verify

DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US + DAY_US // 2


def land(location: Location, *ages_days: float) -> None:
    """Append one row per age to each raw table."""
    received = [NOW_US - int(age * DAY_US) for age in ages_days]
    with closing(open_store(location)) as store:
        for table, row in RAW_TABLES.items():
            values = row_values(row)
            store.append([(table, [values(ROWS[table](us)) for us in received])])


def left(location: Location, table: str) -> int:
    with closing(open_store(location)) as store:
        ((count,),) = store.query(f"SELECT count(*) FROM {table}")
    return int(count)


def files(raw: Path, table: str) -> list[Path]:
    """The files of a table that have rows, by position."""
    return sorted((raw / table).glob("received_date=2*/*.parquet"), key=span_of)


def refused(location: Location, raw: Path) -> str:
    with pytest.raises(IncompleteRecordError) as refusal:
        check_record(location, raw, NOW_US)
    return str(refusal.value)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "RANGE_ROWS", 3)


@pytest.fixture
def raw(location: Location, tmp_path: Path) -> Path:
    """The raw zone of a store in which nine rows of each table were sealed, a range a day."""
    land(location, 9, 8.9, 8.8, 6, 5.9, 5.8, 1, 0.9, 0.8)
    seal(location, tmp_path / "raw")
    return tmp_path / "raw"


@pytest.mark.parametrize("table", RAW_TABLES)
def test_a_missing_file_is_named_until_it_is_back(location: Location, raw: Path, table: str) -> None:
    check_record(location, raw, NOW_US)
    for file in files(raw, table):
        away = file.rename(raw.parent / file.name)
        said = refused(location, raw)
        first, last = span_of(file)
        assert (
            file.name if table == "rejected" else f"{raw / table} lacks the positions {first} to {last}"
        ) in said
        assert said.endswith(verifying.REMEDY)
        # A copy has a time of its own.
        shutil.copy(away, file)
        check_record(location, raw, NOW_US)


def test_a_raw_zone_that_is_not_mounted_is_named(location: Location, raw: Path) -> None:
    raw.rename(raw.parent / "away")
    for _ in range(2):
        assert f"{raw / 'events'} has no file of the positions 1 to 9: is its disk mounted?" in refused(
            location, raw
        )
        raw.mkdir(exist_ok=True)
    shutil.rmtree(raw)
    (raw.parent / "away").rename(raw)
    check_record(location, raw, NOW_US)


def test_forgotten_days_of_rejected_are_no_hole(location: Location, raw: Path) -> None:
    month_later = NOW_US + 26 * DAY_US
    prune(location, raw, 7, month_later)
    assert len(files(raw, "rejected")) == 1
    check_record(location, raw, month_later)
    prune(location, raw, 7, month_later + 9 * DAY_US)
    check_record(location, raw, month_later + 9 * DAY_US)
    assert verify(location, raw, month_later + 9 * DAY_US).faults == ()


def test_a_store_that_began_anew_finds_holes_below_its_first_position(
    location: Location, new_location: Callable[[], Location], raw: Path
) -> None:
    new = new_location()
    land(new, 0.5)
    check_record(new, raw, NOW_US)
    seal(new, raw)
    check_record(new, raw, NOW_US)
    files(raw, "events")[1].unlink()
    assert "lacks the positions 4 to 6, which were sealed" in refused(new, raw)


def test_a_home_of_a_version_that_remembered_no_files_is_looked_through(
    location: Location, raw: Path
) -> None:
    forget_what_is_known(location)
    check_record(location, raw, NOW_US)
    assert verify(location, raw, NOW_US).faults == ()
    flip(files(raw, "events")[0])
    assert "seq-1-3.parquet is not what was sealed" in verify(location, raw, NOW_US).faults[0].sentence
    forget_what_is_known(location)
    files(raw, "costs")[2].unlink()
    assert "lacks the positions 7 to 9" in refused(location, raw)


def test_a_file_inside_another_s_range_does_not_count(location: Location, raw: Path) -> None:
    first, second = files(raw, "events")[:2]
    whole = first.with_name("seq-1-6.parquet")
    with pq.ParquetWriter(whole, sealing.parquet_schema("events")) as writer:
        for file in (first, second):
            writer.write_table(pq.read_table(file, partitioning=None))
    check_record(location, raw, NOW_US)
    first.write_bytes(b"")
    second.unlink()
    check_record(location, raw, NOW_US)
    assert verify(location, raw, NOW_US).faults == ()


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def flip(file: Path) -> None:
    """One bit of a page, without a trace in size and time."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def fewer_rows(file: Path) -> None:
    pq.write_table(pq.read_table(file, partitioning=None).slice(1), file)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("harm", [cut, empty, fewer_rows])
def test_a_damaged_file_stops_a_build(
    location: Location, raw: Path, harm: Callable[[Path], None], is_known: bool
) -> None:
    if not is_known:
        forget_what_is_known(location)
    file = files(raw, "definitions")[0]
    shutil.copy2(file, raw.parent / file.name)
    harm(file)
    assert f"{file} " in refused(location, raw)
    assert f"{file} " in refused(location, raw)
    shutil.copy2(raw.parent / file.name, file)
    check_record(location, raw, NOW_US)


def test_a_flipped_bit_is_found_by_verifying_and_from_then_on(location: Location, raw: Path) -> None:
    assert verify(location, raw, NOW_US).faults == ()
    file = files(raw, "events")[2]
    shutil.copy2(file, raw.parent / file.name)
    flip(file)
    (fault,) = verify(location, raw, NOW_US).faults
    assert fault.sentence == f"{file} is not what was sealed: its content has changed."
    assert fault.sentence in refused(location, raw)
    shutil.copy2(raw.parent / file.name, file)
    check_record(location, raw, NOW_US)


def test_only_rows_whose_file_is_good_leave_the_landing_store(location: Location, raw: Path) -> None:
    missing, _, _ = files(raw, "events")
    missing.unlink()
    flip(files(raw, "costs")[0])
    with pytest.raises(IncompleteRecordError, match="lacks the positions 1 to 3"):
        prune(location, raw, 7, NOW_US)
    # Of each table three rows are older; the last two have them.
    assert {table: left(location, table) for table in RAW_TABLES} == {
        "events": 9, "definitions": 9, "costs": 9, "rejected": 6, "unread_fields": 6, "unrecorded_clicks": 6,
    }  # fmt: skip
    with pytest.raises(IncompleteRecordError, match="content has changed"):
        check_record(location, raw, NOW_US)


def test_what_is_still_in_the_landing_store_is_written_again(location: Location, raw: Path) -> None:
    before = {file: file.read_bytes() for table in RAW_TABLES for file in files(raw, table)}
    for table in RAW_TABLES:
        cut(files(raw, table)[0])
        files(raw, table)[2].unlink()
    written = repair(location, raw, verify(location, raw, NOW_US).faults)
    assert sorted(written) == sorted((table, span) for table in RAW_TABLES for span in [(1, 3), (7, 9)])
    assert {file: file.read_bytes() for table in RAW_TABLES for file in files(raw, table)} == before
    check_record(location, raw, NOW_US)
    # What has left is not in the store any more.
    prune(location, raw, 7, NOW_US)
    files(raw, "events")[0].unlink()
    assert repair(location, raw, verify(location, raw, NOW_US).faults) == []
    assert "lacks the positions 1 to 3" in refused(location, raw)


def test_only_files_that_have_changed_are_read(
    location: Location, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_what_is_known(location)
    looked_at: list[str] = []
    real = verifying._count
    monkeypatch.setattr(
        verifying, "_count", lambda path, span: (looked_at.append(path.name), real(path, span))
    )
    check_record(location, raw, NOW_US)
    assert len(looked_at) == 3 * len(RAW_TABLES)
    check_record(location, raw, NOW_US)
    assert len(looked_at) == 3 * len(RAW_TABLES)


def test_a_sealer_that_was_stopped_leaves_no_hole(
    location: Location, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):  # noqa: N818
        pass

    def stop(name: str) -> None:
        if name == "file renamed":
            raise Stopped

    land(location, 0.2, 0.1)
    monkeypatch.setattr(sealing, "_step", stop)
    with pytest.raises(Stopped):
        seal(location, raw)
    check_record(location, raw, NOW_US)
    monkeypatch.setattr(sealing, "_step", lambda name: None)
    seal(location, raw)
    check_record(location, raw, NOW_US)
    assert verify(location, raw, NOW_US).rows == 11 * len(RAW_TABLES)


def test_a_full_disk_leaves_no_unfinished_file(
    location: Location, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> None:
        if name == "file written":
            raise OSError("no space left")

    land(location, 0.1)
    monkeypatch.setattr(sealing, "_step", full)
    with pytest.raises(OSError, match="no space left"):
        seal(location, raw)
    assert list(raw.rglob("*.writing")) == []


def forget_what_is_known(location: Location) -> None:
    with closing(open_store(location)) as store:
        store.execute("DELETE FROM sealed_files")
        assert store.query("SELECT 1 FROM sealed_files") == []
