"""What the metrics of both APIs say of the house: its landing store, its last build, its publication."""

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from funnelhouse import gauges
from funnelhouse.gauges import HouseGauges
from funnelhouse.keys import create_key, list_keys, revoke_key
from funnelhouse.last_build import LastBuild, write_last_build
from funnelhouse.settings import Settings
from record.contract import DAY_US, Event, row_values
from record.landing import Location, open_store
from record.sealing import seal

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


@pytest.fixture
def house(location: Location, tmp_path: Path) -> Settings:
    """A home over one kind of landing store."""
    settings = Settings(home=tmp_path / "landing", landing=location if isinstance(location, str) else "")
    settings.home.mkdir(exist_ok=True)
    return settings


def land(settings: Settings, *seconds_ago: int) -> None:
    with closing(open_store(settings.landing_store)) as store:
        events = [
            Event(
                event_id=f"e{ago}",
                project_id="shop",
                dialect="openanalytics",
                dialect_version="1",
                sender="server",
                kind="event",
                received_us=NOW_US - ago * 1_000_000,
                occurred_us=NOW_US,
                payload="{}",
            )
            for ago in seconds_ago
        ]
        store.append([("events", [row_values(Event)(event) for event in events])])


def publish(settings: Settings, to_seq: int, hours_ago: int) -> None:
    folder = settings.published_dir / "20261129T000000000000Z"
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "build_id": folder.name,
        "published_at": NOW.replace(hour=NOW.hour - hours_ago).isoformat(),
        "landed": {"to_seq": to_seq},
    }
    (folder / "build.json").write_text(json.dumps(said))
    link = settings.published_dir / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)


def look(settings: Settings) -> dict[str, float]:
    return HouseGauges(settings)._look(NOW.timestamp())


def test_what_waits_for_a_build(house: Settings) -> None:
    land(house, 5000, 4000)
    found = look(house)
    assert found["unsealed_rows"] == found["unpublished_events"] == 2
    assert found["oldest_unpublished_event_age_seconds"] == 5000
    assert "publication_age_seconds" not in found

    seal(house.landing_store, house.raw_dir)
    publish(house, to_seq=2, hours_ago=1)
    found = look(house)
    assert found["publication_age_seconds"] == 3600
    waiting = ("unsealed_rows", "unpublished_events", "oldest_unpublished_event_age_seconds")
    assert [found[name] for name in waiting] == [0, 0, 0]

    # Sealed by a build that failed; and what came since.
    land(house, 300, 200)
    seal(house.landing_store, house.raw_dir)
    land(house, 100)
    found = look(house)
    assert [found[name] for name in waiting] == [1, 3, 300]


def test_the_next_key_to_end_is_one_that_holds(house: Settings) -> None:
    with closing(open_store(house.landing_store)) as store:
        for days in (300, 20, 90):
            create_key(store, "shop", ["read"], expires_days=days)
        first = min(list_keys(store), key=lambda key: key.expires_us)
        revoke_key(store, first.key_id)
        soonest = min(key.expires_us for key in list_keys(store) if key.key_id != first.key_id)
    # Keys are made and revoked by the clock, so that the look happens by it as well.
    now = time.time()
    found = HouseGauges(house)._look(now)
    assert found["next_key_end_days"] == pytest.approx((soonest - now * 1e6) / DAY_US)


def test_the_last_build_and_the_disk(home: Settings) -> None:
    # Nothing is there, not even the folder.
    assert look(home) == {}
    home.home_dir.mkdir()
    times = {"started_us": NOW_US - 90_000_000, "ended_us": NOW_US}
    write_last_build(
        home.last_build_path, LastBuild(outcome="failed", build_id=None, failures=("x",), **times)
    )
    found = look(home)
    assert found.pop("home_free_bytes") > 0
    assert found == {
        "last_build_succeeded": 0,
        "last_build_duration_seconds": 90,
        "last_build_end_timestamp_seconds": NOW.timestamp(),
    }
    write_last_build(home.last_build_path, LastBuild(outcome="published", build_id="b", **times))
    assert look(home)["last_build_succeeded"] == 1


def test_a_store_that_cannot_be_read_is_no_fault(home: Settings) -> None:
    home.home_dir.mkdir()
    home.landing_path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    assert list(look(home)) == ["home_free_bytes"]


def test_it_is_looked_up_no_more_often_than_needed(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    home.home_dir.mkdir()
    house = HouseGauges(home)
    assert [family.name for family in house.collect()] == ["funnelhouse_home_free_bytes"]
    publish(home, 0, 1)
    assert len(list(house.collect())) == 1
    monkeypatch.setattr(house, "_seen_until", 0.0)
    assert len(list(house.collect())) == 2
    assert set(gauges._DESCRIPTIONS) >= {
        family.name.removeprefix("funnelhouse_") for family in house.collect()
    }
