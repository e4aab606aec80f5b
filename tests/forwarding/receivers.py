"""Real HTTP servers that receive what is forwarded, each with a book of what it took, and with faults.

A receiver listens on 127.0.0.1, at a port of its own, in threads of the test's process, from when it is
made until it is closed (`with Receiver() as receiver:`). For one that acts like a platform, derive from
`Receiver` and write `answer(request) -> Reply`: it checks the request as the real one would, books it and
answers. It is called under the receiver's lock, one request at a time. What is forwarded there needs
`receiver.place` in FUNNELHOUSE_FORWARD_ALLOW: `settings_for(receiver, …)` makes such settings.

Faults are replies too, given instead of what `answer` would say: `receiver.faults.append(Reply(503))` for the
next request only, `receiver.fault = Reply(503)` for all until it is None again. With `is_taken` the request
is booked first, and its sender hears the fault: that is how doubles come about. `SLOW`, `DRIPPING`, `CUT`,
`CUT_SHORT`, `BUSY`, `INSIDE` are examples; `dataclasses.replace` makes others of them. `receiver.requests`
has all that was heard, as it came.

With `certificate=authority.certificate("receiver.example")` it speaks TLS; `authority.trusted()` is the SSL
context of a client that trusts it.
"""

import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook, WebhookVerificationError

from funnelhouse.settings import Settings


@dataclass(frozen=True)
class Request:
    """What was heard. Names of headers in lower case; `target` is path and query as they came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the address; of equal ones the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer, and how it is given. `Content-Length` is added unless `headers` has it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0
    """Before its first byte."""
    drip_s: float = 0
    """Before each of its bytes."""
    cut_after: int | None = None
    """The connection ends after so many of its bytes."""
    is_taken: bool = False
    """As a fault: the request counts as received."""

    @classmethod
    def of(cls, status: int, value: Any, **headers: str) -> "Reply":
        """An answer in JSON."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})

    def raw(self) -> bytes:
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


SLOW = Reply(wait_s=60)
DRIPPING = Reply(body=b"x" * 1000, drip_s=0.2)
CUT = Reply(cut_after=0)
CUT_SHORT = Reply(body=b"x" * 1000, cut_after=100)
BUSY = Reply(429, headers={"Retry-After": "7"})
INSIDE = Reply(302, headers={"Location": "http://127.0.0.1:1/inside"})


class Receiver:
    """A server that takes everything."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, certificate: "Certificate | None" = None
    ) -> None:
        self.requests: list[Request] = []
        self.faults: deque[Reply] = deque()
        self.fault: Reply | None = None
        self.connections = 0
        self.asked_for: list[str | None] = []
        """Names that clients asked for in TLS."""
        self.lock = threading.RLock()
        self._closed = threading.Event()
        self._server = _Server(self, host, port, certificate.context() if certificate else None)
        self._scheme = "https" if certificate else "http"
        self._host = f"[{host}]" if ":" in host else host
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: Request) -> Reply:
        """What is said to a request that no fault is in the way of."""
        return Reply(body=b"ok")

    @property
    def place(self) -> str:
        """`host:port`, for FUNNELHOUSE_FORWARD_ALLOW."""
        return f"{self._host}:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self._scheme}://{self.place}"

    def close(self) -> None:
        """Stop listening; connections end, also those that wait for a slow answer."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def replied(self, request: Request) -> Reply:
        """Note a request, and what is said to it."""
        with self.lock:
            self.requests.append(request)
            fault = self.faults.popleft() if self.faults else self.fault
            if fault is None:
                return self.answer(request)
            if fault.is_taken:
                self.answer(request)
            return fault

    def waited(self, seconds: float) -> bool:
        """Wait; False as soon as the receiver is closed."""
        return not (seconds and self._closed.wait(seconds)) and not self._closed.is_set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, receiver: Receiver, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.receiver, self.context = receiver, context
        if context is not None:
            context.sni_callback = lambda _, name, __: receiver.asked_for.append(name)
        self.open: set[socket.socket] = set()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Without HTTPServer's question after the host's name: a resolver may take seconds to answer.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.receiver.connections += 1
        if self.context is not None:
            request.settimeout(30)
            request = self.context.wrap_socket(request, server_side=True)
        self.open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self.open.discard(request)
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not like the certificate, is no news."""

    def end_connections(self) -> None:
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver = self.server.receiver
        reply = receiver.replied(Request(self.command, self.path, headers, body))
        if not receiver.waited(reply.wait_s):
            self.close_connection = True
            return
        raw = reply.raw()[: reply.cut_after]
        step = 1 if reply.drip_s else len(raw)
        for start in range(0, len(raw), step or 1):
            if not receiver.waited(reply.drip_s):
                break
            self.wfile.write(raw[start : start + step])
        if reply.cut_after is not None or "close" in reply.headers.get("Connection", ""):
            self.close_connection = True

    do_POST = do_GET  # noqa: N815


class PostbackReceiver(Receiver):
    """A network's address for postbacks: `book` has the parameters of each, query and form together.

    With `key`, the parameter that tells repeats from news, an equal one is answered and not booked again.
    """

    def __init__(self, *, key: str | None = None, **options: Any) -> None:
        self.book: list[dict[str, str]] = []
        self._key, self._known = key, set[str]()
        super().__init__(**options)

    def answer(self, request: Request) -> Reply:
        said = dict(request.query)
        if request.headers.get("content-type") == "application/x-www-form-urlencoded":
            said |= {name: values[-1] for name, values in request.form.items()}
        elif request.headers.get("content-type") == "application/json":
            said |= request.json()
        if self._key is None or said[self._key] not in self._known:
            self._known.add(said.get(self._key or "", ""))
            self.book.append(said)
        return Reply(body=b"OK")


class WebhookReceiver(Receiver):
    """An endpoint as Standard Webhooks wants it: what `secret` did not sign is refused, repeats are known.

    `book` has the messages taken, by `webhook-id`, in order; `repeats` counts those that came again.
    `conversions` has the newest `data` of each conversion: one whose ordinal does not rise is refused.
    With `any_time` it takes messages of yesterday too, for senders whose clock a test sets.
    """

    def __init__(self, secret: str, *, any_time: bool = False, **options: Any) -> None:
        self.secret = secret
        self._any_time = any_time
        self.book: dict[str, Any] = {}
        self.conversions: dict[str, Any] = {}
        self.repeats = 0
        super().__init__(**options)

    def answer(self, request: Request) -> Reply:
        if request.method != "POST" or request.headers.get("content-type") != "application/json":
            return Reply(415)
        if len(request.body) > 20_000:
            return Reply(413)
        try:
            message = self._verified(request)
        except WebhookVerificationError as error:
            return Reply(401, str(error).encode())
        webhook_id = request.headers["webhook-id"]
        if webhook_id in self.book:
            self.repeats += 1
            return Reply(204)
        data = message["data"]
        if message["type"].startswith("conversion."):
            before = self.conversions.get(data["conversion_id"])
            if before is not None and before["ordinal"] >= data["ordinal"]:
                return Reply(409, b"out of order")
            self.conversions[data["conversion_id"]] = data
        self.book[webhook_id] = message
        return Reply(204)

    def _verified(self, request: Request) -> Any:
        webhook, headers = Webhook(self.secret), dict(request.headers)
        if self._any_time:
            then = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            signed = webhook.sign(headers["webhook-id"], then, request.body.decode())
            if signed not in headers["webhook-signature"].split(" "):
                raise WebhookVerificationError("no signature of ours")
            return request.json()
        return webhook.verify(request.body, headers)


@dataclass(frozen=True)
class Certificate:
    """Of a server, with its key, in files."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Authority:
    """A certificate authority of the tests' own, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority of tests")])
        made = self._builder(self._name, self._key.public_key(), timedelta(days=30))
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = made.sign(self._key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def trusted(self) -> ssl.SSLContext:
        """What a client uses that trusts nobody else."""
        return ssl.create_default_context(cadata=self.pem.decode())

    def certificate(self, *hosts: str, lasts: timedelta = timedelta(days=1)) -> Certificate:
        """For names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
        names = x509.SubjectAlternativeName([_general(host) for host in hosts])
        made = self._builder(subject, key.public_key(), lasts).add_extension(names, critical=False)
        stem = self.folder / f"{hosts[0].replace(':', '-')}-{len(list(self.folder.iterdir()))}"
        files = Certificate(stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key"))
        chain = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        files.chain.write_bytes(chain + self.pem)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _builder(self, subject: x509.Name, key: Any, lasts: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=min(now, now + lasts) - timedelta(days=1),
            not_valid_after=now + lasts,
        )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def allowing(*places: str, **values: Any) -> Settings:
    """Settings under which receivers at these places, `host:port`, may be told something."""
    return Settings.model_validate({"forward_allow": ",".join(places), **values})


def settings_for(*receivers: Receiver, **values: Any) -> Settings:
    """Settings under which receivers may be told something."""
    return allowing(*(receiver.place for receiver in receivers), **values)
