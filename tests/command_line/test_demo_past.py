"""The demo's made-up shop: the same on any day, up to this minute, and worth what its reports say."""

import asyncio
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from servers import Server, free_port

from command_line.demo.backdated import ARRIVES
from command_line.demo.past.reports import Past, Report
from command_line.demo.past.requests import costs_of, requests_of
from command_line.demo.past.shop_world import (
    COUNTRIES,
    CURRENCY,
    DAYS,
    LOSING_CAMPAIGN,
    ODD_CAMPAIGN,
    ORIGINS,
    PROJECT,
    RISING_CAMPAIGN,
    SECOND_CURRENCY,
)
from command_line.demo.past.visitors import made_up
from command_line.demo.replay import Request, replay
from command_line.processes import Processes
from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from funnelhouse.settings import Settings
from record.landing import open_store

MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)
NOW = MIDNIGHT + timedelta(hours=15)
POSTBACKS = "/pb/shop/secret/"


@pytest.fixture(scope="module")
def whole() -> Past:
    return made_up(MIDNIGHT)


@pytest.fixture(scope="module")
def past(whole: Past) -> Past:
    return whole.until(NOW)


@pytest.fixture(scope="module")
def requests(whole: Past) -> list[Request]:
    return requests_of(whole, MIDNIGHT, NOW, POSTBACKS)


def undated(report: Report, midnight: datetime) -> tuple[timedelta, str, dict[str, object]]:
    """A report without the dates in it."""
    dated = ("timestamp", "time")
    body = {name: value for name, value in report.body.items() if name not in dated}
    # Segment's ids hold the time.
    return report.arrives - midnight, report.sender, {**body, "messageId": None}


def test_every_day_has_the_same_past_but_for_its_dates(whole: Past) -> None:
    midnight = datetime(2027, 3, 1, tzinfo=UTC)
    other = made_up(midnight)
    assert [undated(report, MIDNIGHT) for report in whole.reports] == [
        undated(report, midnight) for report in other.reports
    ]
    yesterday = timedelta(minutes=1)
    assert whole.until(MIDNIGHT - yesterday).totals() == other.until(midnight - yesterday).totals()


def test_it_reaches_from_ninety_days_ago_to_this_minute(past: Past, requests: list[Request]) -> None:
    by_day = Counter((MIDNIGHT.date() - report.arrives.date()).days for report in past.reports)
    assert set(by_day) == set(range(DAYS))
    usual = sorted(by_day.values())[DAYS // 2]
    assert by_day[1] > usual * 0.7, "yesterday is complete"
    assert 0 < by_day[0] < by_day[1], "today is not"
    arrivals = [int(request.headers[ARRIVES]) for request in requests]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] <= NOW.timestamp() * 1e6
    assert 15_000 < sum(request.events for request in requests) < 30_000


def test_requests_carry_each_report_once(past: Past, requests: list[Request]) -> None:
    ids = Counter(
        item["event_id"]
        for request in requests
        if request.path.endswith("/events") and not request.is_refused
        for item in orjson.loads(request.content)
    )
    assert set(ids.values()) == {1}
    mistaken = sum(report.sender == "mistaken" for report in past.reports)
    assert sum(request.events for request in requests) == len(past.reports) - mistaken
    assert sum(request.is_refused for request in requests) == mistaken == 3


def test_totals_are_what_the_reports_add_up_to(past: Past) -> None:
    """Counted again from what is sent, order by order, as a reader of the documents would."""
    worth: dict[str, int] = {}
    states: dict[str, str] = {}
    currencies: dict[str, str] = {}

    def report(order: str, state: str | None, cents: int | None, currency: str) -> None:
        currencies.setdefault(order, currency)
        if cents is not None:
            worth.setdefault(order, cents)
        if state is not None or order not in states:
            states[order] = state or "approved"

    def cents_of(amount: float) -> int:
        return round(amount * 100)

    refunds: list[tuple[str, int]] = []
    for number, said in enumerate(past.reports):
        body = said.body
        properties = body.get("properties", {})
        if said.sender == "mistaken":
            continue
        if body.get("event_type") == "conversion":
            # The page's own report says no status.
            order = body["transaction_id"]
            report(order, body.get("status"), cents_of(body["revenue"]), body["currency"])
        elif body.get("event_type") == "refund":
            refunds.append((body["transaction_id"], cents_of(body["revenue"])))
        elif body.get("event") == "Order Completed":
            report(properties["order_id"], None, cents_of(properties["revenue"]), properties["currency"])
        elif body.get("event") == "Order Refunded":
            refunds.append((properties["order_id"], cents_of(properties["revenue"])))
        elif said.sender == "booking":
            report(f"booking {number}", None, body["revenue"], CURRENCY)
        elif said.sender == "phone":
            report(body["transaction_id"], None, cents_of(body["conversion"]["value"]), CURRENCY)
        elif said.sender == "network":
            days_ago = (MIDNIGHT - said.arrives) / timedelta(days=1)
            worth.setdefault(body["tx"], 2_200 if days_ago <= 40 else 1_800)
            assert "rev" not in body or cents_of(float(body["rev"])) == worth[body["tx"]]
            report(body["tx"], body["status"], None, CURRENCY)
    for order, cents in refunds:
        if order in worth:
            worth[order] -= cents
    for currency, totals in past.totals().items():
        counted = [order for order, state in states.items() if state != "rejected"]
        mine = [order for order in counted if currencies[order] == currency]
        assert totals.conversions == len(mine)
        assert totals.net_cents == sum(worth[order] for order in mine if states[order] == "approved")
    assert min(worth.values()) >= 0, "nobody gets more back than was paid"
    assert sum(order not in worth for order, _ in refunds) == 2, "refunds without a sale"


def test_there_is_something_of_everything(past: Past, requests: list[Request]) -> None:
    senders = Counter(report.sender for report in past.reports)
    assert min(senders.values()) >= 3
    assert set(senders) == {
        *("browser", "backend", "app", "booking", "phone", "network", "link", "mistaken"),
    }
    assert set(past.totals()) == {CURRENCY, SECOND_CURRENCY}
    assert {"approved", "pending", "rejected"} <= {
        booking.state for booking in past.bookings if booking.what != "refund"
    }
    assert {report.body.get("country") for report in past.reports} >= set(COUNTRIES)
    tags = [
        dict(parse_qsl(urlsplit(report.body["url"]).query)) for report in past.reports if "url" in report.body
    ]
    assert {tag.get("utm_campaign") for tag in tags} > {ODD_CAMPAIGN, RISING_CAMPAIGN, LOSING_CAMPAIGN}
    versions = Counter(request.path for request in requests if request.method == "PUT")
    assert sorted(path.rpartition("/")[2] for path, count in versions.items() if count > 1) == [
        *("big-order", "green-power", "lamp-to-order"),
    ]


def test_one_campaign_rises_and_one_loses_money_last_week(past: Past) -> None:
    def visits(campaign: str, first: int, last: int) -> int:
        return sum(
            dict(parse_qsl(urlsplit(report.body.get("url", "")).query)).get("utm_campaign") == campaign
            for report in past.reports
            if first >= (MIDNIGHT.date() - report.arrives.date()).days >= last
        )

    def cents(campaign: str, days: range) -> int:
        return round(
            sum(
                row["amount"] * 100
                for days_ago in days
                for row in costs_of(MIDNIGHT.date(), days_ago)
                if row["campaign"] == campaign
            )
        )

    assert visits(RISING_CAMPAIGN, 90, 40) == 0
    assert visits(RISING_CAMPAIGN, 7, 1) > 1.5 * visits(RISING_CAMPAIGN, 21, 15) > 0
    assert cents(LOSING_CAMPAIGN, range(1, 8)) > 2.5 * cents(LOSING_CAMPAIGN, range(8, 15)) > 0
    assert visits(LOSING_CAMPAIGN, 7, 1) < 1.5 * visits(LOSING_CAMPAIGN, 14, 8)


def test_costs_of_a_day_are_the_same_each_time_and_named_once() -> None:
    day = MIDNIGHT.date()
    rows = costs_of(day, 3)
    assert rows == costs_of(day, 3)
    origins = [(row["source"], row["medium"], row["campaign"]) for row in rows]
    assert len(set(origins)) == len(origins) > 8
    assert {origin.source for origin in ORIGINS if origin.medium} == {source for source, _, _ in origins}


def test_ingest_of_the_past_takes_all_of_it_at_its_time(tmp_path: Path, requests: list[Request]) -> None:
    """The first days and the last hours, with one of each kind of request, over HTTP."""
    settings = Settings(home=tmp_path, ingest_port=free_port())
    with closing(open_store(settings.landing_store)) as store:
        key = create_key(store, PROJECT, ["ingest", "admin"])
        postbacks = set_access(store, PROJECT, postbacks="secret") or ""
    of_each_kind = {(request.method, request.path.partition("?")[0]): request for request in requests}
    sent = [*requests[:60], *(request for request in of_each_kind.values() if request not in requests[:60])]
    refused = next(request for request in requests if request.is_refused)
    sent = [
        *(
            Request(
                each.method, each.path.replace(POSTBACKS, postbacks), each.content, each.headers, each.events
            )
            for each in sent
            if not each.is_refused
        ),
        refused,
    ]
    with Processes(settings) as processes:
        processes.start("ingest of the past", [sys.executable, "-m", "command_line.demo.backdated"])
        processes.wait_until_ready("ingest", f"{settings.ingest_base_url}/ingest/ready")
        answered = asyncio.run(replay(settings.ingest_base_url, key, sent, lambda *_: None))
    assert answered.acknowledged == answered.events == sum(request.events for request in sent)
    asked = {int(request.headers[ARRIVES]) for request in sent}
    with closing(open_store(settings.landing_store)) as store:
        for table in ("events", "definitions", "costs", "rejected"):
            received = {row[0] for row in store.query(f"SELECT received_us FROM {table}")}
            assert received, table
            assert received <= asked


def test_a_link_is_followed_as_soon_as_it_is_defined(ingest_server: Server) -> None:
    key = ingest_server.key("early")
    body = orjson.dumps({"name": "A", "to": [{"url": "https://a.example/"}]})
    as_json = {"Content-Type": "application/json"}
    sent = []
    for number in range(3):
        sent.append(Request("PUT", f"/v1/projects/early/links/l{number}", body, as_json))
        sent.append(Request("GET", f"/c/early/l{number}", b"", events=1))
    answered = asyncio.run(replay(ingest_server.url, key, sent, lambda *_: None))
    assert answered.acknowledged == 3
