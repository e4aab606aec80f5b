"""Sealing is crash-safe: stopped between any two steps and run again, it leaves the same files and rows."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from record import sealing
from record.contract import RAW_TABLES, Event, row_values
from record.landing import Location, open_store
from record.landing.store import LandingError
from record.sealing import parquet_schema, seal

DAY_US = 86_400_000_000
FIRST_DAY = 20_000 * DAY_US


def land(location: Location, received: list[int]) -> None:
    """Append one event per received time."""
    with closing(open_store(location)) as store:
        ((start,),) = store.query("SELECT count(*) FROM events")
        events = [
            Event(
                event_id=f"e{number}",
                project_id="shop",
                dialect="openanalytics",
                dialect_version="1",
                sender="server",
                kind="event",
                received_us=received_us,
                occurred_us=received_us,
                payload='{"ü": 1}',
                forwardable=(None, True, False)[number % 3],
            )
            for number, received_us in enumerate(received, start=start)
        ]
        store.append([("events", [row_values(Event)(event) for event in events])])


def files(raw: Path) -> dict[str, str]:
    """Name and hash of every file below the raw zone."""
    return {
        str(path.relative_to(raw)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in raw.rglob("*")
        if path.is_file()
    }


def rows(raw: Path) -> list[tuple[int, str]]:
    query = f"SELECT seq, event_id FROM read_parquet('{raw}/events/*/*.parquet') ORDER BY seq"
    return duckdb.sql(query).fetchall()


# Two days in two bounded ranges, the clock once a day back.
RECEIVED = [FIRST_DAY + 1, FIRST_DAY + 2, FIRST_DAY + DAY_US, FIRST_DAY + 3, FIRST_DAY + DAY_US + 1]


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "RANGE_ROWS", 4)
    monkeypatch.setattr(sealing, "CHUNK_ROWS", 2)


def test_seq_is_dense_and_follows_date_then_arrival(location: Location, tmp_path: Path) -> None:
    land(location, RECEIVED)
    assert seal(location, tmp_path / "raw") == {**dict.fromkeys(RAW_TABLES, 0), "events": 5}
    assert rows(tmp_path / "raw") == [(1, "e0"), (2, "e1"), (3, "e3"), (4, "e2"), (5, "e4")]
    assert sorted(files(tmp_path / "raw" / "events")) == [
        "received_date=1970-01-01/seq-0-0.parquet",
        "received_date=2024-10-04/seq-1-3.parquet",
        "received_date=2024-10-05/seq-4-4.parquet",
        "received_date=2024-10-05/seq-5-5.parquet",
    ]
    assert seal(location, tmp_path / "raw") == dict.fromkeys(RAW_TABLES, 0)


class Stopped(Exception):  # noqa: N818
    pass


def stop_at(position: int) -> Callable[[str], None]:
    """A step hook that raises at its `position`-th call."""
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        if count == position:
            raise Stopped(name)

    return step


@pytest.mark.long
def test_a_sealer_stopped_at_any_step_and_run_again_leaves_the_same_bytes(
    new_location: Callable[[], Location], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_location()
    land(whole, RECEIVED)
    steps: list[str] = []
    monkeypatch.setattr(sealing, "_step", steps.append)
    seal(whole, tmp_path / "whole")
    expected = files(tmp_path / "whole")
    assert set(steps) == {
        "range committed", "file written", "file synced", "file renamed", "folders synced", "range finished",
    }  # fmt: skip
    for position in range(1, len(steps) + 1):
        landing, raw = new_location(), tmp_path / f"raw{position}"
        land(landing, RECEIVED)
        monkeypatch.setattr(sealing, "_step", stop_at(position))
        with pytest.raises(Stopped):
            seal(landing, raw)
        # What arrives meanwhile must not slip into the range that was begun.
        land(landing, [FIRST_DAY + 5])
        monkeypatch.setattr(sealing, "_step", lambda name: None)
        seal(landing, raw)
        again = files(raw)
        assert {name: again.get(name) for name in expected if "seq-5" not in name} == {
            name: digest for name, digest in expected.items() if "seq-5" not in name
        }, steps[position - 1]
        assert [seq for seq, _ in rows(raw)] == [1, 2, 3, 4, 5, 6]
        assert {event_id for _, event_id in rows(raw)} == {f"e{n}" for n in range(6)}


KILLED_SEALER = """
import os, signal, sys
from pathlib import Path, PosixPath
from record import sealing
count = 0
def step(name):
    global count
    count += 1
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
sealing._step = step
sealing.RANGE_ROWS, sealing.CHUNK_ROWS = 4, 2
sealing.seal(eval(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("position", [9, 11])
def test_a_sealer_killed_for_real_is_finished_by_the_next(
    new_location: Callable[[], Location], tmp_path: Path, position: int
) -> None:
    whole, landing, raw = new_location(), new_location(), tmp_path / "killed"
    for location in (whole, landing):
        land(location, RECEIVED)
    seal(whole, tmp_path / "whole")
    arguments = [repr(landing), raw, str(position)]
    killed = subprocess.run([sys.executable, "-c", KILLED_SEALER, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert files(raw) != files(tmp_path / "whole")
    seal(landing, raw)
    assert files(raw) == files(tmp_path / "whole")


def test_a_new_landing_store_continues_above_the_raw_zone(
    new_location: Callable[[], Location], tmp_path: Path
) -> None:
    old, new = new_location(), new_location()
    land(old, RECEIVED)
    seal(old, tmp_path / "raw")
    land(new, [FIRST_DAY])
    seal(new, tmp_path / "raw")
    assert rows(tmp_path / "raw")[-1] == (6, "e0")


def test_an_empty_store_leaves_readable_tables(location: Location, tmp_path: Path) -> None:
    seal(location, tmp_path / "raw")
    for table in RAW_TABLES:
        path = tmp_path / "raw" / table / "received_date=1970-01-01" / "seq-0-0.parquet"
        assert pq.read_table(path).num_rows == 0
        assert pq.read_schema(path).equals(parquet_schema(table))


def test_the_empty_file_follows_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "raw" / "events" / "received_date=1970-01-01" / "seq-0-0.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"seq": pa.array([], pa.int64())}), path)
    seal(tmp_path / "l.sqlite", tmp_path / "raw")
    assert pq.read_schema(path).equals(parquet_schema("events"))


def test_only_sealed_rows_can_be_deleted_and_none_changed(location: Location, tmp_path: Path) -> None:
    land(location, RECEIVED)
    with closing(open_store(location)) as store:
        with pytest.raises(LandingError, match="only after it is sealed"):
            store.execute("DELETE FROM events")
        seal(location, tmp_path / "raw")
        with pytest.raises(LandingError, match="never changed"):
            store.execute("UPDATE events SET user_id = 'x'")
        before = store.sealable()
        store.execute("DELETE FROM events")
        assert store.sealable() == before
    land(location, [FIRST_DAY])
    assert seal(location, tmp_path / "raw")["events"] == 1


def test_replacing_is_deleting(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    land(path, RECEIVED)
    with (
        closing(open_store(path)) as store,
        pytest.raises(LandingError, match="only after it is sealed"),
    ):
        store.execute("REPLACE INTO events SELECT * FROM events")
