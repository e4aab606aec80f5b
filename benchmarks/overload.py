"""Memory of the ingest API at three times the load that it can sustain; prints a markdown table.

Run it with `python -m benchmarks.overload`. Each case first measures what is sustained (as many requests as
are answered, over 64 connections), then offers three times as much over 900 connections, on a schedule that
waits for no answer as long as a connection is free. Memory is the resident set of all processes of the server
together, sampled 20 times a second; pages that they share are counted in each.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.ingest import EVENT, Server, ingest_server

CONNECTIONS = 900
HELD_BACK = 1000
"""Bytes of each body that the slow case sends last."""


@dataclass(frozen=True)
class Load:
    """What is sent: a path, a body, and the requests per second that are offered; None: all that is answered.

    `hold_seconds`: the last bytes of each body are sent that much later.
    """

    path: str
    body: bytes
    connections: int
    rate: float | None = None
    hold_seconds: float = 0


class _Client(asyncio.Protocol):
    """One keep-alive connection; hands itself back when its request is answered."""

    def __init__(
        self, request: bytes, hold_seconds: float, idle: list["_Client"], answers: Counter[int]
    ) -> None:
        self._request = request
        self._hold_seconds = hold_seconds
        self._idle = idle
        self._answers = answers
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._idle.append(self)

    def send(self) -> None:
        """Send the request."""
        if self._hold_seconds:
            self.transport.write(self._request[:-HELD_BACK])
            asyncio.get_running_loop().call_later(
                self._hold_seconds, self.transport.write, self._request[-HELD_BACK:]
            )
        else:
            self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = self._buffer.lower().find(b"content-length: ") + 16
        length = int(self._buffer[mark : self._buffer.find(b"\r\n", mark)])
        if len(self._buffer) < head + 4 + length:
            return
        self._answers[int(self._buffer[9:12])] += 1
        self._buffer = b""
        if not self.transport.is_closing():
            self._idle.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)


def offer(address: tuple[str, int], key: str, load: Load, seconds: float) -> tuple[int, Counter[int], float]:
    """Offer a load for `seconds`, then wait for what is due: requests sent, answers by status, seconds."""
    request = (
        f"POST {load.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(load.body)}\r\n\r\n"
    ).encode() + load.body
    answers: Counter[int] = Counter()

    async def run() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        idle: list[_Client] = []
        opened = 0

        async def connect() -> None:
            nonlocal opened
            opened += 1
            await loop.create_connection(lambda: _Client(request, load.hold_seconds, idle, answers), *address)

        for _ in range(load.connections):
            await connect()
        start = time.perf_counter()
        sent = 0
        while (elapsed := time.perf_counter() - start) < seconds:
            due = float("inf") if load.rate is None else load.rate * elapsed - sent
            while due >= 1 and idle:
                idle.pop().send()
                sent += 1
                due -= 1
            await asyncio.sleep(0.002)
        while answers.total() < sent and time.perf_counter() - start < seconds + 30:
            await asyncio.sleep(0.01)
        return sent, time.perf_counter() - start

    sent, elapsed = asyncio.run(run())
    return sent, answers, elapsed


class _Peak:
    mb = 0.0


@contextmanager
def peak_memory(server: Server) -> Iterator[_Peak]:
    """Sample the resident memory of all processes of the server."""
    peak = _Peak()
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.05):
            peak.mb = max(peak.mb, resident_mb(server.pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def resident_mb(group: int) -> float:
    """Resident memory of all processes of a process group."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group:
                total += int((folder / "statm").read_text().split()[1])
        except (OSError, IndexError):
            continue  # It has ended.
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20


def cases() -> dict[str, tuple[str, bytes]]:
    """Path and body by name; the last two have the most bytes, and the most events, that a body may have."""
    events = "/v1/projects/bench/events"
    long = {**EVENT, "properties": {"note": "x" * 700}}
    call = {"type": "track", "userId": "u-1", "event": "seen", "properties": {"note": "x" * 110}}

    def dump(value: object) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    return {
        "1 event": (events, dump(EVENT)),
        "100 events": (events, dump([EVENT] * 100)),
        "1,000 events, 1 MB": (events, dump([long] * 1000)),
        "5,000 Segment calls, 1 MB": ("/v1/batch", dump({"batch": [call] * 5000})),
    }


def main() -> None:
    """Measure each case on a server of its own and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one overload")
    parser.add_argument("--landing", default="", help="PostgreSQL URL of an empty database; default: SQLite")
    options = parser.parse_args()
    print("| a request | sustained/s | offered/s | acknowledged/s | 503/s | other answers | none | peak MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, (path, body) in cases().items():
        for hold_seconds in (0.0, 3.0) if len(body) > 500_000 else (0.0,):
            shown = f"{name}, slowly" if hold_seconds else name
            print(measure(shown, Load(path, body, 64), hold_seconds, options), flush=True)


def measure(name: str, closed: Load, hold_seconds: float, options: argparse.Namespace) -> str:
    """What is sustained, then the overload; a row of the table."""
    with ingest_server(options.landing) as server, multiprocessing.get_context("spawn").Pool(1) as pool:
        _, answers, seconds = pool.apply(offer, (server.address, server.key, closed, 4.0))
        sustained = (answers[200] + answers[202]) / seconds
        overload = replace(closed, connections=CONNECTIONS, rate=3 * sustained)
        if hold_seconds:
            # All connections at once, each kept waiting.
            overload = replace(overload, rate=None, hold_seconds=hold_seconds)
        with peak_memory(server) as peak:
            sent, answers, seconds = pool.apply(
                offer, (server.address, server.key, overload, options.seconds)
            )
    good = answers.pop(200, 0) + answers.pop(202, 0)
    unavailable = answers.pop(503, 0)
    unanswered = sent - good - unavailable - answers.total()
    return (
        f"| {name} | {sustained:,.0f} | {sent / options.seconds:,.0f} | {good / seconds:,.0f} "
        f"| {unavailable / seconds:,.0f} | {answers.total()} | {unanswered} | {peak.mb:,.0f} |"
    )


if __name__ == "__main__":
    main()
