"""Every dialect on the wire: requests to the letter, answers, what lands. Cases are data, in tests/golden.

A case: `request` (method POST unless said otherwise, path, headers, body), `answer` (status, headers, body;
`<any>` stands for what differs from run to run) and `lands` (per event, the columns that matter).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from servers import Server

from funnelhouse.contract import Event, columns
from funnelhouse.landing.store import LandingStore

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = [
    pytest.param(case, id=f"{path.parent.name}/{path.stem}: {case['name']}")
    for path in sorted(GOLDEN.glob("*/*.yaml"))
    for case in yaml.safe_load(path.read_text())
]


@pytest.fixture(scope="module")
def key(ingest_server: Server) -> str:
    return ingest_server.key("golden", "ingest")


@pytest.fixture(scope="module")
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ingest_server.url) as client:
        yield client


@pytest.mark.parametrize("case", CASES)
def test_golden(case: dict[str, Any], ingest_server: Server, client: httpx.Client, key: str) -> None:
    landing = ingest_server.store()
    ((before,),) = landing.query("SELECT coalesce(max(id), 0) FROM events")
    request = case["request"]
    headers = {"Authorization": f"Bearer {key}", **request.get("headers", {})}
    answer = client.request(
        request.get("method", "POST"),
        request["path"],
        headers={name: value for name, value in headers.items() if value is not None},
        content=request["body"],
    )
    expected = case["answer"]
    assert answer.status_code == expected["status"], answer.text
    assert matches(expected["body"], json.loads(answer.text)), answer.text
    for name, value in expected.get("headers", {}).items():
        assert matches(value, answer.headers.get(name)), (name, answer.headers.get(name))
    wanted = case.get("lands", [])
    rows = landed(landing, before)
    landing.close()
    assert [
        {column: row[column] for column in want} for want, row in zip(wanted, rows, strict=True)
    ] == wanted


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
