"""Date ranges of the funnel report."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from read_api.date_ranges import NAMED_RANGES, DateRange, DateRangeError, parse_date_range

SATURDAY = date(2026, 11, 21)
days = st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 12, 31))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("20230601,20230630", "2023-06-01", "2023-06-30"),
        ("20240229,20240229", "2024-02-29", "2024-02-29"),
        ("today", "2026-11-21", "2026-11-21"),
        ("yesterday", "2026-11-20", "2026-11-20"),
        ("last_7_days", "2026-11-14", "2026-11-20"),
        ("last_14_days", "2026-11-07", "2026-11-20"),
        ("last_30_days", "2026-10-22", "2026-11-20"),
        ("last_60_days", "2026-09-22", "2026-11-20"),
        ("last_90_days", "2026-08-23", "2026-11-20"),
        ("this_week", "2026-11-16", "2026-11-22"),
        ("this_week_monday_sunday", "2026-11-16", "2026-11-22"),
        ("this_week_sunday_saturday", "2026-11-15", "2026-11-21"),
        ("last_week", "2026-11-09", "2026-11-15"),
        ("this_month", "2026-11-01", "2026-11-30"),
        ("last_month", "2026-10-01", "2026-10-31"),
        ("this_year", "2026-01-01", "2026-12-31"),
        ("last_year", "2025-01-01", "2025-12-31"),
    ],
)
def test_what_each_range_means_on_a_saturday(text: str, first: str, last: str) -> None:
    expected = DateRange(date.fromisoformat(first), date.fromisoformat(last))
    assert parse_date_range(text, lambda: SATURDAY) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20230601",
        "20230601,",
        "2023-06-01,2023-06-30",
        "20230601,20230631",
        "00000101,20230601",
        "20230602,20230601",
        "20230601,20230630,20230701",
        " 20230601,20230630",
        "٢٠٢٣٠٦٠١,٢٠٢٣٠٦٣٠",
        "this_decade",
        "THIS_MONTH",
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(DateRangeError) as refused:
        parse_date_range(text, lambda: SATURDAY)
    assert not text or text not in str(refused.value)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    try:
        found = parse_date_range(text, lambda: SATURDAY)
    except DateRangeError:
        return
    assert found.first <= found.last


@given(days, days)
def test_two_dates_are_read_as_written(one: date, other: date) -> None:
    first, last = sorted((one, other))
    assert parse_date_range(f"{first:%Y%m%d},{last:%Y%m%d}", lambda: SATURDAY) == (first, last)


@given(days, st.sampled_from(sorted(NAMED_RANGES)))
def test_named_ranges_on_any_day(today: date, name: str) -> None:
    first, last = parse_date_range(name, lambda: today)
    length = (last - first).days + 1
    if name.startswith(("today", "this_")):
        assert first <= today <= last
    else:
        assert last < today
    if "week" in name:
        assert length == 7
        assert first.weekday() == (6 if name.endswith("sunday_saturday") else 0)
    if "month" in name:
        assert first.day == 1
        assert (last + timedelta(days=1)).day == 1
        assert length <= 31
    if "year" in name:
        assert (first.month, first.day, last.month, last.day) == (1, 1, 12, 31)
    if name.endswith("_days"):
        assert length == int(name.split("_")[1])
        assert last == today - timedelta(days=1)


@given(days)
def test_neighbouring_ranges_leave_no_gap(today: date) -> None:
    for unit in ("week", "month", "year"):
        before = parse_date_range(f"last_{unit}", lambda: today)
        now = parse_date_range(f"this_{unit}", lambda: today)
        assert before.last + timedelta(days=1) == now.first
