"""The demo's journeys: an aggregated file undone, to the cent and within the look-back."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line.demo.journeys import LAST_MOMENT, Journey, events_of, read_journeys, split_cents

HOUR_MS = 3_600_000
LOOKBACK_MS = 30 * 24 * HOUR_MS
LAST_MS = int(LAST_MOMENT.timestamp() * 1000)

FILE = """\
path,total_conversions,total_conversion_value,total_null
eta > iota > eta,3,1.005,1
beta,0,0.0,2
iota,1,30.7346153846154,0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(FILE.encode()))
    return path


def test_a_row_stands_for_its_conversions_and_its_other_journeys(file: Path) -> None:
    path = ("eta", "iota", "eta")
    assert list(read_journeys(file)) == [
        # 1.005 is rounded half to even: 1.00, of which the first conversion gets the cent left over.
        Journey(0, path, 34),
        Journey(1, path, 33),
        Journey(2, path, 33),
        Journey(3, path, None),
        Journey(4, ("beta",), None),
        Journey(5, ("beta",), None),
        Journey(6, ("iota",), 3073),
    ]


def test_each_step_is_a_visit_an_hour_after_the_one_before() -> None:
    *visits, conversion = events_of(Journey(7, ("eta", "iota"), 1234))
    assert [visit["utm_source"] for visit in visits] == ["eta", "iota"]
    assert visits[1]["timestamp"] - visits[0]["timestamp"] == HOUR_MS
    assert conversion["timestamp"] - visits[1]["timestamp"] == HOUR_MS // 6
    assert (conversion["event_type"], conversion["revenue"]) == ("conversion", 12.34)
    assert len({event["event_id"] for event in (*visits, conversion)}) == 3
    assert [event["event_type"] for event in events_of(Journey(7, ("eta", "iota"), None))] == ["pageview"] * 2


@pytest.mark.parametrize("number", [0, 623, 624, 88_386])
def test_the_longest_path_of_the_file_lies_within_the_look_back(number: int) -> None:
    times = [event["timestamp"] for event in events_of(Journey(number, ("iota",) * 89, 1))]
    assert times == sorted(times)
    assert LAST_MS - LOOKBACK_MS <= times[0] < times[-1] <= LAST_MS


@given(st.integers(0, 10**9), st.integers(1, 50))
def test_no_cent_is_lost_in_splitting(cents: int, parts: int) -> None:
    split = split_cents(cents, parts)
    assert sum(split) == cents
    assert max(split) - min(split) <= 1
    assert split == sorted(split, reverse=True)
