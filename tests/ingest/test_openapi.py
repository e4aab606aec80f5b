"""The OpenAPI description against a real server: every example is sent, and every kind of refusal is met."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from servers import Server

from ingest_api.definitions.destination import DESTINATIONS
from ingest_api.hints import WARNINGS
from record.notes import Note, delete_note, insert_note

PROJECT = "described"
NOTE_ID = "0123456789ab"
METHODS = ("put", "post", "get", "delete")


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    key = ingest_server.key(PROJECT)
    with httpx.Client(base_url=ingest_server.url, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


@pytest.fixture(scope="module")
def description(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/ingest/openapi.json").json()
    return found


@pytest.fixture
def key_id(ingest_server: Server) -> str:
    """Id of a key that may be revoked; beside it is a note that may be deleted."""
    with closing(ingest_server.store()) as store:
        delete_note(store, PROJECT, NOTE_ID)
        insert_note(store, PROJECT, Note(NOTE_ID, "2026-03-01", "Sale", False, "one", None, 0))
    return ingest_server.key(PROJECT).split("_")[2]


Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def operations(description: dict[str, Any]) -> list[Operation]:
    """Method, path and description of each; what defines before what shows, and deletion last."""
    found = [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return sorted(found, key=lambda operation: METHODS.index(operation[0]))


def test_every_operation_is_described(description: dict[str, Any], operations: list[Operation]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids)) > 40
    tags = {tag["name"] for tag in description["tags"]}
    schemes = set(description["components"]["securitySchemes"])
    for method, path, operation in operations:
        where = (method, path)
        assert re.fullmatch("[a-z0-9_]+", operation["operationId"]), where
        assert len(operation["tags"]) == 1 and set(operation["tags"]) <= tags, where
        assert operation["summary"] and operation["description"], where
        in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), where
        assert all(re.fullmatch("[1-5][0-9][0-9]", status) for status in operation["responses"]), where
        assert {name for way in operation.get("security", []) for name in way} <= schemes, where
        assert ("security" in operation) == (not path.startswith(("/pb", "/c/", "/ingest/", "/t"))), where
        for status, answer in operation["responses"].items():
            if status not in ("204", "302", "304") and path != "/ingest/metrics":
                (media,) = answer["content"].values()
                assert media["examples"], (*where, status)
        if method in ("post", "put"):
            (body,) = operation["requestBody"]["content"].values()
            assert body["examples"], where
            names = {n for a in operation["responses"].values() for n in examples(a)}
            assert set(body["examples"]) <= names, where


def examples(answer: dict[str, Any]) -> dict[str, Any]:
    """Examples of an answer by name."""
    return {
        name: example["value"]
        for media in answer.get("content", {}).values()
        for name, example in media.get("examples", {}).items()
    }


def address(path: str, key_id: str, project: str = PROJECT) -> str:
    known = {
        "project_id": project,
        "secret": "any",
        "event_id": "pv-1",
        "key_id": key_id,
        "note_id": NOTE_ID,
    }
    return re.sub(r"\{(\w+)\}", lambda name: known.get(name[1], "one"), path)


def test_every_example_is_answered_as_described(
    ingest_server: Server, client: httpx.Client, operations: list[Operation], key_id: str
) -> None:
    ingest_server.set_access(PROJECT, postbacks="open", origins=["https://shop.example"])
    try:
        sent = sum(send_examples(client, key_id, *operation) for operation in operations)
    finally:
        ingest_server.set_access(PROJECT, postbacks="off", origins=["off"])
    assert sent > 60


def send_examples(
    client: httpx.Client, key_id: str, method: str, path: str, operation: dict[str, Any]
) -> int:
    """Send each example of one operation; returns how many."""
    if path.endswith(("/stream", "/{exchange_rates_id}")) or path == "/ingest/metrics":
        return 0  # Tested by themselves.
    queries: dict[str, dict[str, str]] = {}
    for parameter in operation.get("parameters", []):
        for name, example in parameter.get("examples", {}).items():
            queries.setdefault(name, {})[parameter["name"]] = example["value"]
    bodies = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    requests = [(name, {"json": example["value"]}) for name, example in bodies.get("examples", {}).items()]
    requests += [(name, {"params": query}) for name, query in queries.items()]
    # What is shown afterwards is shown as this was put.
    requests.sort(key=lambda request: request[0] == "example")
    for name, content in requests or [("example", {})]:
        answer = client.request(method, address(path, key_id), **content)  # type: ignore[arg-type]
        where = f"{method} {path} {name}: {answer.status_code} {answer.text}"
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, where
        if answer.status_code in (204, 302):
            continue
        shown = examples(described)
        assert name in shown, where
        assert answer.headers["Content-Type"].split(";")[0] in described["content"], where
        if path.endswith(".js"):
            assert answer.text
        elif answer.status_code >= 400:
            assert answer.json() == shown[name], where
        else:
            assert same_shape(shown[name], answer.json()), where
        for header in described.get("headers", {}):
            # An array has no event id of its own, and not every example leaves something to guess.
            is_optional = isinstance(content.get("json"), list) or header == WARNINGS
            assert header in answer.headers or is_optional, where
    return max(len(requests), 1)


def same_shape(example: Any, found: Any) -> bool:
    if isinstance(example, dict) and isinstance(found, dict):
        # Columns that are null are left out of `understood`.
        return example.keys() == found.keys() and all(
            name == "understood" or same_shape(example[name], found[name]) for name in example
        )
    if isinstance(example, list) and isinstance(found, list):
        if len(example) == len(found):
            return all(map(same_shape, example, found))
        return bool(found) and all(same_shape(example[0], item) for item in found)
    return example is None or found is None or type(example) is type(found)


def test_refusals_are_described_as_they_are(
    ingest_server: Server, client: httpx.Client, operations: list[Operation], key_id: str
) -> None:
    read_only = ingest_server.key(PROJECT, "read")
    ingest_only = ingest_server.key(PROJECT, "ingest")
    met = 0
    for method, path, operation in operations:
        here, elsewhere = address(path, key_id), address(path, key_id, "somebody-else")
        scope = examples(operation["responses"].get("403", {})).get("error", {})
        weak = read_only if "ingest" in json.dumps(scope) else ingest_only
        tries: dict[str, tuple[str, dict[str, str], bytes]] = {
            # Segment's key may be in a body.
            "401": (here, {"Authorization": ""}, b"{}"),
            "403": (here, {"Authorization": f"Bearer {weak}"}, b""),
            "404": (elsewhere, {}, b""),
            "413": (here, {}, b" " * 1_100_000),
            "415": (here, {"Content-Encoding": "br"}, b"x"),
        }
        for status, (url, headers, body) in tries.items():
            described = operation["responses"].get(status)
            # A body that is no postback is one all the same, of an unknown project.
            if described is None or (path.startswith("/pb") and status != "404"):
                continue
            answer = client.request(method, url, headers=headers, content=body)
            where = f"{method} {path} {status}: {answer.status_code} {answer.text}"
            assert str(answer.status_code) == status, where
            assert answer.headers["Content-Type"].split(";")[0] in described["content"], where
            (example,) = examples(described).values()
            is_text = answer.headers["Content-Type"].startswith(("text/plain", "text/javascript"))
            assert (answer.text if is_text else answer.json()) == example, where
            for header in described.get("headers", {}):
                assert header in answer.headers, where
            met += 1
    assert met > 120


def test_another_body_under_one_key_is_refused_as_described(
    ingest_server: Server, client: httpx.Client, operations: list[Operation], key_id: str
) -> None:
    ingest_server.set_access(PROJECT, postbacks="open", origins=["https://shop.example"])
    client.put(f"/v1/projects/{PROJECT}/destinations/one", json=DESTINATIONS.example)
    met = 0
    try:
        for method, path, operation in operations:
            if method != "post":
                continue
            responses = operation["responses"]
            accepted = {
                name for status in ("200", "201", "202") for name in examples(responses.get(status, {}))
            }
            bodies = operation["requestBody"]["content"]["application/json"]["examples"]
            body = json.dumps(next(body["value"] for name, body in bodies.items() if name in accepted))
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            first = client.post(address(path, key_id), headers=headers, content=body)
            refused = client.post(address(path, key_id), headers=headers, content=f"{body} ")
            where = f"{path}: {first.text} {refused.text}"
            assert (first.status_code < 300, refused.status_code) == (True, 422), where
            (example,) = examples(responses["422"]).values()
            assert refused.json() == example, where
            met += 1
    finally:
        ingest_server.set_access(PROJECT, postbacks="off", origins=["off"])
    assert met > 15
