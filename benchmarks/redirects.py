"""Links: how fast they lead on with durable commits, beside postbacks, and while the disk does not answer.

Run it with `python -m benchmarks.redirects`; it prints markdown tables. Each server is one of its own with an
empty home, where nothing limits an address. Measured are:

- clicks at a steady rate, on a schedule that waits for no answer; a latency counts from the moment when its
  click was due, so that one that is held up is seen in those behind it, too;
- as many clicks as are answered, in turn with as many postbacks, all with their commits; the best round
  counts;
- clicks while every sync of the landing file waits, through a VFS of SQLite that holds it.

A click is one row; where its target is a page, it is two.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ingest import Server, ingest_server
from funnelhouse.access import set_access
from ingest_api.definitions.link import LINKS
from record.contract import Definition, row_values
from record.landing.store import LandingStore

CLICK, CLICK_AND_VIEW, POSTBACK = "click", "click and page view", "postback"

_QUERY = "vid=0197a0c4-5b1e-7c3d-9f00-1234567890ab&hit=0197a0c4-5b1e-7c3d-9f00-0987654321ba"
PATHS = {
    CLICK: f"/c/bench/plain?{_QUERY}&sid=0197a0c4-5b1e-7c3d-9f00-abcdefabcdef",
    CLICK_AND_VIEW: f"/c/bench/view?{_QUERY}&sid=0197a0c4-5b1e-7c3d-9f00-abcdefabcdef",
    POSTBACK: f"/pb/bench/?{_QUERY}&tx=t-1&rev=49.99",
}
_TARGETS: dict[str, dict[str, Any]] = {
    "plain": {"url": "https://offers.example/spring?sub={hit}"},
    "view": {"url": "https://offers.example/spring?sub={hit}", "page_id": "offer-1"},
}

HELD = """
import os, time
from pathlib import Path
import apsw

held = Path(os.environ["FUNNELHOUSE_BENCHMARK_HELD"])

class File(apsw.VFSFile):
    def __init__(self, name, flags):
        super().__init__("unix", name, flags)

    def xSync(self, flags):
        while held.exists():
            time.sleep(0.02)
        super().xSync(flags)

class Shim(apsw.VFS):
    def __init__(self):
        super().__init__("held", "unix", makedefault=True)

    def xOpen(self, name, flags):
        return File(name, flags)

shim = Shim()
from funnelhouse.settings import Settings
from ingest_api.server import serve
serve(Settings())
"""


@dataclass(frozen=True)
class Result:
    """Answers by status in `seconds`; latencies in milliseconds."""

    statuses: dict[int, int]
    seconds: float
    p50_ms: float
    p99_ms: float
    most_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return sum(self.statuses.values()) / self.seconds


class _Client(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def status(self, request: bytes) -> int:
        """Send a request; the status of its answer when that is complete."""
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        mark = self._buffer.find(b"content-length: ", 0, head)
        length = int(self._buffer[mark + 16 : self._buffer.find(b"\r\n", mark)]) if mark >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        status = int(self._buffer[9:12])
        self._buffer = b""
        assert self._answered is not None
        self._answered.set_result(status)


def load(server: Server, kind: str, seconds: float, connections: int, rate: float | None) -> Result:
    """Send requests of a kind for `seconds`: so many a second, or as many as are answered."""
    request = (
        f"GET {PATHS[kind]} HTTP/1.1\r\nHost: bench\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
        "Referer: https://shop.example/lander\r\n\r\n"
    ).encode()
    latencies: list[float] = []
    statuses: Counter[int] = Counter()

    async def timed(client: _Client, due: float) -> None:
        statuses[await client.status(request)] += 1
        latencies.append(time.perf_counter() - due)

    async def closed(client: _Client, end: float) -> None:
        while (now := time.perf_counter()) < end:
            await timed(client, now)

    async def open_loop(clients: list[_Client], start: float) -> None:
        assert rate is not None
        idle: asyncio.Queue[_Client] = asyncio.Queue()
        for client in clients:
            idle.put_nowait(client)
        under_way: set[asyncio.Task[None]] = set()

        async def send(due: float) -> None:
            client = await idle.get()
            await timed(client, due)
            idle.put_nowait(client)

        for number in range(int(rate * seconds)):
            due = start + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(send(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        clients = [(await loop.create_connection(_Client, *server.address))[1] for _ in range(connections)]
        start = time.perf_counter()
        if rate is None:
            await asyncio.gather(*(closed(client, start + seconds) for client in clients))
        else:
            await open_loop(clients, start)
        for client in clients:
            client.transport.close()
        return time.perf_counter() - start

    elapsed = asyncio.run(run())
    latencies.sort()
    return Result(
        dict(statuses),
        elapsed,
        1000 * latencies[len(latencies) // 2],
        1000 * latencies[len(latencies) * 99 // 100],
        1000 * latencies[-1],
    )


def prepare(store: LandingStore) -> None:
    """Define the links, and open the project to postbacks."""
    rows = []
    for key, target in _TARGETS.items():
        body = LINKS.stored(LINKS.shape.model_validate({"name": key, "page_id": "lander", "to": [target]}))
        definition = Definition(
            project_id="bench",
            kind="link",
            key=key,
            received_us=time.time_ns() // 1000,
            body=json.dumps(body),
        )
        rows.append(row_values(Definition)(definition))
    store.append([("definitions", rows)])
    set_access(store, "bench", postbacks="open")


def _line(name: str, result: Result) -> str:
    statuses = ", ".join(f"{count:,} of {status}" for status, count in sorted(result.statuses.items()))
    times = f"{result.p50_ms:.1f} | {result.p99_ms:.1f} | {result.most_ms:.1f}"
    return f"| {name} | {result.rate:,.0f} | {times} | {statuses} |"


HEAD = "| | requests/s | p50 ms | p99 ms | most ms | answers |\n|---|---:|---:|---:|---:|---|"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500, help="clicks a second of the steady load")
    parser.add_argument("--seconds", type=float, default=10, help="length of the steady load")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of as many as are answered")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--landing", default="", help="PostgreSQL URL of an empty database; default: SQLite")
    options = parser.parse_args()
    os.environ |= {"FUNNELHOUSE_LINK_RATE_LIMIT": "off", "FUNNELHOUSE_POSTBACK_RATE_LIMIT": "off"}
    with multiprocessing.get_context("spawn").Pool(1) as pool:

        def measured(server: Server, kind: str, seconds: float, rate: float | None) -> Result:
            return pool.apply(load, (server, kind, seconds, options.connections, rate))

        with ingest_server(options.landing, prepare=prepare) as server:
            measured(server, CLICK, 1, None)
            print(f"{options.rate:,.0f} clicks a second, on a schedule\n\n{HEAD}")
            for kind in (CLICK, CLICK_AND_VIEW):
                print(_line(kind, measured(server, kind, options.seconds, options.rate)))
            best: dict[str, Result] = {}
            for _ in range(options.rounds):
                for kind in PATHS:
                    result = measured(server, kind, 3, None)
                    if kind not in best or result.rate > best[kind].rate:
                        best[kind] = result
            print(f"\nAs many as are answered, {options.connections} connections\n\n{HEAD}")
            for kind, result in best.items():
                print(_line(kind, result))
            for kind in (CLICK, CLICK_AND_VIEW):
                print(f"\n{kind} ÷ {POSTBACK}: {best[kind].rate / best[POSTBACK].rate:.2f}")
        if options.landing:
            return
        with tempfile.TemporaryDirectory() as folder:
            held = Path(folder) / "held"
            os.environ["FUNNELHOUSE_BENCHMARK_HELD"] = str(held)
            with ingest_server(code=HELD, prepare=prepare) as server:
                measured(server, CLICK, 1, None)
                held.touch()
                print(f"\nWhile the disk does not answer, {options.rate / 10:,.0f} a second\n\n{HEAD}")
                print(_line(CLICK, measured(server, CLICK, 5, options.rate / 10)))
                held.unlink()


if __name__ == "__main__":
    main()
