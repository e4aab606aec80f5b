"""The days that others are compared with."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnelhouse.problems import Refusal
from read_api.comparison import Comparison, comparison
from read_api.parameters import Days

DATES = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@given(DATES, st.integers(0, 800))
def test_previous_days_are_as_many_on_the_same_days_of_the_week_and_overlap_with_none(
    first: date, more: int
) -> None:
    shown = Days(first, first + timedelta(days=more))
    found = Comparison("previous").days(shown)
    assert found is not None
    assert found.first is not None
    assert found.last is not None
    assert (found.last - found.first).days == more
    assert found.first.weekday() == first.weekday()
    assert found.last < first
    assert (first - found.last).days <= 7


def test_a_year_before_are_the_same_dates() -> None:
    assert Comparison("year").days(Days(date(2024, 2, 29), date(2024, 3, 5))) == Days(
        date(2023, 2, 28), date(2023, 3, 5)
    )


@pytest.mark.parametrize("name", ["previous", "year"])
def test_what_has_no_end_or_no_past_is_compared_with_nothing(name: str) -> None:
    assert Comparison(name).days(Days(None, date(2024, 1, 1))) is None
    assert Comparison(name).days(Days(date.min, date(1, 1, 2))) is None


@pytest.mark.parametrize(
    "asked",
    [
        ("last", None, None),
        ("own", None, None),
        ("own", "2026-01-01", None),
        ("own", "2026-01-02", "2026-01-01"),
        ("own", "x", "2026-01-01"),
    ],
)
def test_what_is_no_comparison_is_refused(asked: tuple[str, str | None, str | None]) -> None:
    with pytest.raises(Refusal) as refused:
        comparison(*asked)
    assert refused.value.status == 400


def test_own_days_are_themselves() -> None:
    own = Days(date(2026, 1, 1), date(2026, 1, 2))
    assert Comparison("own", own) == comparison("own", "2026-01-01", "2026-01-02")
    assert Comparison("own", own).days(Days()) == own
    assert comparison("", "x", None) is None
