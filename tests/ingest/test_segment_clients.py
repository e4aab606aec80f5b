"""Segment's own clients, unmodified and pointed here by their host option only: everything arrives, once."""

import json
import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client
from servers import Server

pytestmark = pytest.mark.slow

COUNT = 400
TYPES = ["alias", "group", "identify", "page", "screen", "track"]
KINDS = {
    "alias": "alias",
    "group": "event",
    "identify": "identify",
    "page": "visit",
    "screen": "visit",
    "track": "event",
}

# The client and all that it needs, each in the version that was tried.
NODE_PACKAGES = [
    "@segment/analytics-node@3.1.0",
    "@segment/analytics-core@1.8.3",
    "@segment/analytics-generic-utils@1.2.0",
    "@lukeed/csprng@1.1.0",
    "@lukeed/uuid@2.0.1",
    "base64-js@1.5.1",
    "buffer@6.0.3",
    "dset@3.1.4",
    "ieee754@1.2.1",
    "jose@5.10.0",
    "tslib@2.9.1",
]


def expect_arrived(server: Server, project: str, sent: dict[str, dict[str, Any]]) -> None:
    """Every message that was sent has landed once, with its id and all that it said."""
    with closing(server.store()) as landing:
        rows = landing.query(
            "SELECT event_id, kind, name, user_id, visitor_id, previous_id, amount_text, properties,"
            " occurred_us, payload FROM events WHERE project_id = ?",
            project,
        )
        assert landing.query("SELECT count(*) FROM rejected WHERE project_id = ?", project) == [(0,)]
    assert len(rows) == len(sent) == COUNT + len(TYPES)
    assert {row[0] for row in rows} == sent.keys()
    assert {message["type"] for message in sent.values()} == set(TYPES)
    for (
        event_id,
        kind,
        name,
        user,
        visitor,
        previous,
        amount,
        properties,
        occurred,
        payload,
    ) in rows:
        message = sent[event_id]
        kept = json.loads(payload)
        for field in ("type", "event", "name", "userId", "anonymousId", "properties", "traits", "groupId"):
            assert kept.get(field) == message.get(field)
        is_order = message.get("event") == "Order Completed"
        assert kind == ("conversion" if is_order else KINDS[message["type"]])
        assert (user, visitor) == (message.get("userId"), message.get("anonymousId"))
        assert previous == message.get("previousId")
        assert amount == ("49.99" if is_order else None)
        if message["type"] in ("track", "page", "screen"):
            assert name == message.get("event", message.get("name"))
            assert json.loads(properties) == message["properties"]
        if message["type"] == "identify":
            assert json.loads(properties) == message["traits"]
        when = datetime.fromisoformat(message["timestamp"]).astimezone(UTC)
        assert occurred == round(when.timestamp() * 1_000_000)


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_analytics_python(ingest_server: Server, gzip: bool) -> None:
    project = f"client-python-{'gzip' if gzip else 'plain'}"
    failures: list[Exception] = []
    client = Client(
        ingest_server.key(project, "ingest"),
        host=ingest_server.url,
        gzip=gzip,
        upload_interval=0.05,
        on_error=lambda error, _items: failures.append(error),
    )
    order = {"order_id": "o1", "revenue": 49.99, "currency": "USD"}
    results = [
        client.identify("u", {"plan": "pro", "naïve": "é😀"}),
        client.page("u", None, "Home", {"url": "https://shop.example/"}),
        client.screen(anonymous_id="a", name="Start", properties={"build": 7}),
        client.group("u", "g", {"seats": 3}),
        client.alias("a", "u"),
        client.track("u", "Order Completed", order, timestamp=datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ]
    for number in range(COUNT):
        results.append(client.track(f"u{number}", "Counted", {"number": number, "half": number / 2}))
    client.flush()
    client.shutdown()
    assert failures == []
    assert all(is_queued for is_queued, _ in results)
    expect_arrived(ingest_server, project, {message["messageId"]: message for _, message in results})


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the client for Node is installed."""
    if shutil.which("npm") is None:
        # Pip cannot bring it; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip("needs Node 20 or newer with npm: https://nodejs.org, or `apt-get install nodejs npm`")
    folder = tmp_path_factory.mktemp("node")
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(["npm", "install", *options, "--prefix", folder, *NODE_PACKAGES], check=True, timeout=300)
    return folder


def test_analytics_node(ingest_server: Server, node_modules: Path) -> None:
    program = Path(__file__).with_name("segment_node_client.mjs")
    key = ingest_server.key("client-node", "ingest")
    done = subprocess.run(
        ["node", program, node_modules, ingest_server.url, key, str(COUNT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = json.loads(done.stdout)
    assert printed["errors"] == []
    expect_arrived(ingest_server, "client-node", printed["sent"])
