"""The tracker below a path of a site's own host, by the recipes of `deploy/`, each with its real proxy."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from proxies import client_of, make_certificate, nginx_around, program, wait_until_open
from servers import Server, free_port, start_ingest

from funnelhouse.settings import TRACKER_BUILT

DEPLOY = Path(__file__).parent.parent / "deploy"
HOST = "shop.example"
ORIGIN = f"https://{HOST}"
BATCH = {"v": 1, "events": [{"api": "oa", "type": "pageview", "vid": "v-1", "hit": "h-1"}]}


@dataclass
class Site:
    """A site whose proxy leads some of its paths to ingest."""

    ingest: Server
    client: Callable[..., httpx.Client]
    """At an address of this machine."""


def nginx(folder: Path, ingest: Server, port: int, certificate: Path, key: Path) -> list[str | Path]:
    """Its command, with the recipe in the site's server block."""
    snippet, site = folder / "snippet.conf", folder / "site.conf"
    snippet.write_text(_here((DEPLOY / "nginx-first-party.conf").read_text(), ingest))
    site.write_text(
        f"server {{ listen 127.0.0.1:{port} ssl; server_name {HOST}; ssl_certificate {certificate};"
        f" ssl_certificate_key {key}; include {snippet}; location / {{ return 200 'the shop'; }} }}"
    )
    return [program("nginx") or "", "-p", folder, "-c", nginx_around(folder, site)]


def caddy(folder: Path, ingest: Server, port: int, certificate: Path, key: Path) -> list[str | Path]:
    """Its command, with the recipe for a whole site."""
    root = folder / "shop"
    root.mkdir()
    (root / "index.html").write_text("the shop")
    text = _here((DEPLOY / "Caddyfile").read_text(), ingest)
    for written, here in (
        (f"\n{HOST} {{", f"\nhttps://{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}"),
        ("/var/www/shop", str(root)),
    ):
        assert written in text
        text = text.replace(written, here)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    return [program("caddy") or "", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]


def _here(text: str, ingest: Server) -> str:
    assert "127.0.0.1:8001" in text
    return text.replace("127.0.0.1:8001", f"127.0.0.1:{ingest.settings.ingest_port}")


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda proxy: proxy.__name__)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = request.param.__name__
    if program(name) is None or program("openssl") is None:
        # A developer's machine may have none; `.ci/run` installs both, and fails when a test is skipped.
        pytest.skip(f"needs {name} and openssl: apt-get install {name} openssl")
    folder = tmp_path_factory.mktemp(name)
    certificate, key = make_certificate(folder, HOST)
    limit = {"FUNNELHOUSE_TRUSTED_PROXIES": "127.0.0.1", "FUNNELHOUSE_TRACKER_RATE_LIMIT": "2/minute"}
    ingest = start_ingest(folder / "home", **limit)
    port = free_port()
    log = folder / "log"
    command = request.param(folder, ingest, port, certificate, key)
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            env={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    try:
        wait_until_open(port, certificate, HOST, log)
        ingest.key("shop")
        ingest.set_access("shop", origins=[ORIGIN])
        yield Site(ingest, lambda source="127.0.0.1": client_of(port, certificate, HOST, source))
    finally:
        process.terminate()
        process.wait(10)
        ingest.stop()


def test_the_site_stays_and_the_tracker_is_below_it(site: Site) -> None:
    with site.client() as client:
        assert client.get("/").text == "the shop"
        script = client.get("/t/shop.js", headers={"Accept-Encoding": "gzip"})
        assert script.status_code == 200
        assert script.headers["content-encoding"] == "gzip"
        assert script.text.startswith((TRACKER_BUILT / "tracker.js").read_text().rstrip())
        known = {"If-None-Match": script.headers["etag"], "Accept-Encoding": "gzip"}
        assert client.get("/t/shop.js", headers=known).status_code == 304
        assert client.get("/t.js").status_code == 200
        assert client.get("/c/shop/none").status_code == 404
        assert client.get("/t/none.js").status_code == 404


def test_the_visitors_cookie_is_the_sites_and_no_other_is_passed_on(site: Site) -> None:
    cookie = "fh_vid=v-1; Max-Age=34560000; Path=/; SameSite=Lax; Secure"
    with site.client("127.0.0.5") as client:
        first = client.post("/t/shop", headers={"Origin": ORIGIN}, json=BATCH)
        assert (first.status_code, first.headers["set-cookie"]) == (200, cookie)
    with site.client("127.0.0.6") as client:
        # What the request's own cookie says counts, beside whatever the site keeps in others.
        theirs = {"Origin": ORIGIN, "Cookie": "session=secret; fh_vid=v-2; fh_consent=granted."}
        assert "set-cookie" not in client.post("/t/shop", headers=theirs, json=BATCH).headers
        theirs["Cookie"] = "session=secret; fh_vid=v-1"
        assert client.post("/t/shop", headers=theirs, json=BATCH).headers["set-cookie"] == cookie


def test_visitors_are_told_apart_by_the_proxys_word_only(site: Site) -> None:
    forged = {"Origin": ORIGIN, "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.2"}
    statuses = []
    for source in ("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"):
        with site.client(source) as client:
            answer = client.post("/t/shop", headers=forged, json=BATCH)
            statuses.append(answer.status_code)
    assert statuses == [200, 200, 429, 200]
