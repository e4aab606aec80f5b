"""Who may call from where and how often: rate limits, addresses behind proxies, hosts, countries, CORS."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fastapi import Request
from servers import Server, start_ingest

from command_line.cli import main
from funnelhouse.access import CACHE_SECONDS, AccessRules, ProjectAccess, host_name, read_access, set_access
from funnelhouse.counters import Counters
from funnelhouse.keys import create_key
from funnelhouse.proxies import TrustedProxies
from funnelhouse.settings import Settings
from record.landing import Location, open_store

PAGE_VIEW = b'{"event_type":"pageview"}'
SHOP = "https://shop.example"

PATHS = [
    "/v1/projects/{project}/events",
    "/v1/projects/{project}/conversions",
    "/v1/conversions",
    "/v2/conversions",
    "/v2/conversions/bulk",
    "/v1/analytics/report-conversion",
    "/v1/batch",
    "/v1/track",
    "/v1/projects/{project}/costs",
    "/v1/projects/{project}/exchange-rates",
    "/pb/{project}",
]


def row_count(server: Server, project: str) -> int:
    with closing(server.store()) as store:
        tables = ("events", "rejected", "costs", "definitions")
        found = [
            store.query(f"SELECT count(*) FROM {table} WHERE project_id = ?", project) for table in tables
        ]
    return sum(rows[0][0] for rows in found)


# The command line


@pytest.fixture
def command_line(location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Commands on an empty store of each kind, which has the projects one and two."""
    is_url = isinstance(location, str)
    monkeypatch.setenv("FUNNELHOUSE_HOME", str(tmp_path if is_url else location.parent))
    monkeypatch.setenv("FUNNELHOUSE_LANDING", location if is_url else "")
    with closing(open_store(Settings().landing_store)) as store:
        for project in ("one", "two"):
            create_key(store, project, ["ingest"])
    return CliRunner()


def run(command_line: CliRunner, *arguments: str, exit_code: int = 0) -> str:
    result = command_line.invoke(main, ["projects", *arguments])
    assert result.exit_code == exit_code, result.output
    return result.output


def test_each_option_changes_what_it_names(command_line: CliRunner) -> None:
    nothing = "postbacks:  off\nhost:       off\norigins:    off\nrate-limit: off\n"
    assert run(command_line, "show", "one") == nothing
    address = run(command_line, "set", "one", "--postbacks", "secret")
    printed = [
        run(command_line, "set", "one", "--host", "PB.shop.example."),
        run(command_line, "set", "one", "--origins", "https://Shop.example:443, http://localhost:3000"),
        run(command_line, "set", "one", "--rate-limit", "1000/minute"),
    ]
    assert printed == ["", "", ""]
    assert run(command_line, "list") == (
        "one  postbacks secret  host pb.shop.example  origins https://shop.example,http://localhost:3000  "
        "rate-limit 1000/minute\ntwo  postbacks off  host off  origins off  rate-limit off\n"
    )
    secret = address.split("/")[5]
    with closing(open_store(Settings().landing_store)) as store:
        assert AccessRules(store).postback_project("one", secret, "") == "one"
    off = ["--postbacks", "off", "--host", "off", "--origins", "off", "--rate-limit", "off"]
    assert run(command_line, "set", "one", *off) == ""
    assert run(command_line, "show", "one") == nothing


def test_what_is_refused_names_the_fix_and_changes_nothing(command_line: CliRunner) -> None:
    run(command_line, "set", "one", "--host", "pb.shop.example")
    for wrong, fix in (
        (["--origins", "shop.example"], "must be scheme://host[:port]"),
        (["--origins", "https://shop.example/"], "without path or slash at the end"),
        (["--origins", "*"], "no wildcards"),
        (["--origins", "https://shop.example,"], "must be scheme://host[:port]"),
        (["--origins", "https://shop.example https://b.example"], "must be scheme://host[:port]"),
        (["--rate-limit", "1000"], "such as 1000/minute, or off"),
        (["--rate-limit", "0/minute"], "such as 1000/minute, or off"),
        (["--rate-limit", "10/fortnight"], "such as 1000/minute, or off"),
        (["--host", "https://pb.shop.example"], "bare host name"),
        (["--host", "pb.shop.example:8001"], "bare host name"),
        (["--host", "PB.shop.example"], "one has it; `funnelhouse projects set one --host off`"),
    ):
        assert fix in run(command_line, "set", "two", "--postbacks", "open", *wrong, exit_code=1)
    assert "two  postbacks off  host off  origins off  rate-limit off" in run(command_line, "list")
    assert "at least one of" in run(command_line, "set", "two", exit_code=2)
    for command in (["set", "three", "--rate-limit", "off"], ["show", "three"]):
        assert "unknown project" in run(command_line, *command, exit_code=1)


def test_postbacks_of_an_older_store_stay_as_they_were(location: Location) -> None:
    with closing(open_store(location)) as store:
        create_key(store, "shop", ["ingest"])
        store.execute("DROP TABLE project_access")
        store.execute("CREATE TABLE postbacks (project_id text PRIMARY KEY, mode text, secret_hash text)")
        store.execute("INSERT INTO postbacks VALUES ('shop', 'secret', 'hash')")
    with closing(open_store(location)) as store:
        assert read_access(store) == {"shop": ProjectAccess("secret", "hash")}
        set_access(store, "shop", rate_limit="1/day")
    with closing(open_store(location)) as store:
        assert read_access(store) == {"shop": ProjectAccess("secret", "hash", rate_limit="1/day")}


@pytest.fixture(scope="module")
def server(ingest_server: Server) -> Iterator[Server]:
    """The server with a project per kind of access; `closed` has none."""
    rules: dict[str, dict[str, Any]] = {
        "limited": {"rate_limit": "3/minute"},
        "windowed": {"rate_limit": "1/second"},
        "shaped": {"rate_limit": "1/day", "postbacks": "open"},
        "pages": {"origins": [SHOP, "http://localhost:3000"]},
    }
    for project in (*rules, "closed"):
        ingest_server.key(project)
    with closing(ingest_server.store()) as store:
        for project, options in rules.items():
            set_access(store, project, **options)
        time.sleep(CACHE_SECONDS)
        yield ingest_server
        # Other tests use the one open project of the server.
        set_access(store, "shaped", postbacks="off")


# Rate limits


def test_requests_beyond_the_limit_wait_for_the_window_and_leave_nothing(server: Server) -> None:
    headers = {"x-api-key": server.key("limited")}
    url = f"{server.url}/v1/projects/limited/events"
    batch = b"[" + b",".join([PAGE_VIEW] * 10) + b"]"
    answers = [httpx.post(url, headers=headers, content=content) for content in (batch, b"{", PAGE_VIEW)]
    assert [answer.status_code for answer in answers] == [202, 400, 202]
    for left, answer in zip((2, 1, 0), answers, strict=True):
        assert answer.headers["ratelimit-policy"] == '"project";q=3;w=60'
        assert re.fullmatch(rf'"project";r={left};t=(60|5\d)', answer.headers["ratelimit"])
    landed = row_count(server, "limited")
    refused = httpx.post(url, headers=headers, content=PAGE_VIEW)
    malformed = httpx.post(url, headers=headers, content=b"{")
    assert (refused.status_code, malformed.status_code) == (429, 429)
    assert refused.headers["ratelimit"] == f'"project";r=0;t={refused.headers["retry-after"]}'
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["title"] == "Too many requests"
    paths = httpx.get(f"{server.url}/ingest/openapi.json").json()["paths"]
    described = paths["/v1/projects/{project_id}/events"]["post"]["responses"]["429"]["content"]
    (example,) = described["application/problem+json"]["examples"].values()
    number = re.compile(r"\d+")
    assert number.sub("1", refused.json()["detail"]) == number.sub("1", example["value"]["detail"])
    assert row_count(server, "limited") == landed
    # Who is not let in is not counted, and is told nothing of the limit.
    stranger = httpx.post(url, headers={"x-api-key": "wrong"}, content=PAGE_VIEW)
    assert (stranger.status_code, "ratelimit" in stranger.headers) == (401, False)
    server.set_access("limited", rate_limit="off")
    free = httpx.post(url, headers=headers, content=PAGE_VIEW)
    assert (free.status_code, "ratelimit" in free.headers) == (202, False)


def test_a_window_ends(server: Server) -> None:
    headers = {"x-api-key": server.key("windowed")}
    url = f"{server.url}/v1/projects/windowed/events"
    statuses = {httpx.post(url, headers=headers, content=PAGE_VIEW).status_code for _ in range(5)}
    assert statuses == {202, 429}
    time.sleep(1)
    assert httpx.post(url, headers=headers, content=PAGE_VIEW).status_code == 202


def test_every_route_is_limited_in_its_dialects_shape(server: Server) -> None:
    project = "shaped"
    headers = {"x-api-key": server.key(project)}
    url = server.url
    assert httpx.post(f"{url}/pb/shaped?hit=h").status_code == 200
    landed = row_count(server, project)
    shapes = []
    for path in PATHS:
        answer = httpx.post(url + path.format(project=project), headers=headers, content=b"{}")
        assert answer.status_code == 429, path
        assert int(answer.headers["retry-after"]) > 80_000
        shapes.append(set(answer.json()))
    problem, error = {"type", "title", "status", "detail"}, {"error"}
    assert shapes == [
        *([problem] * 2),
        *([error] * 4),
        *([{"success", "message"}] * 2),
        *([problem] * 2),
        error,
    ]
    in_body = httpx.post(f"{url}/v1/track", json={"writeKey": headers["x-api-key"]})
    assert (in_body.status_code, in_body.json()["success"]) == (429, False)
    assert httpx.get(f"{url}/v1/projects/shaped/goals", headers=headers).status_code == 429
    assert httpx.get(f"{url}/pb/shaped?hit=h").headers["cache-control"] == "no-store"
    assert row_count(server, project) == landed


def test_counters_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funnelhouse.counters.MOST_COUNTERS", 100)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    counters = Counters()
    assert [counters.incr("first", 60), counters.incr("first", 60)] == [1, 2]
    for number in range(99):
        counters.incr(str(number), 60)
    assert counters.get("first") == 2
    counters.incr("one more", 60)
    assert (counters.get("first"), counters.get("0"), counters.get("one more")) == (0, 1, 1)
    now += 60
    assert (counters.get("one more"), counters.incr("one more", 60)) == (0, 1)
    assert counters.reset() == 1


# Postbacks by address and host, and what proxies say


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that believes 127.0.0.3."""
    server = start_ingest(
        tmp_path_factory.mktemp("behind_proxy") / "home",
        FUNNELHOUSE_TRUSTED_PROXIES="127.0.0.3, 10.0.0.0/8",
        FUNNELHOUSE_POSTBACK_RATE_LIMIT="2/hour",
        FUNNELHOUSE_COUNTRY_HEADER="CF-IPCountry",
    )
    for project in ("one", "two"):
        server.key(project)
    yield server
    server.stop()


def sent_from(server: Server, address: str, path: str, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=server.url, transport=httpx.HTTPTransport(local_address=address)) as client:
        return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.long
def test_postbacks_are_limited_by_address(behind_proxy: Server) -> None:
    behind_proxy.set_access("one", postbacks="open")

    def statuses(address: str, *forwarded: str, path: str = "/pb/one?hit=h") -> list[int]:
        headers = [{"X-Forwarded-For": hops} for hops in forwarded] or [{}] * 3
        return [sent_from(behind_proxy, address, path, **header).status_code for header in headers]

    landed = row_count(behind_proxy, "one")
    assert statuses("127.0.0.1") == [200, 200, 429]
    assert statuses("127.0.0.2") == [200, 200, 429]
    assert row_count(behind_proxy, "one") == landed + 4
    # Only a trusted proxy's word opens another counter, and what the client itself wrote comes first in it.
    assert statuses("127.0.0.2", "192.0.2.9") == [429]
    assert statuses("127.0.0.3", "192.0.2.1", "192.0.2.1", "192.0.2.1") == [200, 200, 429]
    assert statuses("127.0.0.3", "192.0.2.7, 192.0.2.1", "192.0.2.2, 10.1.1.1") == [429, 200]
    # Who tries secrets is counted as well.
    assert statuses("127.0.0.4", path="/pb/one/guess?hit=h") == [200, 200, 429]
    assert statuses("127.0.0.5", path="/pb/two/guess?hit=h") == [404, 404, 429]
    refused = sent_from(behind_proxy, "127.0.0.1", "/pb/one?hit=h")
    assert refused.headers["ratelimit-policy"] == '"address";q=2;w=3600'
    assert set(refused.json()) == {"error"}
    assert "127.0.0.1" not in refused.text
    # Keyed routes are not limited by address.
    assert {sent_from(behind_proxy, "127.0.0.1", "/ingest/live").status_code for _ in range(5)} == {200}
    assert not any(b"127.0.0." in file.read_bytes() for file in behind_proxy.settings.home_dir.iterdir())


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("10.0.0.1", {}, "10.0.0.1"),
        ("192.0.2.1", {"x-forwarded-for": "1.1.1.1"}, "192.0.2.1"),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1, 2.2.2.2, 10.0.0.9"}, "2.2.2.2"),
        ("10.0.0.1", {"x-forwarded-for": "10.0.0.8, 10.0.0.9"}, "10.0.0.8"),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1, unknown"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1:4711"}, "1.1.1.1"),
        ("10.0.0.1", {"x-forwarded-for": "2001:db8:1:2:3::9"}, "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", {"x-forwarded-for": "::ffff:1.1.1.1"}, "1.1.1.1"),
        ("10.0.0.1", {"forwarded": 'for=1.1.1.1;proto=https, For="[2001:db8::1]:4711"'}, "2001:db8::/64"),
        ("10.0.0.1", {"forwarded": "proto=https;for=1.1.1.1"}, "1.1.1.1"),
        ("10.0.0.1", {"forwarded": "for=_hidden"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": "proto=https"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": "for=1.1.1.1", "x-forwarded-for": "1.1.1.1"}, "1.1.1.1"),
        ("10.0.0.1", {"forwarded": "for=3.3.3.3", "x-forwarded-for": "1.1.1.1"}, "10.0.0.1"),
        ("", {"x-forwarded-for": "1.1.1.1"}, "None"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    peer: str, headers: dict[str, str], expected: str
) -> None:
    proxies = TrustedProxies(Settings(trusted_proxies="10.0.0.0/8").trusted_proxies)  # type: ignore[arg-type]
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "headers": raw, "client": (peer, "1") if peer else None})
    assert proxies.client(request) == expected


def test_settings_that_are_no_networks_or_limits_are_refused() -> None:
    for wrong in ({"trusted_proxies": "proxy.example"}, {"postback_rate_limit": "many"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**wrong)  # type: ignore[arg-type]


def test_a_host_means_its_project(behind_proxy: Server) -> None:
    addresses = (f"127.0.1.{number}" for number in range(1, 50))

    def status(host: str, path: str = "/pb/?hit=h") -> int:
        return sent_from(behind_proxy, next(addresses), path, Host=host).status_code

    behind_proxy.set_access("one", postbacks="open")
    assert status("pb.two.example") == 200
    behind_proxy.set_access("two", postbacks="off", host="pb.two.example")
    # A host that is a project's is never another one's, even if that is the only open one.
    assert status("pb.two.example") == 404
    behind_proxy.set_access("two", postbacks="open")
    assert status("anything.example") == 404
    landed = row_count(behind_proxy, "two")
    for host in ("pb.two.example", "PB.two.EXAMPLE:8001", "pb.two.example."):
        assert status(host) == 200
    assert row_count(behind_proxy, "two") == landed + 3
    # The path comes first, and a secret stands in the path only.
    assert status("pb.two.example", "/pb/one?hit=h") == 200
    assert row_count(behind_proxy, "two") == landed + 3
    behind_proxy.set_access("two", postbacks="secret")
    assert status("pb.two.example") == 404


@pytest.mark.parametrize(
    ("written", "name"),
    [("A.example:80", "a.example"), ("a.example.", "a.example"), ("[::1]:8001", "[::1]"), ("", "")],
)
def test_host_names_are_compared_without_port_and_case(written: str, name: str) -> None:
    assert host_name(written) == name


def test_a_trusted_proxy_names_the_country_of_browsers(behind_proxy: Server) -> None:
    key = behind_proxy.key("one", "ingest")
    headers = {"x-api-key": key, "Origin": SHOP}

    def countries(address: str, country: str, content: bytes = PAGE_VIEW, **changed: str) -> list[str | None]:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
            sent = {**headers, "CF-IPCountry": country, **changed}
            path = "/v1/batch" if b"batch" in content else "/v1/projects/one/events"
            answer = client.post(
                behind_proxy.url + path, headers={n: v for n, v in sent.items() if v}, content=content
            )
        assert answer.status_code in (200, 202), answer.text
        with closing(behind_proxy.store()) as store:
            count = max(content.count(b"type") - content.count(b"types"), 1)
            rows = store.query("SELECT country FROM events ORDER BY id DESC LIMIT ?", count)
        return [row[0] for row in reversed(rows)]

    assert countries("127.0.0.3", "ES") == ["ES"]
    assert countries("127.0.0.3", "es") == ["ES"]
    for unknown in ("XX", "T1", "ZZ", "ESP", "", "1"):
        assert countries("127.0.0.3", unknown) == [None]
    # Not from a proxy that is trusted, not from a server, not where the sender says it.
    assert countries("127.0.0.1", "ES") == [None]
    assert countries("127.0.0.3", "ES", Origin="") == [None]
    both = b'[{"event_type":"pageview","country":"FR"},{"event_type":"pageview"}]'
    assert countries("127.0.0.3", "ES", both) == ["FR", "ES"]
    batch = b'{"batch":[{"type":"track","event":"a","userId":"u"}]}'
    assert countries("127.0.0.3", "ES", batch) == ["ES"]
    # What a server passes on for a browser's library comes from the server's country.
    relayed = batch.replace(b'"type"', b'"context":{"library":{"name":"analytics.js"}},"type"')
    assert countries("127.0.0.3", "ES", relayed) == ["ES"]
    for sent in (batch, relayed):
        assert countries("127.0.0.3", "ES", sent, Origin="") == [None]


# CORS


def preflight(server: Server, path: str, origin: str, method: str = "POST") -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return httpx.options(server.url + path, headers=asked)


def test_preflights_of_allowed_origins_are_answered(server: Server) -> None:
    for path in PATHS:
        for written in (path, path + "/"):
            for origin in (SHOP, "http://localhost:3000"):
                answer = preflight(server, written.format(project="pages"), origin)
                assert answer.status_code == 204, written
                assert answer.headers["access-control-allow-origin"] == origin
                assert answer.headers["vary"] == "Origin"
                assert "authorization" in answer.headers["access-control-allow-headers"].lower()
                assert "access-control-allow-credentials" not in answer.headers
                assert answer.content == b""
    assert preflight(server, "/pb/pages?hit=h", SHOP, "GET").status_code == 204
    # What is allowed for a project is allowed for its test keys.
    assert preflight(server, "/v1/projects/pages.test/events", SHOP).status_code == 204


def test_other_preflights_are_not(server: Server) -> None:
    events = "/v1/projects/pages/events"
    for path, origin, method, status in (
        (events, "https://other.example", "POST", 405),
        (events, "http://shop.example", "POST", 405),
        (events, f"{SHOP}:8443", "POST", 405),
        (events, "null", "POST", 405),
        (events, SHOP, "DELETE", 405),
        (events, SHOP, "GET", 405),
        ("/v1/projects/pages/goals/signup", SHOP, "PUT", 405),
        ("/v1/projects/closed/events", SHOP, "POST", 405),
        ("/v1/projects/unknown/events", SHOP, "POST", 405),
        ("/v1/batch", "https://other.example", "POST", 405),
        ("/v1/nothing", SHOP, "POST", 404),
    ):
        answer = preflight(server, path, origin, method)
        assert answer.status_code == status, (path, origin, method)
        assert "access-control-allow-methods" not in answer.headers
    assert httpx.options(server.url + events).status_code == 405
    head = httpx.head(server.url + events, headers={"Origin": SHOP})
    assert (head.status_code, head.headers["allow"]) == (405, "POST")


def test_answers_can_be_read_by_allowed_origins_only(server: Server) -> None:
    headers = {"x-api-key": server.key("pages")}
    other = {"x-api-key": server.key("closed")}
    events, batch = "/v1/projects/pages/events", "/v1/batch"

    def allowed(path: str, key: dict[str, str], origin: str, content: bytes) -> tuple[int, str | None]:
        answer = httpx.post(server.url + path, headers={**key, "Origin": origin}, content=content)
        assert answer.headers["vary"] == "Origin"
        is_exposed = "Funnelhouse-Event-Id" in answer.headers.get("access-control-expose-headers", "")
        assert is_exposed == ("access-control-allow-origin" in answer.headers)
        return answer.status_code, answer.headers.get("access-control-allow-origin")

    assert allowed(events, headers, SHOP, PAGE_VIEW) == (202, SHOP)
    assert allowed(events, headers, SHOP, b"{") == (400, SHOP)
    assert allowed(events, {}, SHOP, PAGE_VIEW) == (401, SHOP)
    assert allowed(events, other, SHOP, PAGE_VIEW) == (404, SHOP)
    assert allowed(batch, headers, SHOP, b'{"batch":[]}') == (200, SHOP)
    assert allowed(batch, {}, SHOP, b'{"batch":[]}') == (401, SHOP)
    # The preflight could not know the caller; the answer does.
    assert allowed(batch, other, SHOP, b'{"batch":[]}') == (200, None)
    # What comes from elsewhere is taken in like any report: who may send is the key's matter.
    assert allowed(events, headers, "https://other.example", PAGE_VIEW) == (202, None)
    plain = httpx.post(server.url + events, headers=headers, content=PAGE_VIEW)
    assert "vary" not in plain.headers
