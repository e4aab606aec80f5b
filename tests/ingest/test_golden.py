"""Every dialect on the wire: requests to the letter, answers, what lands. Cases are data, in tests/golden.

A case: `request` (method POST unless said otherwise, path, headers, body), `answer` (status, headers, body;
`<any>` stands for what differs from run to run; without a body the answer has none) and `lands` (per event,
the columns that matter). `<key>` in a request's headers or body is an ingest key of the project `golden`,
`<basic>` the same as Basic's user name.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from servers import Server

from ingest_api import dialects
from record.contract import Event, columns
from record.landing.store import LandingStore

GOLDEN = Path(__file__).parent.parent / "golden"
LINKS: dict[str, dict[str, Any]] = {
    "ad": {"to": [{"url": "https://shop.example/lander"}]},
    "out": {"page_id": "lander", "to": [{"url": "https://offers.example/o?s={hit}&e={external}"}]},
    "arrives": {"page_id": "lander", "to": [{"url": "https://offers.example/o", "page_id": "offer"}]},
}
"""Of the project `golden`."""
CASES = [
    pytest.param(case, id=f"{path.parent.name}/{path.stem}: {case['name']}")
    for path in sorted(GOLDEN.glob("*/*.yaml"))
    for case in yaml.load(path.read_text(), yaml.CSafeLoader)
]


def test_each_dialect_is_a_file_its_description_and_its_golden_cases() -> None:
    folder = Path(dialects.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == {path.stem for path in folder.glob("*.yaml")}
    # The tracker's room has more than its wire, and links have no wire but their addresses.
    assert files | {"tracker", "links"} == {path.name for path in GOLDEN.iterdir()}


@pytest.fixture(scope="module")
def key(ingest_server: Server) -> Iterator[str]:
    key = ingest_server.key("golden", "ingest")
    links = f"{ingest_server.url}/v1/projects/golden/links"
    admin = {"x-api-key": ingest_server.key("golden", "admin")}
    for link_id, link in LINKS.items():
        assert (
            httpx.put(f"{links}/{link_id}", json={"name": link_id, **link}, headers=admin).status_code == 200
        )
    ingest_server.set_access("golden", postbacks="open", origins=["https://shop.example"])
    yield key
    ingest_server.set_access("golden", postbacks="off", origins=["off"])


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ingest_server.url) as client:
        yield client


@pytest.mark.parametrize("case", CASES)
def test_golden(case: dict[str, Any], ingest_server: Server, client: httpx.Client, key: str) -> None:
    landing = ingest_server.store()
    ((before,),) = landing.query("SELECT coalesce(max(id), 0) FROM events")
    request = case["request"]
    headers = {"Authorization": "Bearer <key>", **request.get("headers", {})}
    answer = client.request(
        request.get("method", "POST"),
        request["path"],
        headers={name: with_key(value, key) for name, value in headers.items() if value is not None},
        content=with_key(request.get("body", ""), key),
    )
    expected = case["answer"]
    assert answer.status_code == expected["status"], answer.text
    said = json.loads(answer.text) if answer.text else None
    assert matches(expected.get("body"), said), answer.text
    for name, value in expected.get("headers", {}).items():
        assert matches(value, answer.headers.get(name)), (name, answer.headers.get(name))
    wanted = case.get("lands", [])
    rows = landed(landing, before)
    landing.close()
    assert [
        {column: row[column] for column in want} for want, row in zip(wanted, rows, strict=True)
    ] == wanted


def with_key(text: str, key: str) -> str:
    return text.replace("<key>", key).replace("<basic>", base64.b64encode(f"{key}:".encode()).decode())


def landed(landing: LandingStore, after: int) -> list[dict[str, Any]]:
    names = [column.name for column in columns(Event)]
    rows = landing.query(f"SELECT {', '.join(names)} FROM events WHERE id > ? ORDER BY id", after)
    return [dict(zip(names, row, strict=True)) for row in rows]


def matches(expected: Any, found: Any) -> bool:
    if expected == "<any>":
        return found is not None
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(matches(expected[k], found[k]) for k in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(matches, expected, found))
    return bool(expected == found)
