"""What waits is bounded in bytes: beyond it 503 with Retry-After, and all that was taken is acknowledged."""

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import httpx
from servers import SERVE_INGEST, start_ingest

EVENTS = "/v1/projects/full/events"


def body(event_id: int, length: int = 1000) -> bytes:
    start = b'{"event_type": "pageview", "event_id": "%d", "note": "' % event_id
    return start + b"x" * (length - len(start) - 2) + b'"}'


def test_beyond_the_bounded_queue_is_503_and_what_waits_is_acknowledged(tmp_path: Path) -> None:
    # Twenty rows and what they take.
    limit = 20 * (1000 + 1024)
    code = f"from ingest_api import group_commit; group_commit.MAX_WAITING_BYTES = {limit}; {SERVE_INGEST}"
    server = start_ingest(tmp_path / "home", code=code)
    headers = {"x-api-key": server.key("full", "ingest")}

    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as client:
            with closing(server.store()) as store, store.transaction():
                # Nobody else can commit now.
                requests = [
                    asyncio.ensure_future(client.post(EVENTS, content=body(number))) for number in range(50)
                ]
                while sum(request.done() for request in requests) < 30:
                    await asyncio.sleep(0.01)
            return await asyncio.gather(*requests)

    try:
        answers = asyncio.run(run())
        refused = [answer for answer in answers if answer.status_code == 503]
        assert len(refused) == 30
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        acknowledged = {answer.headers["funnelhouse-event-id"] for answer in answers if answer not in refused}
        with closing(server.store()) as store:
            assert {row[0] for row in store.query("SELECT event_id FROM events")} == acknowledged
        assert len(acknowledged) == 20
    finally:
        assert server.stop() == 0


def test_bodies_that_are_still_coming_are_bounded_together(tmp_path: Path) -> None:
    code = f"from ingest_api import holding; holding.MAX_HELD_BYTES = 100_000; {SERVE_INGEST}"
    server = start_ingest(tmp_path / "home", code=code)
    key = server.key("full", "ingest")

    def begin(event_id: int) -> socket.socket:
        """Send all of a body of 40 kB but its last byte."""
        head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: 40000\r\n\r\n"
        sender = socket.create_connection(("127.0.0.1", server.settings.ingest_port), timeout=20)
        sender.sendall(head.encode() + body(event_id, 40_000)[:-1])
        return sender

    try:
        taken = [begin(1), begin(2)]
        while httpx.post(server.url + EVENTS, headers={"x-api-key": key}, content=body(0, 30_000)).is_success:
            pass  # Until both are there.
        refused = begin(3).recv(65_536)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        for sender in taken:
            sender.sendall(b"}")
            assert sender.recv(65_536).startswith(b"HTTP/1.1 202")
        # Their room is free again.
        last = begin(4)
        last.sendall(b"}")
        assert last.recv(65_536).startswith(b"HTTP/1.1 202")
    finally:
        assert server.stop() == 0
