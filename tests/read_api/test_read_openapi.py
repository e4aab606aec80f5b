"""The read API's OpenAPI description: no gaps, and every example is what a real server answers."""

import re
from typing import Any

import httpx
import pytest
from example_marts import ReadServer, new_key

Operation = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def description(server: ReadServer) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/read/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def operations(description: dict[str, Any]) -> list[Operation]:
    """Path and description of each; the read API only gets."""
    assert all(set(methods) == {"get"} for methods in description["paths"].values())
    return [(path, methods["get"]) for path, methods in description["paths"].items()]


def test_every_operation_is_described(description: dict[str, Any], operations: list[Operation]) -> None:
    assert len({operation["operationId"] for _, operation in operations}) == len(operations) > 20
    tags = {tag["name"] for tag in description["tags"]}
    schemes = set(description["components"]["securitySchemes"])
    for path, operation in operations:
        assert re.fullmatch("[a-z0-9_]+", operation["operationId"]), path
        assert len(operation["tags"]) == 1 and set(operation["tags"]) <= tags, path
        assert operation["summary"] and operation["description"], path
        parameters = operation.get("parameters", [])
        in_path = {each["name"] for each in parameters if each["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), path
        assert all(each.get("description") for each in parameters if each["in"] != "path"), path
        assert {name for way in operation.get("security", []) for name in way} <= schemes, path
        assert ("security" in operation) == (not path.startswith("/read/")), path
        assert "422" not in operation["responses"], path
        for status, answer in operation["responses"].items():
            where = (path, status)
            assert answer["description"], where
            if status == "304" or path == "/read/metrics":
                continue
            (media,) = [answer["content"][kind] for kind in answer["content"] if "json" in kind]
            assert media["examples"], where
            assert media["schema"].keys() & {"$ref", "properties"}, where


def examples(operation: dict[str, Any], place: str) -> dict[str, str]:
    return {
        each["name"]: each["examples"]["example"]["value"]
        for each in operation.get("parameters", [])
        if each["in"] == place and "examples" in each
    }


def address(path: str, operation: dict[str, Any], project: str = "shop") -> str:
    return path.format(**{**examples(operation, "path"), "project_id": project})


def test_every_example_is_answered_as_described(server: ReadServer, operations: list[Operation]) -> None:
    for path, operation in operations:
        if path == "/read/metrics":
            continue
        answer = server.get(address(path, operation), **examples(operation, "query"))
        assert answer.status_code == 200, (path, answer.text)
        described = operation["responses"]["200"]
        shown = described["content"]["application/json"]["examples"]["example"]["value"]
        assert same_shape(shown, answer.json()), (path, answer.json())
        assert all(
            header in answer.headers for header in described.get("headers", {}) if "Next" not in header
        )


def same_shape(example: Any, found: Any, depth: int = 0) -> bool:
    if isinstance(example, dict) and isinstance(found, dict):
        return example.keys() == found.keys() and all(
            same_shape(example[name], found[name], depth + 1) for name in example
        )
    if isinstance(example, list) and isinstance(found, list):
        # One row may have nothing of what others have.
        return (not found and (not example or depth > 2)) or (
            bool(example) and bool(found) and all(same_shape(example[0], item, depth + 1) for item in found)
        )
    return example is None or found is None or isinstance(found, type(example) | (int | float))


def test_refusals_are_described_as_they_are(server: ReadServer, operations: list[Operation]) -> None:
    ingest_only = new_key(server.settings, scopes=["ingest"])
    met = 0
    for path, operation in operations:
        if path.startswith("/read/"):
            continue
        here, query = address(path, operation), examples(operation, "query")
        is_dialect = "{project_id}" not in path
        elsewhere = {**query, "account_id": "other"} if is_dialect else query
        tries: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
            "304": (here, query, {"If-None-Match": server.get(here, **query).headers["ETag"]}),
            "400": (here, {} if is_dialect else {"no_such_parameter": "1"}, {}),
            "401": (here, query, {"Authorization": "Bearer wrong"}),
            "403": (here, query, {"Authorization": f"Bearer {ingest_only}"}),
            "404": (address(path, operation, "other"), elsewhere, {}),
            "410": (here, {**query, "build": "20200101T000000000000Z"}, {}),
        }
        for status, (url, parameters, headers) in tries.items():
            described = operation["responses"].get(status)
            if described is None:
                assert status == "410", path
                continue
            answer = server.client.get(url, params=parameters, headers=headers)
            where = f"{path} {status}: {answer.status_code} {answer.text}"
            assert str(answer.status_code) == status, where
            met += 1
            if status == "304":
                assert answer.content == b"" and answer.headers["ETag"], where
                continue
            assert answer.headers["Content-Type"] in described["content"], where
            shown = described["content"][answer.headers["Content-Type"]]["examples"]["error"]["value"]
            assert shown.keys() == answer.json().keys(), where
            if status in ("403", "404", "410"):
                assert shown == answer.json(), where
    assert met > 100


def test_a_description_needs_no_key(server: ReadServer) -> None:
    assert httpx.get(f"{server.client.base_url}/read/openapi.json").status_code == 200
