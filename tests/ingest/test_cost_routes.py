"""Costs over HTTP: all or nothing, naming the index; rows are only ever added."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from servers import Server

from ingest_api.costs import EXAMPLE

URL = "/v1/projects/costs/costs"
COST = {"day": "2026-01-31", "source": "google", "amount": 1, "currency": "USD"}


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("costs", "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client


def stored(server: Server) -> list[Any]:
    return server.store().query(
        "SELECT day, source, medium, campaign, amount_text, currency FROM costs"
        " WHERE project_id = 'costs' ORDER BY id"
    )


def test_reports_are_added_as_they_were_said(client: httpx.Client, ingest_server: Server) -> None:
    before = len(stored(ingest_server))
    answer = client.post(URL, json=EXAMPLE)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2})
    again = b'[{"day":"2026-01-31","source":"newsletter","medium":null,"amount":20.10,"currency":"eur"}]'
    assert client.post(f"{URL}/", content=again).json() == {"accepted": 1}
    assert stored(ingest_server)[before:] == [
        ("2026-01-31", "google", "cpc", "spring", "120.5", "USD"),
        ("2026-01-31", "newsletter", None, None, "15", "USD"),
        ("2026-01-31", "newsletter", None, None, "20.10", "EUR"),
    ]


def test_a_thousand_fit_and_more_do_not(client: httpx.Client) -> None:
    costs = [{**COST, "campaign": f"c{number}"} for number in range(1001)]
    assert client.post(URL, json=costs[:1000]).json() == {"accepted": 1000}
    assert "1 to 1000" in client.post(URL, json=costs).json()["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"day": "2026-02-30"}, "day: must be a day"),
        ({"day": "20260131"}, "day: must be a day"),
        ({"day": "2026-01-31T00:00:00Z"}, "day: must be a day"),
        ({"day": "2101-01-01"}, "day: must be a day"),
        ({"source": ""}, "source"),
        ({"source": None}, "source"),
        ({"medium": ""}, "medium"),
        ({"amount": -0.01}, "amount: must not be negative"),
        ({"amount": "1"}, "amount: must be a JSON number"),
        ({"amount": None}, "amount"),
        ({"currency": "$"}, "currency: must be three letters"),
        ({"channel": "x"}, "channel: Extra inputs"),
    ],
)
def test_one_bad_item_refuses_all_and_is_named(
    client: httpx.Client, ingest_server: Server, change: dict[str, Any], field: str
) -> None:
    before = stored(ingest_server)
    answer = client.post(URL, json=[COST, {**COST, "campaign": "second", **change}])
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(f"costs[1].{field}")
    assert stored(ingest_server) == before


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "JSON array"),
        ([], "JSON array"),
        ([1], "costs[0]: must be a JSON object"),
        ([COST, {**COST, "amount": 2}], "costs[1]: same day, source, medium and campaign as costs[0]"),
        # `fct_costs` takes the two for one.
        ([COST, {**COST, "medium": "(none)"}], "costs[1]: same day, source, medium and campaign as costs[0]"),
    ],
)
def test_other_bad_bodies_are_problems(client: httpx.Client, body: Any, detail: str) -> None:
    answer = client.post(URL, json=body)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]


def test_a_dry_run_adds_nothing(client: httpx.Client, ingest_server: Server) -> None:
    before = stored(ingest_server)
    answer = client.post(URL, json=[COST], headers={"Funnelhouse-Dry-Run": "1"})
    assert (answer.json(), answer.headers["Funnelhouse-Dry-Run"]) == ({"accepted": 1}, "1")
    assert stored(ingest_server) == before


def test_costs_need_an_admin_of_the_project(client: httpx.Client, ingest_server: Server) -> None:
    for project, scopes, status in (("costs", "ingest,read", 403), ("elsewhere", "admin", 404)):
        headers = {"x-api-key": ingest_server.key(project, scopes)}
        assert client.post(URL, json=[COST], headers=headers).status_code == status
