"""SIGTERM: what was begun is answered, nothing new is taken, and the process ends in bounded time."""

import json
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from servers import SERVE_INGEST, Server, start_ingest

BODY = json.dumps({"event_type": "pageview", "properties": {"long": "x" * 5000}}).encode()


class Sender:
    """One keep-alive connection."""

    def __init__(self, server: Server, key: str) -> None:
        self._address = ("127.0.0.1", server.settings.ingest_port)
        self._head = (
            f"POST /v1/projects/stop/events HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n"
        ).encode()
        self.socket = socket.create_connection(self._address, timeout=20)

    def begin(self, missing: int = 0) -> None:
        """Send a request but for the last bytes of its body."""
        self.socket.sendall(self._head + BODY[: len(BODY) - missing])

    def finish(self, missing: int) -> None:
        """Send those."""
        self.socket.sendall(BODY[len(BODY) - missing :])

    def answer(self) -> bytes:
        """The next answer, read as one."""
        return self.socket.recv(65_536)

    def is_closed(self) -> bool:
        """Whether the server has closed the connection, with nothing more to say."""
        return self.socket.recv(1) == b""


def test_what_was_begun_is_answered_and_nothing_new_is_taken(tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home")
    try:
        key = server.key("stop", "ingest")
        idle, slow, *waiting = [Sender(server, key) for _ in range(6)]
        idle.begin()
        assert idle.answer().startswith(b"HTTP/1.1 202")
        slow.begin(missing=1000)
        with closing(server.store()) as store, store.transaction():
            # Nobody else can commit now.
            for sender in waiting:
                sender.begin()
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            assert idle.is_closed()
            time.sleep(0.2)
            with pytest.raises(ConnectionRefusedError):
                Sender(server, key)
            slow.finish(missing=1000)
            time.sleep(0.2)
            assert server.process.poll() is None
        for sender in [slow, *waiting]:
            answer = sender.answer()
            assert answer.startswith(b"HTTP/1.1 202")
            assert b"connection: close" in answer.lower()
            assert sender.is_closed()
        assert server.process.wait(10) == 0
    finally:
        server.stop(signal.SIGKILL)
    with closing(server.store()) as store:
        assert store.query("SELECT count(*) FROM events") == [(6,)]


def test_a_body_that_never_comes_delays_the_end_by_its_deadline_only(tmp_path: Path) -> None:
    code = f"from ingest_api import body; body.DEADLINE_SECONDS = 1; {SERVE_INGEST}"
    server = start_ingest(tmp_path / "home", code=code)
    try:
        stuck = Sender(server, server.key("stop", "ingest"))
        stuck.begin(missing=1000)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert stuck.answer().startswith(b"HTTP/1.1 408")
        assert server.process.wait(10) == 0
    finally:
        server.stop(signal.SIGKILL)


def test_a_landing_store_that_hangs_does_not_hold_up_the_end_for_ever(tmp_path: Path) -> None:
    code = f"from funnelhouse import serving; serving.STOP_SECONDS = 1; {SERVE_INGEST}"
    server = start_ingest(tmp_path / "home", code=code)
    try:
        sender = Sender(server, server.key("stop", "ingest"))
        with closing(server.store()) as store, store.transaction():
            sender.begin()
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(5) == 0
            # Unknown to the sender, like any answer that was lost.
            assert sender.is_closed()
    finally:
        server.stop(signal.SIGKILL)
