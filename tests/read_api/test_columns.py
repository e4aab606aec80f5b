"""The select list of a query is the dataclass that its rows become."""

from dataclasses import dataclass

import pytest

from read_api.reports.columns import columns, made


@dataclass(frozen=True)
class Thing:
    name: str
    size: int
    at: int


def test_fields_are_columns_in_their_order() -> None:
    assert columns(Thing) == "name, size, at"
    assert columns(Thing, "size", at="moment") == "name, coalesce(sum(size), 0) as size, moment as at"


def test_what_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="Thing has no sizes"):
        columns(Thing, "sizes")


def test_what_rows_are_sorted_by_is_dropped() -> None:
    assert made(Thing, [("a", 1, 2, "sorted by this")]) == [Thing("a", 1, 2)]
