"""Web sites for a browser, over https: pages that a test writes, and behind them what takes their reports.

One socket answers for every host; Chromium is told to look for `*.test` there.
"""

import http.client
import json
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from funnelhouse.settings import CHECKOUT

BUILT = CHECKOUT / "tracker" / "built"
TAG = '<script defer src="/t/shop.js"></script>'
NO_LIMITS = {
    "FUNNELHOUSE_TRUSTED_PROXIES": "127.0.0.1",
    "FUNNELHOUSE_TRACKER_RATE_LIMIT": "1000000/minute",
}
"""All visitors have one address."""

Answer = tuple[int, dict[str, str], bytes]


def make_certificate(folder: Path) -> Path:
    """A certificate for any host below `.test`, and its key, in one file."""
    file = folder / "certificate.pem"
    key = folder / "key.pem"
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=shop.test -addext subjectAltName=DNS:*.test"
    subprocess.run(["openssl", *made.split(), "-keyout", key, "-out", file], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + key.read_bytes())
    return file


@dataclass
class Request:
    """What the browser asked for."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: bytes

    def batch(self) -> dict[str, Any]:
        batch: dict[str, Any] = json.loads(self.body)
        return batch


@dataclass
class Website:
    """Pages by host and path, the requests that were made, and what answers those for the tracker."""

    server: ThreadingHTTPServer
    pages: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    behind: Callable[[Request], Answer | None] | None = None
    """Answers what is no page; None drops the connection."""
    landed: Callable[[], list[dict[str, Any]]] = list
    """The rows of the pages' project, as ingest has landed them."""

    @property
    def port(self) -> int:
        port: int = self.server.server_address[1]
        return port

    def put(self, address: str, html: str, **headers: str) -> str:
        """A page at an address such as `shop.test/offer`; returns the address that a browser opens."""
        said = {"Content-Type": "text/html; charset=utf-8", **headers}
        self.pages[address] = (200, said, f"<!doctype html><title>page</title>{html}".encode())
        return self.address(address)

    def address(self, address: str) -> str:
        host, _, path = address.partition("/")
        return f"https://{host}:{self.port}/{path}"

    def reports(self, path: str = "/t/shop") -> list[dict[str, Any]]:
        """The batches that were posted, in the order of their arrival."""
        return [each.batch() for each in self.posted(path)]

    def posted(self, path: str) -> list[Request]:
        """What was posted to a path, whatever its query."""
        return [
            each for each in list(self.requests) if each.method == "POST" and urlsplit(each.path).path == path
        ]

    def events(self, path: str = "/t/shop") -> list[dict[str, Any]]:
        """Their events, each once."""
        events: dict[str, dict[str, Any]] = {}
        for batch in self.reports(path):
            for event in batch["events"]:
                first = events.setdefault(event["id"], event)
                same = {"t": 0, "url": ""}
                assert first | same == event | same, "sent again, and otherwise"
        return list(events.values())

    def views(self) -> list[dict[str, Any]]:
        """Those that are page views."""
        return [event for event in self.events() if event["type"] == "pageview"]

    def answer(self, request: Request) -> Answer | None:
        self.requests.append(request)
        page = self.pages.get(f"{request.host}{urlsplit(request.path).path}")
        if request.path == "/favicon.ico":
            return 204, {}, b""
        if page is not None and request.method in ("GET", "HEAD"):
            return page
        return self.behind(request) if self.behind else (404, {}, b"")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    website: Website

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        host = headers.get("host", "").partition(":")[0]
        answer = self.website.answer(Request(self.command, host, self.path, headers, body))
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        status, said, content = answer
        self.send_response(status)
        for name, value in said.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_HEAD = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a browser may open one and say nothing.
        request.settimeout(20)
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        except OSError:
            # The browser went away.
            pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that a test dropped is no error."""


def running_website(certificate: Path) -> Iterator[Website]:
    """A web site that answers until it is closed."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(certificate)
    website = Website(server)
    handler.website = website  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield website
    server.shutdown()
    server.server_close()


def proxied(url: str, project: str = "shop") -> Callable[[Request], Answer | None]:
    """What hands requests to an ingest server, as a proxy on the site's own host does; None without one.

    The pages' project is called `shop`; behind the proxy it is another one for each test.
    """
    target = urlsplit(url)

    def answer(request: Request) -> Answer | None:
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=2)
        path = re.sub(r"^/(t|c|pb)/shop\b", rf"/\1/{project}", request.path)
        try:
            headers = {**request.headers, "connection": "close", "x-forwarded-proto": "https"}
            connection.request(request.method, path, request.body or None, headers)
            response = connection.getresponse()
            content = response.read()
            drop = ("content-length", "transfer-encoding", "connection")
            said = {name: value for name, value in response.getheaders() if name.lower() not in drop}
            return response.status, said, content
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    return answer


def wait_until(holds: Callable[[], Any], seconds: float = 10) -> Any:
    """What `holds()` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)
    return found
