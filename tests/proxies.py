"""Proxies for tests: where they are, a certificate for them, and until when to wait."""

import socket
import ssl
import subprocess
import time
from pathlib import Path
from shutil import which

import httpx


def program(name: str) -> str | None:
    """Where a server's program is; Debian keeps some where users don't look."""
    return which(name) or which(name, path="/usr/sbin")


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate of a host that signs itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={host} -addext subjectAltName=DNS:{host}"
    subprocess.run(
        ["openssl", *made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    return certificate, key


def nginx_around(folder: Path, configuration: Path) -> Path:
    """A configuration of nginx that includes one of `conf.d`, and writes nowhere but to the folder."""
    kept = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi"))
    kept += "".join(f"{name}_temp_path {folder}/{name};" for name in ("uwsgi", "scgi"))
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;"
        f"events {{ worker_connections 1024; }} http {{ {kept} include {configuration}; }}"
    )
    return whole


def connect(port: int, certificate: Path, host: str, source: str = "127.0.0.1") -> ssl.SSLSocket:
    """A connection to a host of this machine, from an address of it."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    return ssl.create_default_context(cafile=certificate).wrap_socket(plain, server_hostname=host)


def client_of(port: int, certificate: Path, host: str, source: str = "127.0.0.1") -> httpx.Client:
    """A client of a host of this machine, at an address of it."""
    context = ssl.create_default_context(cafile=certificate)
    return httpx.Client(
        base_url=f"https://{host}:{port}",
        transport=_AtHome(httpx.HTTPTransport(verify=context, local_address=source), host),
        timeout=20,
    )


class _AtHome(httpx.BaseTransport):
    """Finds a host on this machine."""

    def __init__(self, transport: httpx.HTTPTransport, host: str) -> None:
        self._transport = transport
        self._host = host

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Host"] = self._host
        request.extensions["sni_hostname"] = self._host
        request.url = request.url.copy_with(host="127.0.0.1")
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


def wait_until_open(port: int, certificate: Path, host: str, log: Path) -> None:
    """Until a proxy takes connections; fails with what it logged."""
    deadline = time.monotonic() + 20
    while True:
        try:
            connect(port, certificate, host).close()
            return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
