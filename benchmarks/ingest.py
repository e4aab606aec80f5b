"""Durable throughput of the ingest API against the same requests with dry run; prints a markdown table.

Run it with `python -m benchmarks.ingest`. The server and the load generator are processes of their own on the
same machine. Each case runs for a few seconds, durable and dry in turn, so that both meet the same machine.
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
from dataclasses import dataclass
from pathlib import Path

import httpx

from funnelhouse.keys import create_key
from funnelhouse.landing import open_store

EVENT = {
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

SERVE = "from funnelhouse.settings import Settings; from ingest_api.server import serve; serve(Settings())"


@dataclass(frozen=True)
class Case:
    """What is sent: events per request, connections, and whether it is a dry run."""

    events: int
    connections: int
    is_dry: bool


@dataclass(frozen=True)
class Result:
    """Answers in `seconds`; latencies in milliseconds. Any answer but 202 ends the run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class _Client(asyncio.Protocol):
    """One keep-alive connection that sends its request again as soon as it is answered."""

    def __init__(self, request: bytes, deadline: float, latencies: list[float]) -> None:
        self._request = request
        self._deadline = deadline
        self._latencies = latencies
        self._buffer = b""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = self._buffer.find(b"content-length: ") + 16
        length = int(self._buffer[mark : self._buffer.find(b"\r\n", mark)])
        if len(self._buffer) < head + 4 + length:
            return
        if not self._buffer.startswith(b"HTTP/1.1 202"):
            self.finished.set_exception(RuntimeError(self._buffer.decode()))
            self._transport.close()
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        self._buffer = b""
        if now < self._deadline:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


def load(address: tuple[str, int], key: str, case: Case, seconds: float) -> Result:
    """Send one case's requests for `seconds`, in this process."""
    # Compact, as JavaScript and most clients write it.
    body = json.dumps([EVENT] * case.events if case.events > 1 else EVENT, separators=(",", ":")).encode()
    dry = "Funnelhouse-Dry-Run: 1\r\n" if case.is_dry else ""
    request = (
        f"POST /v1/projects/bench/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"{dry}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    latencies: list[float] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        clients = [
            (await loop.create_connection(lambda: _Client(request, start + seconds, latencies), *address))[1]
            for _ in range(case.connections)
        ]
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


def measure(address: tuple[str, int], key: str, seconds: float, rounds: int) -> list[tuple[Case, Result]]:
    """Every case, the best of `rounds`; durable and dry run alternate."""
    best: dict[Case, Result] = {}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for events in (1, 100):
            for connections in (64, 256):
                for _ in range(rounds):
                    for is_dry in (True, False):
                        case = Case(events, connections, is_dry)
                        result = pool.apply(load, (address, key, case, seconds))
                        if case not in best or result.rate > best[case].rate:
                            best[case] = result
    return list(best.items())


def table(results: list[tuple[Case, Result]]) -> str:
    """The results as a markdown table; the ratio is durable ÷ dry run of the same case."""
    dry = {(case.events, case.connections): result.rate for case, result in results if case.is_dry}
    lines = [
        "| events a request | connections | | requests/s | events/s | p50 ms | p99 ms | durable ÷ dry run |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for case, result in results:
        ratio = "" if case.is_dry else f"{result.rate / dry[case.events, case.connections]:.2f}"
        lines.append(
            f"| {case.events} | {case.connections} | {'dry run' if case.is_dry else 'durable'} "
            f"| {result.rate:,.0f} | {result.rate * case.events:,.0f} "
            f"| {result.p50_ms:.1f} | {result.p99_ms:.1f} | {ratio} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Start a server on an empty home, measure, print, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run")
    parser.add_argument("--rounds", type=int, default=2, help="runs per case; the best counts")
    parser.add_argument("--landing", default="", help="PostgreSQL URL of an empty database; default: SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", probe.getsockname()[1])
        probe.close()
        landing = open_store(options.landing or Path(folder) / "landing.sqlite")
        key = create_key(landing, "bench", ["ingest"])
        environment = {
            **os.environ,
            "FUNNELHOUSE_HOME": folder,
            "FUNNELHOUSE_LANDING": options.landing,
            "FUNNELHOUSE_INGEST_PORT": str(address[1]),
        }
        server = subprocess.Popen([sys.executable, "-c", SERVE], env=environment, stdout=subprocess.DEVNULL)
        try:
            _wait_until_ready(address)
            results = measure(address, key, options.seconds, options.rounds)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        landed = landing.query("SELECT count(*) FROM events")[0][0]
    print(table(results))
    print(f"\n{landed:,} events are in the landing store.")


def _wait_until_ready(address: tuple[str, int]) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"http://{address[0]}:{address[1]}/ingest/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit("the ingest server did not start")


if __name__ == "__main__":
    main()
