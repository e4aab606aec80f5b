"""Goals over HTTP: versions are only ever added, the stored body is flat, our own API is strict."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from servers import Server

URL = "/v1/projects/goals/goals"
SIGNUP = {"match": {"type": "event_name", "value": "signup"}}


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key("goals", "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client


def stored(server: Server, goal_id: str) -> list[Any]:
    rows = server.store().query(
        "SELECT body FROM definitions WHERE project_id = 'goals' AND kind = 'goal' AND key = ? ORDER BY id",
        goal_id,
    )
    return [None if body is None else orjson.loads(body) for (body,) in rows]


def test_versions_are_added_and_never_changed(client: httpx.Client, ingest_server: Server) -> None:
    first = client.put(f"{URL}/signup", json=SIGNUP)
    assert first.status_code == 200
    assert first.json() == client.get(f"{URL}/signup").json()
    second = client.put(f"{URL}/signup/", json={**SIGNUP, "is_micro": True, "name": "Sign-up"}).json()
    assert (first.json()["version"], second["version"]) == (1, 2)
    assert client.delete(f"{URL}/signup").status_code == 204
    assert client.get(f"{URL}/signup").status_code == 404
    assert client.delete(f"{URL}/signup").status_code == 404
    assert client.put(f"{URL}/signup", json=SIGNUP).json()["version"] == 4
    assert [body and body["is_micro"] for body in stored(ingest_server, "signup")] == [
        False,
        True,
        None,
        False,
    ]


def test_the_stored_body_is_flat(client: httpx.Client, ingest_server: Server) -> None:
    goal = {
        "name": "Big order",
        "match": {"type": "url_path", "operator": "wildcard", "value": "/thanks/*"},
        "property": {"key": "plan", "value": "pro"},
        "minimum_amount": 99.90,
        "counts_as_conversion": True,
        "is_micro": False,
        "stage": "checkout",
    }
    answer = client.put(f"{URL}/big", content=orjson.dumps(goal).replace(b"99.9", b"99.90"))
    assert {key: answer.json()[key] for key in goal} == goal
    assert stored(ingest_server, "big") == [
        {
            "name": "Big order",
            "match_type": "url_path",
            "match_operator": "wildcard",
            "match_value": "/thanks/*",
            "property_key": "plan",
            "property_value": "pro",
            "minimum_amount": "99.90",
            "counts_as_conversion": True,
            "is_micro": False,
            "stage": "checkout",
            "value_amount": None,
            "value_currency": None,
        }
    ]


def test_the_list_leaves_deleted_goals_out(client: httpx.Client) -> None:
    for goal_id in ("listed", "unlisted", "0b0e7f3a-7f4b-4c58-9d3f-0d7f3a1b2c3d"):
        assert client.put(f"{URL}/{goal_id}", json=SIGNUP).status_code == 200
    client.delete(f"{URL}/unlisted")
    listed = [goal["goal_id"] for goal in client.get(URL).json()["goals"]]
    assert "listed" in listed
    assert "unlisted" not in listed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "match: Field required"),
        ({"match": {"type": "event_name"}}, "value: required"),
        ({"match": {"type": "event_name", "value": ""}}, "match.value"),
        ({"match": {"type": "event_name", "value": "x", "operator": "prefix"}}, "operator: only"),
        ({"match": {"type": "any_conversion", "value": "x"}}, "value: a match"),
        ({"match": {"type": "colour", "value": "x"}}, "match.type"),
        ({**SIGNUP, "stage": "clicks"}, "stage: clicks"),
        ({**SIGNUP, "stage": "Add to cart"}, "stage"),
        ({**SIGNUP, "minimum_amount": -1}, "minimum_amount"),
        ({**SIGNUP, "minimum_amount": "10"}, "minimum_amount"),
        ({**SIGNUP, "is_micro": 1}, "is_micro"),
        ({**SIGNUP, "micro": True}, "micro: Extra inputs"),
        ([], "JSON object"),
    ],
)
def test_a_bad_goal_is_a_problem_naming_the_field(client: httpx.Client, body: Any, field: str) -> None:
    answer = client.put(f"{URL}/bad", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["detail"]
    assert client.get(f"{URL}/bad").status_code == 404


@pytest.mark.parametrize("goal_id", ["Signup", "-a", "a" * 64, "a.b", "a%0ab", "%C3%BC"])
def test_a_bad_goal_id_is_refused(client: httpx.Client, goal_id: str) -> None:
    assert client.put(f"{URL}/{goal_id}", json=SIGNUP).status_code == 400


def test_who_may_do_what(client: httpx.Client, ingest_server: Server) -> None:
    client.put(f"{URL}/scoped", json=SIGNUP)
    for scope, status in (("page", 403), ("ingest", 403), ("read", 200)):
        headers = {"x-api-key": ingest_server.key("goals", scope)}
        assert client.get(f"{URL}/scoped", headers=headers).status_code == status
        assert client.get(URL, headers=headers).status_code == status
        assert client.put(f"{URL}/scoped", json=SIGNUP, headers=headers).status_code == 403
        assert client.delete(f"{URL}/scoped", headers=headers).status_code == 403
    foreign = {"x-api-key": ingest_server.key("elsewhere", "admin")}
    assert client.get(f"{URL}/scoped", headers=foreign).status_code == 404


def test_a_dry_run_defines_nothing(client: httpx.Client) -> None:
    headers = {"Funnelhouse-Dry-Run": "1"}
    answer = client.put(f"{URL}/dry", json=SIGNUP, headers=headers)
    assert (answer.status_code, answer.headers["Funnelhouse-Dry-Run"]) == (200, "1")
    assert client.get(f"{URL}/dry").status_code == 404
    client.put(f"{URL}/wet", json=SIGNUP)
    assert client.delete(f"{URL}/wet", headers=headers).status_code == 204
    assert client.get(f"{URL}/wet").status_code == 200
