"""docs/sending.md does what it says: each example is run as it stands there, and what landed is looked at."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import Server

from funnelhouse.settings import CHECKOUT

DOCUMENT = (CHECKOUT / "docs" / "sending.md").read_text(encoding="utf-8")

# How a language's examples are run, what shows that they can be, and how to get that where it is missing.
COMMANDS = {
    "bash": (["bash", "-eu", "-o", "pipefail"], ["curl", "--version"], "apt-get install curl"),
    "python": ([sys.executable], [sys.executable, "--version"], ""),
    "js": (["node"], ["node", "--version"], "apt-get install nodejs"),
    "php": (["php"], ["php", "-r", "curl_version();"], "apt-get install php-cli php-curl"),
}
_FILES = {"bash": "example.sh", "python": "example.py", "js": "example.mjs", "php": "example.php"}

_SALE = {"kind": "conversion", "name": "purchase", "sender": "server", "dialect": "openanalytics"}


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _sale(order: str, amount: str | None, currency: str | None = "USD", **more: Any) -> dict[str, Any]:
    return {**_SALE, "transaction_id": order, "amount_text": amount, "currency": currency, **more}


LANDS: dict[str, dict[str, dict[str, Any]]] = {
    "A sale": {"order-1001-paid": _sale("1001", "49.99", user_id="ada", visitor_id="b-1")},
    "A pending sale that settles": {
        "order-1002-placed": _sale("1002", "120", user_id="ada", status="pending"),
        "order-1002-settled": _sale("1002", "115.5", status="approved"),
    },
    "Cancel": {"order-1002-cancelled": _sale("1002", None, None, status="cancelled")},
    "Refund in part": {
        "refund-77": {"kind": "refund", "transaction_id": "1001", "amount_text": "10", "currency": "USD"}
    },
    "Sign-up": {
        "signup-ada": {
            **{"kind": "event", "name": "signup", "user_id": "ada", "visitor_id": "b-1"},
            "properties": {"plan": "pro"},
        }
    },
    "Who is who": {
        "login-ada-1": {
            **{"kind": "identify", "user_id": "ada", "visitor_id": "b-1"},
            "properties": {"email_sha256": sha256(b"ada@shop.example").hexdigest()},
        },
        "merge-ada-1": {"kind": "alias", "user_id": "ada", "previous_id": "customer-17"},
    },
    "Retry": {},
    "Batch": {
        "order-1004-paid": _sale("1004", "20", "EUR", user_id="bob"),
        "signup-bob": {"kind": "event", "name": "signup", "user_id": "bob"},
    },
    "History": {
        "old-view-1": {
            **{
                "kind": "visit",
                "visitor_id": "b-9",
                "occurred_us": _us(datetime(2025, 11, 3, 9, 12, tzinfo=UTC)),
            },
            "url": "https://shop.example/?utm_source=google&utm_medium=cpc",
        },
        "old-order-950": _sale(
            *("950", "80"),
            **{
                "visitor_id": "b-9",
                "user_id": "eve",
                "occurred_us": _us(datetime(2025, 11, 5, 17, 30, tzinfo=UTC)),
            },
        ),
    },
    "Test keys and CI": {"ci-1": _sale("1001", "49.99", user_id="ada")},
}
"""By task: the columns of each event that its example lands, by event id."""

UNTOLD = {"Before you start", "Did it arrive?"}


@cache
def examples() -> dict[str, dict[str, str]]:
    """By heading, the code in each language."""
    parts = re.split(r"^## (.+)\n", DOCUMENT, flags=re.MULTILINE)[1:]
    return {
        heading: dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def program(task: str, language: str) -> str:
    """An example with what it calls."""
    start = examples()["Before you start"].get(language, "")
    return f"{'<?php' if language == 'php' else ''}\n{start}\n{examples()[task][language]}"


@cache
def works(*attempt: str) -> bool:
    """Whether a command is there and does well."""
    try:
        return subprocess.run(attempt, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def run(code: str, language: str, folder: Path, url: str, key: str) -> subprocess.CompletedProcess[str]:
    command, attempt, how_to_get_it = COMMANDS[language]
    if not works(*attempt):
        # A developer's machine may have none; `.ci/run` installs it, and fails when a test is skipped.
        pytest.skip(f"needs {attempt[0]}: `{how_to_get_it}` on Debian")
    file = folder / _FILES[language]
    file.write_text(code, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "INGEST_URL": url, "INGEST_KEY": key}
    return subprocess.run(
        [*command, file],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Shop:
    """A project per language on one server."""

    def __init__(self, server: Server, language: str) -> None:
        self.project = f"sending-{language}"
        self.url = f"{server.url}/v1/projects/{self.project}/events"
        self.key = server.key(self.project, "ingest")
        self.test_key = server.key(self.project, "ingest", is_test=True)
        self._reader = server.key(self.project, "read")
        self._test_reader = server.key(self.project, "read", is_test=True)

    def landed(self, event_id: str, is_test: bool = False) -> list[dict[str, Any]]:
        """What each report with an id is understood as."""
        answer = self._get(event_id, is_test)
        assert answer.status_code == 200, answer.text
        return [report["understood"] for report in answer.json()["reports"]]

    def orders(self, transaction_id: str) -> list[dict[str, Any]]:
        events = [event["understood"] for event in self._get("recent?limit=100").json()["events"]]
        return [event for event in events if event.get("transaction_id") == transaction_id]

    def _get(self, path: str, is_test: bool = False) -> httpx.Response:
        key = self._test_reader if is_test else self._reader
        return httpx.get(f"{self.url}/{path}", headers={"Authorization": f"Bearer {key}"}, timeout=30)


pytestmark = pytest.mark.parametrize("ingest_server", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def shops(ingest_server: Server) -> dict[str, Shop]:
    return {language: Shop(ingest_server, language) for language in COMMANDS}


def test_every_task_has_an_example_in_every_language(ingest_server: Server) -> None:
    assert examples().keys() - UNTOLD == LANDS.keys()
    for task in LANDS:
        assert examples()[task].keys() - {"sh"} == COMMANDS.keys(), task


@pytest.mark.parametrize("language", COMMANDS)
@pytest.mark.parametrize("task", [task for task in LANDS if task != "Retry"])
def test_an_example_lands_what_it_says(
    shops: dict[str, Shop], tmp_path: Path, task: str, language: str
) -> None:
    shop = shops[language]
    is_test = "Test keys" in task
    done = run(program(task, language), language, tmp_path, shop.url, shop.test_key if is_test else shop.key)
    assert done.returncode == 0, done.stdout + done.stderr
    for event_id, expected in LANDS[task].items():
        (found,) = shop.landed(event_id, is_test)
        shown = {name: found.get(name) for name in expected}
        if "properties" in shown:
            shown["properties"] = json.loads(shown["properties"] or "null")
        assert shown == expected, event_id
        if is_test:
            assert found["project_id"] == f"{shop.project}.test"


@pytest.mark.parametrize("language", COMMANDS)
def test_a_wrong_key_and_a_wrong_report_are_errors(
    shops: dict[str, Shop], tmp_path: Path, language: str
) -> None:
    shop = shops[language]
    code = program("A sale", language)
    assert run(code, language, tmp_path, shop.url, "wrong").returncode != 0
    refused = code.replace("49.99", '"49.99"' if language != "php" else "'49.99'")
    assert run(refused, language, tmp_path, shop.url, shop.key).returncode != 0
    assert run(code, language, tmp_path, "http://127.0.0.1:1/", shop.key).returncode != 0


@pytest.mark.parametrize("language", COMMANDS)
def test_a_build_fails_for_a_misspelt_field(shops: dict[str, Shop], tmp_path: Path, language: str) -> None:
    code = program("Test keys and CI", language)
    misspelt = re.sub(r"\brevenue\b", "amount", code)
    assert misspelt != code
    done = run(misspelt, language, tmp_path, shops[language].url, shops[language].test_key)
    assert done.returncode != 0


@contextmanager
def unreliable(url: str) -> Iterator[tuple[str, list[str]]]:
    """An address that passes requests on and loses the first two answers: a 503, and none at all."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = ("Authorization", "Content-Type", "Idempotency-Key")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            answer = httpx.post(url, content=body, headers=headers, timeout=30)
            seen.append(answer.text)
            if len(seen) == 2:
                self.close_connection = True
                return
            self.send_response(503 if len(seen) == 1 else answer.status_code)
            if len(seen) == 1:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("language", COMMANDS)
def test_a_report_that_is_sent_again_counts_once(
    shops: dict[str, Shop], tmp_path: Path, language: str
) -> None:
    shop = shops[language]
    with unreliable(shop.url) as (url, seen):
        done = run(program("Retry", language), language, tmp_path, url, shop.key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(seen) == 3 and len(set(seen)) == 1
    (order,) = shop.orders("1003")
    expected = _sale("1003", "15", user_id="ada")
    assert {name: order.get(name) for name in expected} == expected
