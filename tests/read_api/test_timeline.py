"""Metrics over time and what changed, over HTTP: bins add up to totals, and both to what the marts have."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest
from example_marts import ReadServer, serving_two_years

from read_api.bins import bins, counterparts
from read_api.comparison import Comparison
from read_api.metrics import METRICS
from read_api.parameters import Days
from read_api.reports import changes as changes_report

REPORTS = "/v1/projects/shop/reports"
MONTH = {"from": "2026-11-21", "to": "2026-12-20"}
WEEK = {"from": "2026-12-07", "to": "2026-12-13"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadServer]:
    """Two years of a project with two currencies."""
    with serving_two_years(tmp_path_factory.mktemp("timeline")) as server:
        yield server


def body(server: ReadServer, report: str, **asked: Any) -> Any:
    answer = server.get(f"{REPORTS}/{report}", **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def summed(server: ReadServer, mart: str, column: str, **filters: Any) -> Decimal:
    """Of all rows of a mart, by the exports."""
    answer = server.get(f"/v1/projects/shop/marts/{mart}", format="json", limit=10000, **filters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["next"] is None
    return sum((Decimal(row[column] or 0) for row in answer.json()["rows"]), Decimal())


def of_days(column: str, days: dict[str, str]) -> dict[str, str]:
    return {f"{column}.from": days["from"], f"{column}.to": days["to"]}


def total(found: Any, name: str = "value") -> Decimal:
    return sum((Decimal(str(each[name])) for each in found["bins"] if each[name] is not None), Decimal())


ADDED_UP = [name for name, metric in METRICS.items() if not metric.over]


@pytest.mark.parametrize("metric", ADDED_UP)
@pytest.mark.parametrize(
    ("days", "size", "length"),
    [
        ({"from": "2026-12-19", "to": "2026-12-20"}, "hour", 48),
        (MONTH, "day", 30),
        ({"from": "2026-01-01", "to": "2026-12-31"}, "week", 51),
        ({}, "week", 102),
    ],
)
def test_bins_add_up_to_the_total(
    shop: ReadServer, metric: str, days: dict[str, str], size: str, length: int
) -> None:
    found = body(shop, "timeline", metric=metric, **days)
    if metric == "ad_spend" and size == "hour":
        size, length = "day", 2
    assert (found["size"], len(found["bins"])) == (size, length)
    assert total(found) == Decimal(str(found["value"]))
    assert found["is_unfinished"]
    assert found["compared_value"] is None
    assert (found["currency"] is None) is (METRICS[metric].unit == "count")


@pytest.mark.parametrize("days", [MONTH, WEEK, {"from": "2026-12-20", "to": "2026-12-20"}])
def test_values_are_those_of_the_marts(shop: ReadServer, days: dict[str, str]) -> None:
    on = of_days("report_date", days)
    sessions = summed(shop, "rpt_traffic", "sessions", **on)
    conversions = summed(shop, "rpt_traffic", "credit_nano", **on) / 10**9
    net = summed(
        shop, "fct_conversion_ledger", "amount_minor", currency="USD", **of_days("conversion_date", days)
    )
    spent = summed(shop, "rpt_campaigns", "cost_minor", currency="EUR", **on)
    # Refunds without a sale are taken off, as from net revenue.
    earned = summed(
        shop, "fct_conversion_ledger", "amount_minor", currency="EUR", **of_days("conversion_date", days)
    )
    pending = summed(
        shop,
        "fct_conversions",
        "amount_minor",
        state="pending",
        currency="EUR",
        **of_days("conversion_date", days),
    )
    asked = {
        "sessions": sessions,
        "conversions": conversions,
        "conversion_rate": round(conversions / sessions, 9),
        "net_revenue": net,
    }
    for metric, right in asked.items():
        found = body(shop, "timeline", metric=metric, **days)["value"]
        assert Decimal(str(found)) == right, metric
    in_euros = {
        "ad_spend": spent,
        "pending_value": pending,
        "roas": round(earned / spent, 9) if spent else None,
    }
    for metric, amount in in_euros.items():
        found = body(shop, "timeline", metric=metric, currency="EUR", **days)["value"]
        assert (None if found is None else Decimal(str(found))) == amount, metric


def test_each_day_is_compared_with_its_weekday(shop: ReadServer) -> None:
    found = body(shop, "timeline", metric="sessions", compare="previous", **MONTH)
    assert (found["compared_from"], found["compared_to"]) == ("2026-10-17", "2026-11-15")
    pairs = [(each["starts"], each["compared_starts"]) for each in found["bins"]]
    assert all(
        date.fromisoformat(before) == date.fromisoformat(shown) - timedelta(weeks=5)
        for shown, before in pairs
    )
    before = {"from": found["compared_from"], "to": found["compared_to"]}
    then = body(shop, "timeline", metric="sessions", **before)
    assert found["compared_value"] == then["value"]
    assert [each["compared_value"] for each in found["bins"]] == [each["value"] for each in then["bins"]]


def test_a_shorter_range_ends_before(shop: ReadServer) -> None:
    own = {"compare": "own", "compare_from": "2026-09-01", "compare_to": "2026-09-10"}
    found = body(shop, "timeline", metric="net_revenue", **own, **MONTH)
    compared = [each["compared_value"] for each in found["bins"]]
    assert None not in compared[:10]
    assert compared[10:] == [None] * 20
    assert total(found, "compared_value") == found["compared_value"]


def test_days_to_come_are_not_compared(shop: ReadServer) -> None:
    december = body(
        shop, "timeline", metric="sessions", compare="year", **{"from": "2026-12-01", "to": "2026-12-31"}
    )
    assert (december["compared_from"], december["compared_to"]) == ("2025-12-01", "2025-12-20")
    for days in ({}, {"from": "2025-01-01", "to": "2025-01-20"}):
        first = body(shop, "timeline", compare="previous", **days)
        assert first["compared_from"] is None, "nothing is known before"
        assert body(shop, "summary", compare="previous", **days)["compared"] is None
        assert body(shop, "changes", **days)["currencies"] == []
    assert body(shop, "timeline", compare="none", **MONTH)["compared_from"] is None
    nothing = body(shop, "timeline", **{"from": "2030-01-01"})
    assert (nothing["value"], nothing["bins"]) == (None, [])


def test_filters_choose_rows_or_are_named(shop: ReadServer) -> None:
    def value(**asked: Any) -> Any:
        return body(shop, "timeline", **asked, **MONTH)["value"]

    google = summed(
        shop, "rpt_traffic", "sessions", source="google", country="DE", **of_days("report_date", MONTH)
    )
    assert value(metric="sessions", f=["source:is:google", "country:is:DE"]) == google
    # Reports have no names of conversions, facts do.
    assert value(metric="conversions", f="conversion:is:purchase") == value(metric="conversions")
    assert value(metric="conversions", f="conversion:is:other") == 0
    # Of refunds without a sale nothing is known that could be filtered by.
    every = value(metric="net_revenue", f="country:set")
    net = summed(shop, "rpt_traffic", "net_amount_minor", currency="USD", **of_days("report_date", MONTH))
    assert every == net != value(metric="net_revenue")
    spend = body(shop, "timeline", metric="ad_spend", f=["country:is:DE", "source:is:google"], **MONTH)
    assert spend["not_filtered_by"] == ["country"]


def test_by_the_hour_filters_mean_the_same(shop: ReadServer) -> None:
    days = {"from": "2026-12-19", "to": "2026-12-20"}
    for metric in ("sessions", "conversions", "net_revenue", "average_order_value"):
        for f in ([], ["source:is:google"], ["medium:is_not:cpc", "landing_page:contains:1"]):
            asked = {"metric": metric, "currency": "USD", "f": f}
            hours = body(shop, "timeline", **asked, **days)
            daily = [body(shop, "timeline", **asked, **{"from": each, "to": each}) for each in days.values()]
            assert hours["size"] == "hour"
            if metric != "average_order_value":
                assert total(hours) == sum(Decimal(str(each["value"])) for each in daily)


@pytest.mark.parametrize("dimension", [each for each in changes_report.DIMENSIONS if each != "channel"])
@pytest.mark.parametrize("asked", [{}, {"limit": 1}, {"f": "source:is_not:google"}, {"compare": "year"}])
def test_what_changed_adds_up(shop: ReadServer, dimension: str, asked: dict[str, Any]) -> None:
    found = body(shop, "changes", dimension=dimension, **asked, **MONTH)
    assert [each["currency"] for each in found["currencies"]] == ["USD", "EUR"]
    before = {"from": found["compared_from"], "to": found["compared_to"]}
    for each in found["currencies"]:
        assert len(each["rows"]) <= asked.get("limit", 10)
        moved = [abs(row["change_minor"]) for row in each["rows"]]
        assert moved == sorted(moved, reverse=True)
        parts = [*each["rows"], each["other"], each["refunds_without_sale"]]
        for name in ("net_amount_minor", "compared_net_amount_minor", "change_minor"):
            assert sum(part[name] for part in parts) == each["total"][name], (dimension, name)
        for part in (*parts, each["total"]):
            assert part["change_minor"] == part["net_amount_minor"] - part["compared_net_amount_minor"]
        filters = {"f": asked["f"]} if "f" in asked else {}
        for days, name in ((MONTH, "net_amount_minor"), (before, "compared_net_amount_minor")):
            right = body(shop, "timeline", currency=each["currency"], **filters, **days)["value"]
            assert each["total"][name] == right


def test_the_summary_compares_and_filters(shop: ReadServer) -> None:
    found = body(shop, "summary", compare="previous", f="source:is:google", **MONTH)
    compared = found["compared"]
    then = body(shop, "summary", f="source:is:google", **{"from": compared["from"], "to": compared["to"]})
    assert compared["currencies"] == then["currencies"]
    assert (then["compared"], compared["from"]) == (None, "2026-10-17")
    sessions = sum(each["sessions"] for each in found["currencies"])
    assert sessions == summed(
        shop, "rpt_traffic", "sessions", source="google", **of_days("report_date", MONTH)
    )
    assert sum(each["conversions"] for each in found["states"]) > 0
    assert not any(each["is_unmatched"] for each in found["ledger"])


@pytest.mark.parametrize(
    ("report", "asked", "detail"),
    [
        ("timeline", {"metric": "revenue"}, "metric must be one of net_revenue, conversions"),
        ("timeline", {"compare": "before"}, "compare must be one of previous, year, own, none"),
        ("timeline", {"compare": "own", "compare_from": "2026-01-01"}, "compare=own needs compare_from and"),
        ("timeline", {"f": "browser:is:x"}, "f must begin with a dimension"),
        ("timeline", {"model": "best"}, "model must be one of"),
        ("changes", {"dimension": "browser"}, "dimension must be one of source"),
        ("changes", {"limit": "0"}, "limit must be a whole number from 1 to 1000"),
        ("summary", {"compare": "own"}, "compare=own needs compare_from and compare_to"),
    ],
)
def test_what_cannot_be_read_is_refused(
    shop: ReadServer, report: str, asked: dict[str, str], detail: str
) -> None:
    answer: httpx.Response = shop.get(f"{REPORTS}/{report}", **asked)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)


def test_the_compared_bins_are_cut_where_the_shown_ones_are() -> None:
    known = Days(date(2022, 1, 1), date(2026, 12, 20))

    def compared(first: str, last: str, it: Comparison) -> list[tuple[str, str] | None]:
        shown = Days(date.fromisoformat(first), date.fromisoformat(last))
        days = it.days(shown)
        assert days is not None
        found = counterparts(bins(shown, known, "UTC"), it, days, "UTC")
        there = [each for each in found if each is not None]
        assert (there[0].first, there[-1].last) == days.bounds, "all of them, and nothing else"
        assert all(after.first == before.last + timedelta(days=1) for before, after in pairwise(there))
        return [None if each is None else (str(each.first), str(each.last)) for each in found]

    # A year with a 29th of February has no counterpart for it.
    leap = compared("2024-02-28", "2024-03-02", Comparison("year"))
    assert leap == [
        (f"2023-{day}", f"2023-{day}") if day else None for day in ("02-28", "", "03-01", "03-02")
    ]
    # Months are compared with the same months, weeks with weeks.
    months = compared("2024-01-01", "2026-03-31", Comparison("year"))
    assert months[1:3] == [("2023-02-01", "2023-02-28"), ("2023-03-01", "2023-03-31")]
    weeks = compared("2026-01-05", "2026-06-28", Comparison("previous"))
    assert weeks[0] == ("2025-07-14", "2025-07-20")
