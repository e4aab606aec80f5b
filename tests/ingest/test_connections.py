"""Connections that anybody can open are bounded per address; who shows a key is let in all the same."""

import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from servers import Server, start_ingest

from funnelhouse.connections import MAX_CONNECTIONS, MAX_PER_ADDRESS

HALF_A_HEADER = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-A: "
HALF_A_BODY = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n["
UNREAD_ANSWER = b"GET /ingest/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"

EVENTS = "/v1/projects/victim/events"
PAGE_VIEW = b'{"event_type":"pageview"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_ingest(tmp_path_factory.mktemp("home"))
    yield server
    assert server.stop() == 0


@pytest.fixture
def enough_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(server: Server, source: str = "127.0.0.2") -> socket.socket:
    """A connection from another address of this machine."""
    address = ("127.0.0.1", server.settings.ingest_port)
    client = socket.create_connection(address, timeout=20, source_address=(source, 0))
    # What is not read stays in the server's hands soon.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


def is_open(client: socket.socket) -> bool:
    """Whether the server still has the connection."""
    client.setblocking(False)
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@pytest.mark.long
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HALF_A_HEADER, id="half a header"),
        pytest.param(HALF_A_BODY, id="half a body"),
    ],
)
def test_an_address_that_shows_no_key_has_a_share_of_connections(server: Server, sent: bytes) -> None:
    key = server.key("victim", "ingest")
    clients = []
    for _ in range(3 * MAX_PER_ADDRESS):
        clients.append(connect(server))
        clients[-1].sendall(sent)
    # Others, also at the same address, come after them and are answered.
    for source in ("127.0.0.1", "127.0.0.2"):
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source)) as client:
            headers = {"x-api-key": key}
            assert client.post(server.url + EVENTS, headers=headers, content=PAGE_VIEW).status_code == 202
    deadline = time.monotonic() + 8
    while (left := sum(map(is_open, clients))) > MAX_PER_ADDRESS and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left <= MAX_PER_ADDRESS
    for client in clients:
        client.close()


def test_connections_on_which_a_key_was_shown_are_kept(server: Server) -> None:
    key = server.key("keeping", "ingest")
    head = f"POST /v1/projects/keeping/events HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\n"
    request = f"{head}Content-Length: {len(PAGE_VIEW)}\r\n\r\n".encode() + PAGE_VIEW
    clients = []
    for _ in range(2 * MAX_PER_ADDRESS):
        clients.append(connect(server))
        clients[-1].sendall(request)
    for client in clients:
        assert client.recv(65_536).startswith(b"HTTP/1.1 202")
    time.sleep(1.5)
    for client in clients:
        client.sendall(request)
        assert client.recv(65_536).startswith(b"HTTP/1.1 202")
    for client in clients:
        client.close()


@pytest.mark.long
def test_answers_that_nobody_reads_do_not_hold_their_connections(server: Server) -> None:
    clients = []
    for _ in range(2 * MAX_PER_ADDRESS):
        clients.append(connect(server))
        clients[-1].sendall(UNREAD_ANSWER)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = httpx.get(server.url + "/ingest/metrics").text
        (files,) = (line for line in text.splitlines() if line.startswith("process_open_fds"))
        if float(files.split()[1]) < MAX_PER_ADDRESS + 100:
            break
        time.sleep(0.2)
    else:
        raise AssertionError("more connections are open than an address may have")
    for client in clients:
        client.close()


@pytest.mark.usefixtures("enough_files")
def test_one_project_does_not_get_all_connections(tmp_path: Path) -> None:
    server = start_ingest(tmp_path / "home")
    evil, victim = server.key("evil", "ingest"), server.key("victim", "ingest")
    head = f"POST /v1/projects/evil/events HTTP/1.1\r\nHost: x\r\nx-api-key: {evil}\r\n"
    clients = []
    try:
        for _ in range(MAX_CONNECTIONS + 100):
            clients.append(connect(server))
            clients[-1].sendall(f"{head}Content-Length: 1000\r\n\r\n[".encode())
        for _ in range(3):
            answer = httpx.post(
                server.url + EVENTS, headers={"x-api-key": victim}, content=PAGE_VIEW, timeout=20
            )
            assert answer.status_code == 202
        deadline = time.monotonic() + 8
        while (left := sum(map(is_open, clients))) > 0.6 * MAX_CONNECTIONS and time.monotonic() < deadline:
            time.sleep(0.2)
        assert left <= 0.6 * MAX_CONNECTIONS
    finally:
        for client in clients:
            client.close()
        server.stop()
