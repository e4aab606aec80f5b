"""The proxy of `deploy/nginx.conf`, tried: both APIs behind one host, clients told apart and bounded."""

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from proxies import client_of, connect, make_certificate, nginx_around, program, wait_until_open
from servers import Server, free_port, start_ingest, start_read

CONFIGURATION = Path(__file__).parent.parent / "deploy" / "nginx.conf"
HOST = "analytics.shop.example"
PAGE_VIEW = b'{"event_type":"pageview"}'


@dataclass
class Proxy:
    """nginx in front of both APIs."""

    port: int
    certificate: Path
    ingest: Server

    def connect(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection, from an address of this machine."""
        return connect(self.port, self.certificate, HOST, source)

    def client(self, source: str = "127.0.0.1") -> httpx.Client:
        """A client at an address of this machine."""
        return client_of(self.port, self.certificate, HOST, source)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    nginx = program("nginx")
    if nginx is None or program("openssl") is None:
        # A developer's machine may have none; `.ci/run` installs both, and fails when a test is skipped.
        pytest.skip("needs nginx and openssl: apt-get install nginx openssl")
    folder = tmp_path_factory.mktemp("nginx")
    certificate, key = make_certificate(folder, HOST)
    believed = {"FUNNELHOUSE_TRUSTED_PROXIES": "127.0.0.1", "FUNNELHOUSE_POSTBACK_RATE_LIMIT": "2/minute"}
    ingest = start_ingest(folder / "home", **believed)
    read = start_read(folder / "home", **believed)
    port = free_port()
    text = CONFIGURATION.read_text()
    for written, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8001", f"127.0.0.1:{ingest.settings.ingest_port}"),
        ("127.0.0.1:8002", f"127.0.0.1:{read.settings.read_port}"),
        (f"/etc/ssl/certs/{HOST}.pem", str(certificate)),
        (f"/etc/ssl/private/{HOST}.key", str(key)),
        # As long as the patience of a test.
        ("_timeout 10s", "_timeout 1s"),
    ):
        assert written in text
        text = text.replace(written, here)
    (folder / "funnelhouse.conf").write_text(text)
    whole = nginx_around(folder, folder / "funnelhouse.conf")
    process = subprocess.Popen(
        [nginx, "-p", folder, "-c", whole], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until_open(port, certificate, HOST, folder / "error.log")
        yield Proxy(port, certificate, ingest)
    finally:
        process.terminate()
        process.wait(10)
        ingest.stop()
        read.stop()


def test_both_apis_are_behind_one_host(proxy: Proxy) -> None:
    key = proxy.ingest.key("shop")
    headers = {"Authorization": f"Bearer {key}"}
    with proxy.client() as client:
        sent = client.post("/v1/projects/shop/events", headers=headers, content=PAGE_VIEW)
        assert sent.status_code == 202
        # An id with slashes stays one.
        event = b'{"event_type":"pageview","event_id":"a//reports/b"}'
        assert client.post("/v1/projects/shop/events", headers=headers, content=event).status_code == 202
        for path in ("/v1/projects/shop/events/a//reports/b", "/v1/projects/shop/events/a%2F%2Freports%2Fb"):
            assert client.get(path, headers=headers).json()["event_id"] == "a//reports/b"
        assert client.get("/ingest/ready").status_code == 200
        assert client.get("/read/live").json() == {"status": "live"}
        assert client.get("/v1/funnel").json() == {"status": "error", "message": "Unauthenticated"}
        # No build is published: the read API says so itself.
        for path in ("/v1/projects/shop/reports/summary", "/v1/projects/shop/marts", "/api/report/funnel"):
            assert client.get(path, headers=headers).status_code in (400, 503)
        assert "Set-Cookie" in client.get("/app/sign-in", follow_redirects=True).headers
        for path in ("/ingest/metrics", "/read/metrics/"):
            assert client.get(path).status_code == 404
        assert client.post("/v1/batch", content=b" " * 1_048_577).status_code == 413


def test_clients_are_told_apart_by_the_proxys_word_only(proxy: Proxy) -> None:
    proxy.ingest.set_postbacks("shop", "open")
    forged = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.2"}
    statuses = []
    for source in ("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"):
        with proxy.client(source) as client:
            statuses.append(client.get("/pb/shop/?hit=h", headers=forged).status_code)
    assert statuses == [200, 200, 429, 200]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/batch HTTP/1.1\r\nX-A: ",
        b"POST /v1/batch HTTP/1.1\r\nHost: analytics.shop.example\r\nContent-Length: 1000\r\n\r\n[",
    ],
    ids=["half a header", "half a body"],
)
def test_who_stops_sending_is_cut(proxy: Proxy, sent: bytes) -> None:
    with proxy.connect() as client:
        client.sendall(sent)
        client.settimeout(15)
        try:
            while client.recv(65_536):
                pass
        except ConnectionResetError:
            pass


def test_one_address_has_its_share_of_connections(proxy: Proxy) -> None:
    key = proxy.ingest.key("shop")
    stream = f"GET /v1/projects/shop/events/stream HTTP/1.1\r\nHost: {HOST}\r\nx-api-key: {key}\r\n\r\n"
    clients = []
    for _ in range(100):
        clients.append(proxy.connect("127.0.0.4"))
        clients[-1].sendall(stream.encode())
        assert clients[-1].recv(1000).startswith(b"HTTP/1.1 200")
    with proxy.client("127.0.0.4") as refused, proxy.client("127.0.0.5") as other:
        assert refused.get("/ingest/live").status_code == 429
        assert other.get("/ingest/live").status_code == 200
    for client in clients:
        client.close()
