"""Input that is bad, or tolerated on purpose: one named entry each in tests/corpus, with its verdict.

A file has `inputs`; whatever else stands at its top is the default of each of them. An input:

- `name`: a sentence; `method` (POST), `path` (the request target, sent as written), `headers` (added to a
  Bearer key; null takes one away). Each file has a project of its own, `<project>`; `<key>` is a key of it
  with all scopes, the others are in `Texts` below. The project of a file of `links` has the link `spring`.
- `body`: text, or a list of parts: text, `{base64}`, `{repeat, times}`, `{fill, to}` (repeat until the whole
  has that many bytes), `{gzip}`, `{of, less}` (cut off so many bytes at the end). `value` instead of it goes
  into `within`, in place of `<value>`. `chunks`: a list of such bodies, each sent as a chunk.
- `routes`: a list of what differs by route, or a name of ROUTES; the input is tried at each of them.
- `raw`: parts of a whole request, for what no client would write; `ends: true` then closes our side.
- `verdict`: `status` (for `raw` a list: one per answer), `shape` of the answer (SHAPES below), `rejected` and
  `lands` (rows, 0 when left out; `lands` counts events, definitions and costs, or is a list with columns of
  each event), `says` (a part of the answer), `headers`.

No answer is ever a 5xx, or repeats the word "needle", which stands for any value.
"""

import base64
import gzip
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from dialects import BY_KEY, OF_A_PROJECT, OF_PAGES, Sent
from servers import Server

from funnelhouse.access import CACHE_SECONDS, set_access
from funnelhouse.keys import revoke_key
from record.contract import Event, columns
from record.landing.store import LandingStore

LINK = {
    "name": "Spring",
    "page_id": "lander",
    "to": [{"url": "https://offers.example/?s={hit}"}],
    "append_vid": False,
}
CORPUS = Path(__file__).parent.parent / "corpus"
FILES = {path: yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(CORPUS.glob("*/*.yaml"))}

SHAPES: dict[str, tuple[str, set[str]]] = {
    "problem": ("application/problem+json", {"type", "title", "status", "detail"}),
    "no event": ("application/problem+json", {"type", "title", "status", "detail", "accepted", "results"}),
    "error": ("application/json", {"error"}),
    "failure": ("application/json", {"success", "message"}),
    "accepted": ("application/json", {"accepted"}),
    "queued": ("application/json", {"queued", "accepted"}),
    "results": ("application/json", {"queued", "accepted", "results"}),
    "success": ("application/json", {"success"}),
    "batch": ("application/json", {"error", "resolvedTokens", "skv"}),
    "told": ("application/json", {"queued", "accepted", "warnings", "understood"}),
    "told results": ("application/json", {"queued", "accepted", "results", "warnings", "understood"}),
}
"""Media type and members of the answers; besides them there are `json` (any object), `text` and `empty`."""


def routes_of(sent: list[Sent]) -> list[dict[str, Any]]:
    """Routes of dialects as the files here have them."""
    refusing = {frozenset(SHAPES[name][1]): name for name in ("problem", "error", "failure")}
    return [
        {
            "path": each.path("<project>"),
            "within": each.within,
            "verdict": {"shape": refusing[frozenset(each.members)]},
        }
        for each in sent
    ]


_NATIVE = yaml.load((CORPUS / "routes.yaml").read_text(), yaml.CSafeLoader)
ROUTES = {
    "all": routes_of(OF_A_PROJECT) + [{**r, "is_of_pages": True} for r in routes_of(OF_PAGES)] + _NATIVE,
    "keyed": routes_of(BY_KEY) + _NATIVE,
    "posting": routes_of(BY_KEY) + [route for route in _NATIVE if "method" not in route],
}


def inputs() -> list[Any]:
    return [
        pytest.param(path, entry, id=f"{path.relative_to(CORPUS).with_suffix('')}: {entry['name']}")
        for path, file in FILES.items()
        for entry in file["inputs"]
    ]


def cases(path: Path, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent for an input, by route."""
    file = FILES[path]
    routes = entry.get("routes", file.get("routes", [{}]))
    result = []
    for route in ROUTES[routes] if isinstance(routes, str) else routes:
        layers = (file, route, entry)
        case = {name: value for layer in layers for name, value in layer.items()}
        for name in ("headers", "verdict"):
            case[name] = {key: value for layer in layers for key, value in layer.get(name, {}).items()}
        if case.get("is_of_pages"):
            case["verdict"] = of_pages(case["verdict"])
        result.append(case)
    return result


def of_pages(verdict: dict[str, Any]) -> dict[str, Any]:
    """What a page gets for a body that others are refused, and that is kept; one that is too large, too."""
    if verdict["status"] == 413 or (verdict["status"] in (400, 415) and verdict.get("rejected")):
        return {**verdict, "status": 200, "shape": "batch", "rejected": 1}
    return verdict


def test_there_are_three_hundred_inputs_each_with_a_name_of_its_own() -> None:
    names = [(path, entry["name"]) for path, file in FILES.items() for entry in file["inputs"]]
    assert len(set(names)) == len(names) >= 300


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def landing(ingest_server: Server) -> Iterator[LandingStore]:
    with closing(ingest_server.store()) as store:
        yield store


class Texts:
    """What stands for `<…>` in the inputs of a file, whose project is its own: what is kept has a quota."""

    def __init__(self, server: Server, landing: LandingStore) -> None:
        self._server = server
        self._landing = landing
        self._by_file: dict[Path, dict[str, str]] = {}

    def of(self, file: Path) -> dict[str, str]:
        if file not in self._by_file:
            self._by_file[file] = self._new(project_of(file))
        return self._by_file[file]

    def _new(self, project: str) -> dict[str, str]:
        new = partial(self._server.key, project)
        texts = {
            "<project>": project,
            "<key>": new(),
            "<ingest>": new("ingest"),
            "<read>": new("read"),
            "<admin>": new("admin"),
            "<test>": new(is_test=True),
            "<expired>": new(),
            "<revoked>": new(),
        }
        texts["<basic>"] = base64.b64encode(f"{texts['<key>']}:".encode()).decode()
        texts["<bare basic>"] = base64.b64encode(texts["<key>"].encode()).decode()
        revoke_key(self._landing, texts["<revoked>"].split("_")[2])
        with self._landing.transaction():
            expired = texts["<expired>"].split("_")[2]
            self._landing.execute("UPDATE keys SET expires_us = 1 WHERE key_id = ?", expired)
        if project.startswith("corpus-links-"):
            link = f"{self._server.url}/v1/projects/{project}/links/spring"
            answer = httpx.put(link, json=LINK, headers={"x-api-key": texts["<admin>"]})
            assert answer.status_code == 200
        return texts


def project_of(file: Path) -> str:
    return f"corpus-{file.parent.name}-{file.stem}"


@pytest.fixture(scope="module")
def texts(ingest_server: Server, landing: LandingStore) -> Iterator[Texts]:
    for file in FILES:
        ingest_server.key(project_of(file))
        set_access(landing, project_of(file), postbacks="open", origins=["https://shop.example"])
    time.sleep(CACHE_SECONDS)
    yield Texts(ingest_server, landing)
    for file in FILES:
        set_access(landing, project_of(file), postbacks="off", origins=["off"])


class Wire:
    """A kept-alive connection on which a request is sent byte by byte as it was written."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes, method: str) -> Answer:
        is_kept = self._socket is not None
        try:
            return self._ask(request, method)
        except (HTTPException, OSError):
            self.close()
            if not is_kept:
                raise
            # The server had closed it meanwhile.
            return self._ask(request, method)

    def _ask(self, request: bytes, method: str) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        with suppress(ConnectionError):
            # A body that is too large may be answered before all of it was sent.
            self._socket.sendall(request)
        response = HTTPResponse(self._socket, method=method)
        response.begin()
        answer = Answer(response.status, _lowered(response), response.read())
        if response.will_close:
            self.close()
        response.close()
        return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def raw_answers(port: int, request: bytes, ends: bool) -> list[Answer]:
    """All answers that come on one connection until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sender:
        received = b""
        with suppress(ConnectionError):
            sender.sendall(request)
            if ends:
                sender.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while part := sender.recv(65536):
                received += part
    answers = []
    stream = io.BytesIO(received)
    while stream.tell() < len(received):
        response = HTTPResponse(_Readable(stream))  # type: ignore[arg-type]
        response.begin()
        answers.append(Answer(response.status, _lowered(response), response.read()))
    return answers


class _Readable:
    """What HTTPResponse wants of a socket, over bytes that were received already."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> io.BufferedIOBase:
        return _Unclosed(self._stream)


class _Unclosed(io.BufferedIOBase):
    def __init__(self, stream: io.BytesIO) -> None:
        self.read, self.readline, self.readinto = stream.read, stream.readline, stream.readinto


def _lowered(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


@pytest.fixture(scope="module")
def wire(ingest_server: Server) -> Iterator[Wire]:
    with closing(Wire(ingest_server.settings.ingest_port)) as wire:
        yield wire


@pytest.mark.parametrize(("path", "entry"), inputs())
def test_verdict(
    path: Path,
    entry: dict[str, Any],
    ingest_server: Server,
    landing: LandingStore,
    texts: Texts,
    wire: Wire,
) -> None:
    every = cases(path, entry)
    # Stores differ in how rows are kept, not in how routes read: there one route is enough, each in turn.
    number = FILES[path]["inputs"].index(entry)
    for case in [every[number % len(every)]] if ingest_server.settings.landing else every:
        try:
            expect_verdict(case, ingest_server.settings.ingest_port, landing, texts.of(path), wire)
        except AssertionError as error:
            error.add_note(f"at {case.get('path')}")
            raise


def expect_verdict(
    case: dict[str, Any], port: int, landing: LandingStore, known: dict[str, str], wire: Wire
) -> None:
    verdict = case["verdict"]
    before = newest(landing)
    if "raw" in case:
        request = content(case["raw"], known)
        answers = raw_answers(port, request, case.get("ends", False))
        assert [answer.status for answer in answers] == verdict["status"]
    else:
        method = case.get("method", "POST")
        answers = [wire.ask(written(case, method, known), method)]
        assert answers[0].status == verdict["status"], answers[0].body
    for answer in answers:
        told = f"{answer.headers} {answer.body.decode()}"
        assert answer.status < 500
        assert "needle" not in told
        assert not re.search("fh_(live|test)_", told)
    if answers:
        expect_shape(answers[-1], verdict)
    events, others, rejected = landed(landing, before)
    assert rejected == verdict.get("rejected", 0)
    lands = verdict.get("lands", 0)
    assert len(events) + others == (len(lands) if isinstance(lands, list) else lands)
    if isinstance(lands, list):
        assert [
            {column: row[column] for column in want} for want, row in zip(lands, events, strict=True)
        ] == lands


def expect_shape(answer: Answer, verdict: dict[str, Any]) -> None:
    shape = verdict["shape"]
    for name, value in verdict.get("headers", {}).items():
        assert answer.headers.get(name.lower()) == value
    if shape == "empty":
        assert answer.body == b""
        return
    if shape == "text":
        assert answer.headers["content-type"].startswith("text/plain")
        assert verdict.get("says", "") in answer.body.decode()
        return
    body = json.loads(answer.body)
    if shape != "json":
        media_type, members = SHAPES[shape]
        assert (answer.headers["content-type"], set(body)) == (media_type, members)
    if shape in ("problem", "no event"):
        assert body["status"] == answer.status
    if shape == "accepted" and isinstance(verdict["status"], int) and isinstance(verdict.get("lands"), int):
        assert body["accepted"] == verdict["lands"]
    assert verdict.get("says", "") in answer.body.decode()


def written(case: dict[str, Any], method: str, texts: dict[str, str]) -> bytes:
    """The request as it goes over the wire."""
    headers = {"Host": "funnelhouse.test", "Authorization": "Bearer <key>", **case["headers"]}
    body = b""
    if "chunks" in case:
        headers.setdefault("Transfer-Encoding", "chunked")
        for chunk in case["chunks"]:
            part = content(chunk, texts)
            body += b"%x\r\n%b\r\n" % (len(part), part)
        body += b"0\r\n\r\n"
    else:
        if "value" in case:
            before, _, after = case["within"].partition("<value>")
            body = content([before, *_listed(case["value"]), after], texts)
        elif "body" in case:
            body = content(case["body"], texts)
        if body or method not in ("GET", "HEAD", "DELETE"):
            headers.setdefault("Content-Length", str(len(body)))
    lines = [
        f"{name}: {content(value, texts).decode()}" for name, value in headers.items() if value is not None
    ]
    # The target in UTF-8, headers in Latin-1: what stands in the file is what is sent.
    target = content(case["path"], texts)
    return (
        b"%b %b HTTP/1.1\r\n" % (method.encode(), target)
        + "\r\n".join([*lines, "", ""]).encode("latin-1")
        + body
    )


def content(spec: Any, texts: dict[str, str]) -> bytes:
    """The bytes that text or a list of parts stands for."""
    result = b""
    for part in _listed(spec):
        if isinstance(part, str):
            result += filled(part, texts).encode()
        elif "base64" in part:
            result += base64.b64decode(part["base64"])
        elif "repeat" in part:
            result += content(part["repeat"], texts) * part["times"]
        elif "fill" in part:
            result += part["fill"].encode() * (part["to"] - len(result))
        elif "gzip" in part:
            result += gzip.compress(content(part["gzip"], texts), mtime=0)
        else:
            result += content(part["of"], texts)[: -part["less"]]
    return result


def _listed(spec: Any) -> list[Any]:
    return spec if isinstance(spec, list) else [spec]


def filled(text: str, texts: dict[str, str]) -> str:
    return re.sub(r"<[a-z ]+>", lambda name: texts.get(name[0], name[0]), text)


def newest(landing: LandingStore) -> list[int]:
    names = ("events", "definitions", "costs", "rejected")
    ((*ids,),) = landing.query(
        f"SELECT {', '.join(f'(SELECT coalesce(max(id), 0) FROM {name})' for name in names)}"
    )
    return ids


def landed(landing: LandingStore, before: list[int]) -> tuple[list[dict[str, Any]], int, int]:
    """Events, and the number of definitions and costs and of rejected rows, since `before`."""
    if newest(landing) == before:
        return [], 0, 0
    names = [column.name for column in columns(Event)]
    rows = landing.query(f"SELECT {', '.join(names)} FROM events WHERE id > ? ORDER BY id", before[0])
    ((definitions, costs, rejected),) = landing.query(
        "SELECT (SELECT count(*) FROM definitions WHERE id > ?), (SELECT count(*) FROM costs WHERE id > ?),"
        " (SELECT count(*) FROM rejected WHERE id > ?)",
        *before[1:],
    )
    return [dict(zip(names, row, strict=True)) for row in rows], definitions + costs, rejected
