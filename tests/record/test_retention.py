"""Old sealed rows leave the landing store, old rejected bodies the raw zone; nothing else, no seq twice."""

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from raw_rows import ROWS

from record import retention, sealing
from record.contract import RAW_TABLES, row_values
from record.landing import Location, open_store
from record.landing.store import LandingError
from record.retention import PRUNED_TABLES, prune
from record.sealing import seal

DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US + DAY_US // 2


def ages_us(*days: float) -> list[int]:
    return [NOW_US - int(age * DAY_US) for age in days]


def land(location: Location, table: str, received: list[int]) -> None:
    """Append one row per received time to a raw table."""
    values = row_values(RAW_TABLES[table])
    with closing(open_store(location)) as store:
        store.append([(table, [values(ROWS[table](us)) for us in received])])


def left(location: Location, table: str) -> list[int]:
    """Received times of the rows in the landing store, in order."""
    with closing(open_store(location)) as store:
        return [us for (us,) in store.query(f"SELECT received_us FROM {table} ORDER BY {store.row_order}")]


def sealed(raw: Path, table: str) -> list[tuple[int, int]]:
    """Seq and received time of the rows of the raw zone, by seq."""
    query = f"SELECT seq, received_us FROM read_parquet('{raw}/{table}/*/*.parquet') ORDER BY seq"
    return duckdb.sql(query).fetchall()


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "RANGE_ROWS", 5)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def test_a_range_over_midnight_is_sealed_whole_in_every_table(location: Location, raw: Path) -> None:
    received = ages_us(3, 2, 1)
    for table in RAW_TABLES:
        land(location, table, received)
    seal(location, raw)
    for table in RAW_TABLES:
        assert sealed(raw, table) == list(enumerate(received, start=1))


def test_rows_older_than_the_setting_leave_and_younger_ones_stay(location: Location, raw: Path) -> None:
    # Ranges of five: one all old, one that ends in the middle of the day that is cut.
    received = ages_us(9, 8.9, 8.8, 8.7, 8.6, 7.1, 7.05, 6.95, 6.9, 1)
    for table in RAW_TABLES:
        land(location, table, received)
    seal(location, raw)
    assert prune(location, raw, 7, NOW_US) == dict.fromkeys(PRUNED_TABLES, 7)
    assert set(RAW_TABLES) - set(PRUNED_TABLES) == {"definitions"}
    for table in PRUNED_TABLES:
        assert left(location, table) == received[7:]
        assert [us for _, us in sealed(raw, table)] == received
    assert left(location, "definitions") == received
    assert prune(location, raw, 7, NOW_US) == dict.fromkeys(PRUNED_TABLES, 0)


def test_what_is_not_sealed_stays_however_old(
    location: Location, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):  # noqa: N818
        pass

    def stop(name: str) -> None:
        if name == "folders synced":
            raise Stopped

    received = ages_us(20, 19)
    land(location, "events", received)
    seal(location, raw)  # Makes the files without rows, which are written first.
    land(location, "events", ages_us(18))
    monkeypatch.setattr(sealing, "_step", stop)
    with pytest.raises(Stopped):
        seal(location, raw)
    land(location, "events", ages_us(17))
    assert prune(location, raw, 7, NOW_US)["events"] == 2
    assert left(location, "events") == ages_us(18, 17)
    monkeypatch.setattr(sealing, "_step", lambda name: None)
    seal(location, raw)
    assert prune(location, raw, 7, NOW_US)["events"] == 2


def test_a_prune_of_a_row_that_is_not_sealed_is_refused(location: Location, raw: Path) -> None:
    land(location, "events", ages_us(20))
    seal(location, raw)
    land(location, "events", ages_us(19))
    with closing(open_store(location)) as store:
        ((sealed_range,),) = [store.prunable_ranges("events", NOW_US)]
        last = store.sealable()["events"]
        # Planted: the range's end is mistaken for the store's.
        wrong = type(sealed_range)("events", sealed_range.first, last, 1, 2)
        with pytest.raises(LandingError, match="only after it is sealed"):
            list(store.prune_range(wrong, NOW_US, 100))
    assert left(location, "events") == ages_us(20, 19)


def test_sealing_goes_on_where_it_was_after_everything_was_pruned(location: Location, raw: Path) -> None:
    land(location, "events", ages_us(*range(32, 20, -1)))
    seal(location, raw)
    with closing(open_store(location)) as store:
        before = store.sealable()
    assert prune(location, raw, 7, NOW_US)["events"] == 12
    assert left(location, "events") == []
    with closing(open_store(location)) as store:
        assert store.sealable() == before
        # Forgotten with their rows, but for the last: sealing goes on behind it.
        assert store.query("SELECT count(*) FROM seal_ranges WHERE raw_table = 'events'") == [(1,)]
    assert seal(location, raw)["events"] == 0
    land(location, "events", ages_us(1, 0.5))
    with closing(open_store(location)) as store:
        assert store.sealable()["events"] > before["events"]
    assert seal(location, raw)["events"] == 2
    assert [seq for seq, _ in sealed(raw, "events")] == list(range(1, 15))
    assert prune(location, raw, 7, NOW_US)["events"] == 0


def test_a_row_of_a_clock_ahead_keeps_only_its_own_range(location: Location, raw: Path) -> None:
    ahead = NOW_US + 1000 * DAY_US
    old = ages_us(20)[0]
    land(location, "events", [ahead, ahead, *[old] * 3, old, ahead, old, ahead, old])
    seal(location, raw)
    assert prune(location, raw, 7, NOW_US)["events"] == 3
    assert left(location, "events") == [ahead, ahead, old, old, old, ahead, ahead]


@pytest.mark.parametrize("seed", range(2))
def test_any_history_of_arrivals_builds_and_prunes_keeps_every_row_and_seq(
    location: Location, raw: Path, seed: int
) -> None:
    chance = random.Random(seed)
    now_us, landed = NOW_US, []
    for _ in range(8):
        now_us += chance.randint(0, 4 * DAY_US)
        for _ in range(chance.randint(0, 3)):
            # Clocks of several machines, a little apart.
            received = [now_us + chance.randint(-DAY_US, 1000) for _ in range(chance.randint(1, 6))]
            land(location, "events", received)
            landed += received
        if chance.random() < 0.7:
            seal(location, raw)
        if chance.random() < 0.7:
            before = left(location, "events")
            prune(location, raw, 7, now_us)
            gone = list(before)
            for us in left(location, "events"):
                gone.remove(us)
            assert all(us < now_us - 7 * DAY_US for us in gone)
    seal(location, raw)
    rows = sealed(raw, "events")
    assert [seq for seq, _ in rows] == list(range(1, len(landed) + 1))
    assert sorted(us for _, us in rows) == sorted(landed)
    prune(location, raw, 7, now_us + 60 * DAY_US)
    assert left(location, "events") == []


def test_rejected_bodies_are_forgotten_after_thirty_days_and_nothing_else(
    new_location: Callable[[], Location], raw: Path
) -> None:
    location = new_location()
    for table in RAW_TABLES:
        land(location, table, ages_us(40, 32, 31, 30, 2))
    seal(location, raw)
    others = {path for path in raw.rglob("*") if "rejected" not in path.parts}
    prune(location, raw, 365, NOW_US)
    assert [seq for seq, _ in sealed(raw, "rejected")] == [4, 5]
    # The setting would keep them, but what is forgotten must be forgotten here as well.
    assert left(location, "rejected") == ages_us(30, 2)
    assert {path for path in raw.rglob("*") if "rejected" not in path.parts} == others
    assert len(list((raw / "rejected").iterdir())) == 3
    # A year later the last range has lost its rows, but not its place.
    for _ in range(2):
        prune(location, raw, 365, NOW_US + 365 * DAY_US)
        assert sealed(raw, "rejected") == []
        assert [path.name for path in (raw / "rejected").glob("received_date=2*/*")] == ["seq-5-5.parquet"]
    assert [us for _, us in sealed(raw, "events")] == ages_us(40, 32, 31, 30, 2)
    new = new_location()
    land(new, "rejected", [NOW_US + 365 * DAY_US])
    seal(new, raw)
    assert [seq for seq, _ in sealed(raw, "rejected")] == [6]
    prune(new, raw, 365, NOW_US + 365 * DAY_US)
    assert len(list((raw / "rejected").glob("received_date=2*/*.parquet"))) == 1
    (file,) = (raw / "rejected").glob("received_date=2*/*.parquet")
    assert pq.read_metadata(file).num_rows == 1
