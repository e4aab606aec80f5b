"""Durable throughput of the ingest API, against the same answers without a commit, and against datasette.

Run it with `python -m benchmarks.ingest`; it prints markdown tables. The servers and the load generator are
processes of their own on the same machine. Each case runs for a few seconds, in turn with what it is compared
with, so that both meet the same machine. `--beside` takes another checkout, with an environment of its own,
into the same run. `--tracker` measures what pages send beside what servers send. `--datasette` installs
datasette into a temporary environment.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import httpx

from funnelhouse.access import set_access
from funnelhouse.keys import create_key
from record.landing import open_store
from record.landing.store import LandingStore

EVENT: dict[str, Any] = {
    "event_type": "conversion",
    "event_name": "purchase",
    "user_id": "b2f1c0de5a8e4e6f9d7c1a2b3c4d5e6f",
    "anonymous_id": "a-7781923",
    "session_id": "s-99120034",
    "url": "https://shop.example/thanks?order=1",
    "utm_source": "google",
    "utm_medium": "cpc",
    "revenue": 49.99,
    "currency": "USD",
    "properties": {"plan": "pro", "order_id": "ord_123"},
    "timestamp": 1790000000000,
}

VIEW: dict[str, Any] = {
    "id": "019caa4a-6a00-7000-8000-000000000001",
    "api": "oa",
    "type": "pageview",
    "t": 1790000000000,
    "vid": "019caa4a-6a00-7000-8000-00000000000a",
    "sid": "019caa4a-6a00-7000-8000-00000000000b",
    "hit": "019caa4a-6a00-7000-8000-00000000000c",
    "url": "https://shop.example/offers/lamp?utm_source=google&utm_medium=cpc&gclid=Cj0KCQiA-aBcDeFgHiJkLmNoP",
    "ref": "https://www.google.com/",
    "page": "offer-1",
    "pk": "offer",
    "first": {
        "url": "https://shop.example/offers/lamp?utm_source=google&utm_medium=cpc&gclid=Cj0KCQiA-aBcDeFgHiJkLmNoP",
        "ref": "https://www.google.com/",
        "t": 1790000000000,
        "utm_source": "google",
        "utm_medium": "cpc",
        "gclid": "Cj0KCQiA-aBcDeFgHiJkLmNoP",
    },
}
"""As the tracker's script sends it."""

SERVE = "from funnelhouse.settings import Settings; from ingest_api.server import serve; serve(Settings())"

SERVE_WITHOUT_COMMIT = f"""
from ingest_api.group_commit import GroupCommit

async def commit_nothing(self, table, rows, size, answer):
    return 1

GroupCommit._commit = commit_nothing
{SERVE}
"""
"""A live request up to its answer, but nothing is written. A dry run would not do as divisor: what it is told
besides makes it slower, and the ratio better."""

DURABLE, NO_COMMIT = "durable", "no commit"
NATIVE, TRACKER = "native events", "tracker"
ORIGIN = "https://shop.example"
BESIDE = ", beside"

DATASETTE = "datasette==1.0a41"
"""The newest version when this was written; its stable versions have no insert API."""

SECRET = "benchmark"


@dataclass(frozen=True)
class Case:
    """What is sent: events per request, connections, and whom to."""

    events: int
    connections: int
    to: str
    per_second: int = 0
    """Requests a second, however long their answers take; 0: each connection as fast as it is answered."""


@dataclass(frozen=True)
class Result:
    """Answers in `seconds`; latencies in milliseconds. Any answer but 200 to 202 ends the run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class _Client(asyncio.Protocol):
    """One keep-alive connection that sends its request again as soon as it is answered, and due.

    A latency counts from when the request was due: what waits for a slow answer is slow, too.
    """

    def __init__(self, request: bytes, times: tuple[float, float, float], latencies: list[float]) -> None:
        self._request = request
        self._due, self._interval, self._deadline = times
        self._latencies = latencies
        self._buffer = b""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_when_due()

    def _send_when_due(self) -> None:
        now = time.perf_counter()
        if self._interval and now < self._due:
            asyncio.get_running_loop().call_later(self._due - now, self._send_when_due)
            return
        self._sent = self._due if self._interval else now
        self._due += self._interval
        if not self._transport.is_closing():
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = self._buffer.find(b"content-length: ")
        if mark < 0:
            # Datasette's answers are chunked.
            if not self._buffer.endswith(b"\r\n0\r\n\r\n"):
                return
        elif len(self._buffer) < head + 4 + int(self._buffer[mark + 16 : self._buffer.find(b"\r\n", mark)]):
            return
        if not self._buffer.startswith((b"HTTP/1.1 202", b"HTTP/1.1 201", b"HTTP/1.1 200")):
            self.finished.set_exception(RuntimeError(self._buffer.decode()))
            self._transport.close()
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        self._buffer = b""
        if now < self._deadline:
            self._send_when_due()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


def load(server: "Server", case: Case, seconds: float) -> Result:
    """Send one case's requests for `seconds`, in this process."""
    if case.to == "datasette":
        path, rows = "/bench/events/-/insert", [datasette_row(EVENT)] * case.events
        value: Any = {"rows": rows} if case.events > 1 else {"row": rows[0]}
    elif case.to == TRACKER:
        path, value = (
            "/t/bench",
            {"v": 1, "sent": 1790000000500, "ads": "granted", "events": [VIEW] * case.events},
        )
    else:
        path, value = "/v1/projects/bench/events", [EVENT] * case.events if case.events > 1 else EVENT
    # Compact, as JavaScript and most clients write it.
    body = json.dumps(value, separators=(",", ":")).encode()
    rest = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    latencies: list[float] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        interval = case.connections / case.per_second if case.per_second else 0.0

        async def connected(number: int) -> _Client:
            head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{_who(case, server, number)}\r\n"
            due = start + interval * number / case.connections
            times = (due, interval, start + seconds)
            _, client = await loop.create_connection(
                lambda: _Client(head.encode() + rest, times, latencies), *server.address
            )
            return client

        clients = [await connected(number) for number in range(case.connections)]
        await asyncio.gather(*(client.finished for client in clients))
        return time.perf_counter() - start

    elapsed = asyncio.run(run())
    latencies.sort()
    return Result(
        len(latencies),
        elapsed,
        1000 * latencies[len(latencies) // 2],
        1000 * latencies[len(latencies) * 99 // 100],
    )


def _who(case: Case, server: "Server", number: int) -> str:
    """The header that says who sends; each connection of the tracker is another visitor's."""
    if case.to == TRACKER:
        return f"Origin: {ORIGIN}\r\nX-Forwarded-For: 198.51.{number // 250}.{number % 250}"
    return f"Authorization: Bearer {server.key}"


def beside_pages(server: "Server", seconds: float, rounds: int) -> str:
    """What pages send beside what servers send, to one server, and at a thousand batches a second."""
    best: dict[Case, Result] = {}
    rates = [Case(events, count, to) for events in (1, 10) for count in (64, 256) for to in (NATIVE, TRACKER)]
    paced = [Case(events, 64, to, 1000) for events in (1, 10) for to in (NATIVE, TRACKER)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for case in (*rates, *paced):
            for _ in range(rounds):
                result = pool.apply(load, (server, case, seconds))
                slower = case in best and (
                    result.p99_ms > best[case].p99_ms if case.per_second else result.rate < best[case].rate
                )
                if not slower:
                    best[case] = result
    lines = [
        "| events a request | connections | | requests/s wanted | requests/s | p50 ms | p99 ms "
        "| tracker ÷ native |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for case, result in best.items():
        is_compared = case.to == TRACKER and not case.per_second
        ratio = f"{result.rate / best[replace(case, to=NATIVE)].rate:.2f}" if is_compared else ""
        lines.append(
            f"| {case.events} | {case.connections} | {case.to} | {case.per_second or 'all'} "
            f"| {result.rate:,.0f} | {result.p50_ms:.1f} | {result.p99_ms:.1f} | {ratio} |"
        )
    return "\n".join(lines)


def measure(
    servers: dict[str, "Server"], connections: Sequence[int], seconds: float, rounds: int
) -> list[tuple[Case, Result]]:
    """Every case, the best of `rounds`; what is compared takes turns."""
    best: dict[Case, Result] = {}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for events in (1, 100):
            for count in connections:
                for _ in range(rounds):
                    for to, server in servers.items():
                        case = Case(events, count, to)
                        result = pool.apply(load, (server, case, seconds))
                        if case not in best or result.rate > best[case].rate:
                            best[case] = result
    return list(best.items())


def table(results: list[tuple[Case, Result]], compared_with: str) -> str:
    """The results as a markdown table; the ratio is durable ÷ `compared_with`, of the same checkout."""
    rates = {case: result.rate for case, result in results}
    lines = [
        "| events a request | connections | | requests/s | events/s | p50 ms | p99 ms "
        f"| durable ÷ {compared_with} |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for case, result in results:
        ratio = ""
        if case.to.startswith(DURABLE):
            divisor = replace(case, to=case.to.replace(DURABLE, compared_with))
            ratio = f"{result.rate / rates[divisor]:.2f}"
        lines.append(
            f"| {case.events} | {case.connections} | {case.to} "
            f"| {result.rate:,.0f} | {result.rate * case.events:,.0f} "
            f"| {result.p50_ms:.1f} | {result.p99_ms:.1f} | {ratio} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Server:
    """A server in a process group of its own; `key` may write to its project or database `bench`."""

    address: tuple[str, int]
    key: str
    pid: int


@contextmanager
def ingest_server(
    landing: str = "",
    code: str = SERVE,
    checkout: Path | None = None,
    prepare: Callable[[LandingStore], None] | None = None,
) -> Iterator[Server]:
    """A server on an empty home, or on an empty PostgreSQL database; stopped at the end.

    It runs what is in `checkout`, by the environment in there, or this checkout's. `prepare` is given the
    landing store, in which the project `bench` is, before it starts.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = ("127.0.0.1", free_port())
        with closing(open_store(landing or Path(folder) / "landing.sqlite")) as store:
            key = create_key(store, "bench", ["ingest"])
            set_access(store, "bench", origins=[ORIGIN])
            if prepare is not None:
                prepare(store)
        environment = {
            **os.environ,
            "FUNNELHOUSE_HOME": folder,
            "FUNNELHOUSE_LANDING": landing,
            "FUNNELHOUSE_INGEST_PORT": str(address[1]),
            "FUNNELHOUSE_TRACKER_RATE_LIMIT": "off",
            "FUNNELHOUSE_TRUSTED_PROXIES": "127.0.0.1",
        }
        process = subprocess.Popen(
            [checkout / ".venv/bin/python" if checkout else sys.executable, "-c", code],
            cwd=checkout,
            env=environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until_answers(f"http://{address[0]}:{address[1]}/ingest/ready")
            yield Server(address, key, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@contextmanager
def datasette_server() -> Iterator[Server]:
    """Datasette in a temporary environment, with an empty table in a file in WAL mode; stopped at the end.

    It keeps SQLite's default of `synchronous=FULL`, so that its commits, too, wait for the disk.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "environment" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", DATASETTE], check=True)
        datasette = python.with_name("datasette")
        file = Path(folder) / "bench.db"
        database = apsw.Connection(str(file))
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"CREATE TABLE events ({', '.join(datasette_row(EVENT))})")
        database.close()
        create_token = [str(datasette), "create-token", "root", "--secret", SECRET]
        key = subprocess.check_output(create_token, text=True).strip()
        address = ("127.0.0.1", free_port())
        process = subprocess.Popen(
            [datasette, "serve", file, "--secret", SECRET, "--root", "--port", str(address[1])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until_answers(f"http://{address[0]}:{address[1]}/-/versions.json")
            yield Server(address, key, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def datasette_row(event: dict[str, Any]) -> dict[str, Any]:
    """An event as a row: one column per field, JSON as text."""
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in event.items()}


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_answers(url: str) -> None:
    """Return when a URL answers 200. Raises SystemExit after 30 seconds."""
    for _ in range(600):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"the server of {url} did not start")


def main() -> None:
    """Start the servers on empty homes, measure, print, stop them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run")
    parser.add_argument("--rounds", type=int, default=2, help="runs per case; the best counts")
    parser.add_argument("--beside", type=Path, help="another checkout, measured in turn with this one")
    parser.add_argument("--landing", default="", help="PostgreSQL URL of an empty database; default: SQLite")
    parser.add_argument(
        "--datasette", action="store_true", help="compare with datasette's insert API as well"
    )
    parser.add_argument("--tracker", action="store_true", help="only what pages send beside what servers do")
    options = parser.parse_args()
    if options.tracker:
        with ingest_server(options.landing) as server:
            print(beside_pages(server, options.seconds, options.rounds))
        return
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        checkouts = {"": None, BESIDE: options.beside.resolve()} if options.beside else {"": None}
        for suffix, checkout in checkouts.items():
            # Of PostgreSQL the server without commits has no need.
            without = ingest_server(code=SERVE_WITHOUT_COMMIT, checkout=checkout)
            servers[NO_COMMIT + suffix] = stack.enter_context(without)
            servers[DURABLE + suffix] = stack.enter_context(ingest_server(options.landing, checkout=checkout))
        print(table(measure(servers, (64, 256), options.seconds, options.rounds), NO_COMMIT))
    if options.datasette:
        with ingest_server(options.landing) as server, datasette_server() as datasette:
            both = {"datasette": datasette, "durable": server}
            print()
            print(table(measure(both, (64,), options.seconds, options.rounds), "datasette"))


if __name__ == "__main__":
    main()
