"""What a figure is compared with what it was: how much, for better or worse, and of which rows both are."""

import re
from datetime import date
from decimal import Decimal

import pytest

from read_api.dashboard.change import change, traced_difference
from read_api.dashboard.figures import NONE, Units
from read_api.dashboard.rendering import _environment
from read_api.metrics import Quotient
from read_api.parameters import Days
from read_api.slices import Figure, Slice

NOW = Slice("rpt_traffic", "shop").on("report_date", Days(date(2026, 5, 8), date(2026, 5, 14)))
BEFORE = Slice("rpt_traffic", "shop").on("report_date", Days(date(2026, 5, 1), date(2026, 5, 7)))


def sessions(rows: Slice, number: int | None) -> Figure:
    return rows.figure("sum(sessions)", number)


@pytest.mark.parametrize(
    ("now", "before", "text", "direction", "is_good"),
    [
        (1124, 1000, "12.4", "up", True),
        (876, 1000, "12.4", "down", False),
        (7, 7, "0.0", "same", None),
        (7, 0, "new", "new", None),
        (0, 7, "100.0", "down", False),
        (0, 0, NONE, "none", None),
        (50, -100, "150.0", "up", True),
        (10_994, 1000, "999.4%", "up", True),
        (15_883, 100, "&gt;999%", "up", True),
        (-15_883, 100, "&gt;999%", "down", False),
    ],
)
def test_a_change_is_relative_to_what_was(
    now: int, before: int, text: str, direction: str, is_good: bool | None
) -> None:
    found = change(sessions(NOW, now), sessions(BEFORE, before), when="last week")
    assert text in found.text
    assert (found.direction, found.is_good) == (direction, is_good)
    assert found.title.endswith("last week")


def test_more_of_what_costs_is_not_good() -> None:
    now, before = sessions(NOW, 2), sessions(BEFORE, 1)
    assert change(now, before, up_is_good=False).is_good is False


def test_without_known_days_there_is_no_change() -> None:
    assert change(sessions(NOW, 3), None).text == NONE


def test_a_change_names_the_rows_of_both() -> None:
    found = change(sessions(NOW, 3), sessions(BEFORE, 2)).text
    assert 'data-filter="report_date.from=2026-05-08&amp;report_date.to=2026-05-14"' in found
    assert 'data-before-filter="report_date.from=2026-05-01&amp;report_date.to=2026-05-07"' in found


def test_rates_and_averages_change_as_a_whole() -> None:
    credit = [rows.figure("sum(credit_nano)", Decimal(number)) for rows, number in ((NOW, 3), (BEFORE, 2))]
    now, before = (
        Quotient(part, sessions(part.of, whole)) for part, whole in zip(credit, (60, 50), strict=True)
    )
    found = change(now, before)
    assert "25.0" in found.text
    assert 'data-before-over-column="sum(sessions)"' in found.text
    assert found.title == "4.0%"
    nothing = Quotient(credit[0], sessions(NOW, 0))
    assert change(nothing, before).text == NONE
    assert change(now, nothing).text == "new"


def test_amounts_are_written_with_their_currency() -> None:
    now, before = (
        rows.where("currency", "EUR").figure("sum(net_amount_minor)", minor)
        for rows, minor in ((NOW, 1_500), (BEFORE, 250_000))
    )
    assert change(now, before, Units({})).title == "EUR\N{NO-BREAK SPACE}2,500.00"
    difference = traced_difference(Units({}), now, before)
    assert re.sub("<.*?>", "", difference) == "EUR\N{NO-BREAK SPACE}\N{MINUS SIGN}2,485.00"
    assert 'data-less-mart="rpt_traffic"' in difference


def test_the_arrow_is_not_all_that_tells_the_direction() -> None:
    macro = _environment().get_template("change_parts.html").module.delta  # type: ignore[attr-defined]
    shown = str(macro(change(sessions(NOW, 1), sessions(BEFORE, 2))))
    assert '<span aria-hidden="true">▼</span><span class="hidden-label">down</span>' in shown
    assert 'class="change worse"' in shown
