"""What is said of a report that leaves something to guess, to whom, and what is counted of it.

The words are in tests/golden/*/hints.yaml.
"""

import json
import time
from collections import Counter
from contextlib import closing
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import Server, start_ingest

from funnelhouse.settings import Settings
from ingest_api.counts import LONGEST_GAP_US, Counts, unread_fields
from ingest_api.hints import MOST_NAMES, MOST_UNDERSTOOD_BYTES, MOST_WARNINGS
from record.contract import DAY_US

SALE = {"event_type": "conversion", "event_name": "sale", "user_id": "u", "amount": 5, "order_id": "o"}
DRY = {"Funnelhouse-Dry-Run": "1"}


def post(server: Server, key: str, body: Any, project: str = "hints", **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/projects/{project}/events",
        content=body if isinstance(body, bytes) else json.dumps(body),
        headers={"x-api-key": key, **headers},
        timeout=30,
    )


def counted(server: Server, project: str) -> dict[str | None, int]:
    """Occurrences by name of what landed for a project."""
    with closing(server.store()) as store:
        return dict(
            store.query(
                "SELECT name, sum(occurrences) FROM unread_fields WHERE project_id = ? GROUP BY 1", project
            )
        )


def wait_until_counted(server: Server, project: str, expected: dict[str | None, int]) -> None:
    deadline = time.monotonic() + 15
    while counted(server, project) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert counted(server, project) == expected


@pytest.mark.parametrize("scopes", ["ingest", "page"])
def test_a_test_key_is_told_all_and_a_live_one_how_much(ingest_server: Server, scopes: str) -> None:
    test = post(ingest_server, ingest_server.key("hints", scopes, is_test=True), SALE)
    live = post(ingest_server, ingest_server.key("hints", scopes), SALE)
    assert test.json()["queued"] is True
    assert [warning["field"] for warning in test.json()["warnings"]] == ["amount", "order_id", "revenue"]
    assert test.json()["understood"][0]["project_id"] == "hints.test"
    assert live.json() == {"queued": True, "accepted": 1}
    assert live.headers["Funnelhouse-Warnings"] == test.headers["Funnelhouse-Warnings"] == "3"


def test_a_repeat_is_told_the_same_and_counted_once(ingest_server: Server) -> None:
    key = ingest_server.key("hints-once", "ingest", is_test=True)
    first, again = (post(ingest_server, key, SALE, "hints-once", **{"Idempotency-Key": "k"}) for _ in "12")
    assert (again.json(), again.headers["Funnelhouse-Warnings"]) == (first.json(), "3")
    wait_until_counted(ingest_server, "hints-once.test", {"amount": 1, "order_id": 1})


def test_what_did_not_land_is_not_counted(ingest_server: Server) -> None:
    key = ingest_server.key("hints-dry", "ingest")
    assert post(ingest_server, key, SALE, "hints-dry", **DRY).status_code == 202
    assert post(ingest_server, key, {**SALE, "revenue": "x"}, "hints-dry").status_code == 400
    assert post(ingest_server, key, [SALE, 7], "hints-dry").status_code == 202
    wait_until_counted(ingest_server, "hints-dry", {"amount": 1, "order_id": 1})


def test_a_stopped_server_has_landed_its_counts(home: Settings) -> None:
    server = start_ingest(home.home)
    try:
        key = server.key("hints", "ingest")
        for _ in range(3):
            assert post(server, key, SALE).status_code == 202
    finally:
        server.stop()
    assert counted(server, "hints") == {"amount": 3, "order_id": 3}


def test_a_hostile_number_of_names_costs_no_rows_beyond_the_bound(ingest_server: Server) -> None:
    key = ingest_server.key("hints-flood", "ingest")
    names = 40_000
    for request in range(3):
        flood = {f"n{request}x{number}": 0 for number in range(names)}
        assert post(ingest_server, key, {**SALE, **flood}, "hints-flood").headers[
            "Funnelhouse-Warnings"
        ] == str(names + 3)
    told = post(ingest_server, key, {**SALE, **flood}, "hints-flood", **DRY)
    assert len(told.json()["warnings"]) == MOST_WARNINGS
    deadline = time.monotonic() + 15
    while sum(counted(ingest_server, "hints-flood").values()) < 3 * (names + 2):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = counted(ingest_server, "hints-flood")
    assert sum(found.values()) == 3 * (names + 2)
    assert len(found) == MOST_NAMES + 1
    assert found["amount"] == 3
    with closing(ingest_server.store()) as store:
        ((rows,),) = store.query("SELECT count(*) FROM unread_fields WHERE project_id = 'hints-flood'")
    assert rows <= 3 * (MOST_NAMES + 1)


def test_names_are_shown_in_part_and_values_never(ingest_server: Server) -> None:
    key = ingest_server.key("hints-names", "ingest")
    needle = "needle-7f3a"
    odd = {
        "n" * 900: needle,
        "ada@example.com": needle,
        "4711": needle,
        "fh_live_x": needle,
        "\x01": needle,
        "": needle,
        "é b": 1,
    }
    body = {"event_type": "conversion", "event_name": "e", "status": needle, "amount": needle, **odd}
    answer = post(ingest_server, key, body, "hints-names", **DRY).json()
    assert needle not in json.dumps(answer["warnings"])
    assert max(len(warning["field"]) for warning in answer["warnings"]) == 64
    # What others will read: a name, and neither an address nor a number.
    assert post(ingest_server, key, body, "hints-names").status_code == 202
    wait_until_counted(ingest_server, "hints-names", {"amount": 1, "é b": 1, None: 6})


def test_what_is_understood_is_bounded(ingest_server: Server) -> None:
    key = ingest_server.key("hints", "ingest")
    events = [
        {"event_type": "event", "event_name": "e", "user_id": "u", "url": "x" * 850} for _ in range(1000)
    ]
    answer = post(ingest_server, key, events, **DRY)
    understood = answer.json()["understood"]
    assert [event["index"] for event in understood] == list(range(len(understood)))
    assert 500 < len(understood) < 1000
    assert len(answer.content) < MOST_UNDERSTOOD_BYTES + 200_000


Report = tuple[int, int, str | None, int]
reports = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 3 * DAY_US // 1000),
        st.one_of(st.none(), st.integers(0, 90).map(str)),
        st.integers(1, 5),
    ),
    max_size=300,
)


@given(reports)
def test_every_field_is_counted_once_and_few_names_are_told_apart(reports: list[Report]) -> None:
    unread = unread_fields()
    rows: list[Any] = []
    now_us = 0
    for project, later_us, name, occurrences in reports:
        now_us += later_us
        unread.count(f"p{project}", now_us, {name: occurrences})
        rows += unread.due(now_us)
        if project == 2:
            # What could not be landed comes again.
            unread.put_back(rows)
            rows = []
    rows += unread.due(now_us + LONGEST_GAP_US) + unread.rest()
    assert unread.rest() == []
    sent: Counter[str] = Counter()
    for project, _, _, occurrences in reports:
        sent[f"p{project}"] += occurrences
    landed: Counter[str] = Counter()
    for row in rows:
        landed[row.project_id] += row.occurrences
    assert landed == sent
    names: dict[tuple[str, int], set[str]] = {}
    for row in rows:
        if row.name is not None:
            names.setdefault((row.project_id, row.received_us // DAY_US), set()).add(row.name)
    assert all(len(found) <= MOST_NAMES for found in names.values())


def test_a_project_lands_its_counts_some_forty_times_a_day_whatever_it_sends() -> None:
    unread = unread_fields()
    landings = [now_us for now_us in range(0, DAY_US, 500_000) if _sent_at(unread, now_us)]
    assert landings[0] == 1_000_000
    assert len(landings) < 40


def _sent_at(unread: Counts[str], now_us: int) -> bool:
    unread.count("shop", now_us, {"amount": 1})
    return bool(unread.due(now_us))
