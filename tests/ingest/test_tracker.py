"""The tracker's server side: the script and its config, who may send, limits, and cookies.

What a batch becomes is in tests/golden/tracker and tests/corpus/tracker, the script itself in tests/tracker.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Server, start_ingest

import ingest_api
from funnelhouse.proxies import TrustedProxies
from funnelhouse.settings import TRACKER_BUILT, Settings
from ingest_api.arrival import Arrival
from ingest_api.definitions.tracker import TRACKER
from ingest_api.rejected import PAGE_DAILY_QUOTA
from ingest_api.replay import replay
from ingest_api.tracker import wire
from ingest_api.tracker.config import CONFIG_BYTES, MOST_LANDERS
from ingest_api.tracker.visitor_cookie import Cookies, cookies_of, visitor_cookie
from record.rejected import kept

ORIGIN = "https://shop.example"
BUILT = (TRACKER_BUILT / "tracker.js").read_text(encoding="utf-8").rstrip()
VIEW: dict[str, Any] = {"api": "oa", "type": "pageview", "vid": "v-1", "sid": "s-1", "hit": "h-1"}
BATCH: dict[str, Any] = {"v": 1, "sent": 1772366400500, "events": [VIEW]}


@pytest.fixture
def project(ingest_server: Server, request: pytest.FixtureRequest) -> str:
    """A project of the test's own that has an origin, and a key."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    ingest_server.key(name)
    ingest_server.set_access(name, origins=[ORIGIN])
    return name


@pytest.fixture
def client(ingest_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ingest_server.url, headers={"Origin": ORIGIN}, timeout=30) as client:
        yield client


def config(text: str) -> dict[str, Any]:
    """What a script is called with."""
    call = text.removeprefix(BUILT)
    assert call != text
    found: dict[str, Any] = json.loads(call.strip().removeprefix("(").removesuffix(");"))
    return found


def config_within_a_second(client: httpx.Client, project: str, name: str, value: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while (found := config(client.get(f"/t/{project}.js").text))[name] != value:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def rejected(server: Server, project: str) -> list[Any]:
    with closing(server.store()) as store:
        return [each.row for each in kept(store, server.settings.raw_dir, project)]


def test_the_script_is_served_with_the_projects_config(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    answer = client.get(f"/t/{project}.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300, stale-while-revalidate=86400"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert "access-control-allow-credentials" not in answer.headers
    assert "vary" not in answer.headers
    etag = answer.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    said = config(answer.text)
    assert (said["consent"], said["session_minutes"], said["link_domains"]) == ("assumed", 30, "landers")
    assert (said["goals"], said["landers"]) == ({}, [])
    assert said["click_ids"][0] == "gclid" and said["click_ids"][-1] == "external"
    assert said["removed"] == ["token", "code", "password", "email", "phone", "key", "secret"]
    assert "cookie_domain" not in said
    for tag in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(f"/t/{project}.js", headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["cache-control"] == answer.headers["cache-control"]
    assert client.get(f"/t/{project}.js", headers={"If-None-Match": '"other"'}).status_code == 200

    admin = {"x-api-key": ingest_server.key(project, "admin")}
    of_project = f"/v1/projects/{project}"
    client.put(f"{of_project}/settings", headers=admin, json={"session_gap_minutes": 45})
    lander = {"name": "L", "kind": "lander", "path": "/spring%20sale/"}
    client.put(f"{of_project}/pages/l-1", headers=admin, json=lander)
    client.put(f"{of_project}/pages/o-1", headers=admin, json={"name": "O", "kind": "offer"})
    client.put(f"{of_project}/pages/p-1", headers=admin, json={"name": "P", "kind": "page"})
    goal = {"match": {"type": "any_conversion"}}
    client.put(f"{of_project}/goals/g-1", headers=admin, json={**goal, "name": "purchase"})
    client.put(f"{of_project}/goals/unnamed", headers=admin, json=goal)
    source = {"name": "Net", "source": "net", "click_id_param": "subid"}
    client.put(f"{of_project}/traffic-sources/net", headers=admin, json=source)
    body = {"consent": "required", "cookie_domain": "Shop.example", "outbound": True}
    client.put(f"{of_project}/tracker", headers=admin, json=body)
    said = config_within_a_second(client, project, "consent", "required")
    assert said["session_minutes"] == 45
    assert said["click_ids"][-2:] == ["external", "subid"]
    assert said["landers"] == ["l-1", "/spring sale"]
    assert said["goals"] == {"purchase": "g-1", "g-1": "g-1"}
    assert (said["cookie_domain"], said["outbound"]) == (".shop.example", True)
    assert client.get(f"/t/{project}.js").headers["etag"] != etag
    client.put(f"{of_project}/tracker", headers=admin, json={"session_minutes": 5})
    assert config_within_a_second(client, project, "session_minutes", 5)["consent"] == "assumed"


def test_the_script_alone_needs_no_project(client: httpx.Client) -> None:
    answer = client.get("/t.js")
    assert answer.status_code == 200
    said = config(answer.text)
    assert said.items() >= {n: v for n, v in TRACKER.complete(None).items() if v is not None}.items()
    assert (said["session_minutes"], said["goals"], said["landers"]) == (30, {}, [])
    assert client.get("/t.js", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_without_origins_there_is_no_tracker(client: httpx.Client, ingest_server: Server) -> None:
    ingest_server.key("untracked")
    for name in ("untracked", "unheard-of", "untracked.test"):
        script = client.get(f"/t/{name}.js")
        assert (script.status_code, script.content) == (404, b"")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["cache-control"] == "no-store"
        sent = client.post(f"/t/{name}", json=BATCH)
        assert sent.status_code == 404
        assert "funnelhouse projects set" in sent.json()["error"]
    assert rejected(ingest_server, "untracked") == []
    ingest_server.set_access("untracked", origins=[ORIGIN])
    for name in ("untracked", "untracked.test"):
        assert client.get(f"/t/{name}.js").status_code == 200
        assert client.post(f"/t/{name}", json=BATCH).json()["error"] == ""


def test_a_definition_cannot_end_the_script(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    admin = {"x-api-key": ingest_server.key(project, "admin")}
    name = '</script><!--<script>\u2028\u2029"\\\U0001f600'
    goal = {"match": {"type": "any_conversion"}, "name": name}
    client.put(f"/v1/projects/{project}/goals/odd", headers=admin, json=goal)
    config_within_a_second(client, project, "goals", {name: "odd", "odd": "odd"})
    call = client.get(f"/t/{project}.js").text.removeprefix(BUILT)
    assert call.isascii() and "<" not in call


def test_a_config_over_8_kb_leaves_goals_out_and_says_so(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    admin = {"x-api-key": ingest_server.key(project, "admin")}
    of_project = f"/v1/projects/{project}"
    for number in range(220):
        goal = {"match": {"type": "any_conversion"}, "name": f"Goal {number:03} {'ä' * 20}"}
        client.put(f"{of_project}/goals/goal-{number:03}", headers=admin, json=goal)
    for number in range(MOST_LANDERS + 1):
        page = {"name": "P", "kind": "lander"}
        client.put(f"{of_project}/pages/{number:03}", headers=admin, json=page)
    deadline = time.monotonic() + 10
    while (shown := client.get(f"{of_project}/tracker", headers=admin).json())["left_out_landers"] != 1:
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
    text = client.get(f"/t/{project}.js").text
    said = config(text)
    assert CONFIG_BYTES * 0.9 < len(text) - len(BUILT) - 4 <= CONFIG_BYTES
    assert len(said["landers"]) == MOST_LANDERS
    told = set(said["goals"].values())
    assert told == {f"goal-{number:03}" for number in range(len(told))}
    assert shown["left_out_goals"] == 220 - len(told) > 0
    put = client.put(f"{of_project}/tracker", headers=admin, json={"removed": ["x" * 60] * 30}).json()
    assert put["left_out_goals"] > shown["left_out_goals"]
    assert client.put(f"{of_project}/tracker", headers=admin, json={**put, "version": 3}).status_code == 400


def test_a_goals_name_is_never_another_goals_id(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    admin = {"x-api-key": ingest_server.key(project, "admin")}
    for goal_id, name in (("a", "b"), ("b", "c"), ("c", "same"), ("d", "same")):
        goal = {"match": {"type": "any_conversion"}, "name": name}
        client.put(f"/v1/projects/{project}/goals/{goal_id}", headers=admin, json=goal)
    expected = {"a": "a", "b": "b", "c": "c", "same": "c", "d": "d"}
    config_within_a_second(client, project, "goals", expected)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"cookie_domain": "co.uk"}, "public suffix"),
        ({"cookie_domain": ".github.io"}, "public suffix"),
        ({"cookie_domain": "localhost"}, "public suffix"),
        ({"cookie_domain": "unlisted-suffix"}, "public suffix"),
        ({"cookie_domain": "127.0.0.1"}, "not an address"),
        ({"cookie_domain": "https://shop.example"}, "must be a host alone"),
        ({"cookie_domain": "android-app://shop.example"}, "not an app"),
        ({"cookie_domain": "shop.example;secure"}, "must be a host alone"),
        ({"link_domains": "some"}, "link_domains"),
        ({"link_domains": ["*.shop.example"]}, "must be a host alone"),
        ({"cross_domains": ["android-app://a"]}, "not an app"),
        ({"cross_domains": ["a.example"] * 101}, "at most 100"),
        ({"cross_domains": [f"{'a' * 60}{number:02}.example" for number in range(99)]}, "at most 4 KB"),
        ({"session_minutes": 0}, "session_minutes"),
        ({"session_minutes": 1441}, "session_minutes"),
        ({"consent": "asked"}, "consent"),
        ({"gpc": True}, "gpc"),
        ({"removed": ["a b"]}, "removed"),
        ({"misspelt": 1}, "misspelt"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused(
    client: httpx.Client, ingest_server: Server, body: dict[str, Any], says: str
) -> None:
    admin = {"x-api-key": ingest_server.key("refused", "admin")}
    answer = client.put("/v1/projects/refused/tracker", headers=admin, json=body)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_a_tracker_is_versioned_and_starts_from_its_defaults(
    client: httpx.Client, ingest_server: Server
) -> None:
    url, admin = "/v1/projects/tracked/tracker", {"x-api-key": ingest_server.key("tracked", "admin")}
    defaults = {**TRACKER.complete(None), "left_out_goals": 0, "left_out_landers": 0}
    assert client.get(url, headers=admin).json() == {"version": 0, "received_us": None, **defaults}
    assert client.delete(url, headers=admin).status_code == 404
    trial = client.put(url, json={"storage": "none"}, headers={**admin, "Funnelhouse-Dry-Run": "1"})
    assert (trial.json()["version"], trial.json()["storage"]) == (1, "none")
    put = client.put(url, json={"link_domains": ["A.example"], "session_minutes": 10.0}, headers=admin).json()
    assert (
        put.items()
        >= {**defaults, "version": 1, "link_domains": ["a.example"], "session_minutes": 10}.items()
    )
    assert client.get(url, headers={"x-api-key": ingest_server.key("tracked", "read")}).json() == put
    for scope in ("read", "ingest", "page"):
        weak = {"x-api-key": ingest_server.key("tracked", scope)}
        assert client.put(url, json={}, headers=weak).status_code == 403
    assert client.delete(url, headers=admin).status_code == 204
    assert client.get(url, headers=admin).json().items() >= {**defaults, "version": 2}.items()


def test_a_batch_of_another_origin_is_kept_and_lands_once_the_origin_is_listed(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    answer = client.post(f"/t/{project}", headers={"Origin": "https://www.shop.example"}, json=BATCH)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers
    [row] = rejected(ingest_server, project)
    assert f"`funnelhouse projects set {project} --origins" in row.reason
    assert "www.shop" not in row.reason
    assert (row.path, row.sender, row.has_page_key) == ("/t/{project_id}", "browser", False)
    with closing(ingest_server.store()) as store:
        [again] = kept(store, ingest_server.settings.raw_dir, project)
        outcome = replay(store, again, time.time_ns() // 1000)
        assert (outcome.accepted, outcome.reasons) == (1, [])
        found = store.query("SELECT hit_id, dialect_version FROM events WHERE project_id = ?", project)
    assert found == [("h-1", "browser-1")]


def test_an_event_that_is_kept_by_itself_keeps_what_its_batch_said_of_it(tmp_path: Path) -> None:
    said = {"v": 1, "sent": 1772366400500, "ads": "denied", "auto": True, "consent": "granted", "lost": 3}
    bad = {**VIEW, "type": "look", "t": 1772366400000}
    arrival = Arrival("shop", 1772366401000000, "browser", "UA")
    reading = wire.read(json.dumps({**said, "events": [VIEW, bad]}).encode(), arrival)
    [rejection] = reading.rejections
    mended = rejection.body.replace(b'"look"', b'"pageview"')
    [event] = wire.read(mended, arrival).events
    [beside] = wire.read(
        json.dumps({**said, "events": [{**bad, "type": "pageview"}]}).encode(), arrival
    ).events
    assert (event.properties, event.sent_us, event.payload) == (
        beside.properties,
        beside.sent_us,
        beside.payload,
    )
    assert event.properties == '{"consent":"denied","automated":true}'


def test_answers_may_be_read_with_cookies_by_this_route_alone(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    sent = client.post(f"/t/{project}", json=BATCH)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "funnelhouse-dry-run"}
    preflight = client.options(f"/t/{project}", headers=asked)
    assert preflight.status_code == 204
    for answer in (sent, preflight, client.post(f"/t/{project}", content=b"{")):
        assert answer.headers.get_list("access-control-allow-origin") == [ORIGIN]
        assert answer.headers.get_list("access-control-allow-credentials") == ["true"]
        assert answer.headers["vary"] == "Origin"
    assert "funnelhouse-dry-run" in preflight.headers["access-control-allow-headers"].lower()
    assert "retry-after" in sent.headers["access-control-expose-headers"].lower()
    stranger = {"Origin": "https://evil.example"}
    for answer in (
        client.options(f"/t/{project}", headers={**asked, **stranger}),
        client.post(f"/t/{project}", headers=stranger, json=BATCH),
    ):
        assert not any(name.startswith("access-control") for name in answer.headers)


def routes_of(client: httpx.Client, project: str) -> Iterator[tuple[str, str]]:
    """Method and path of every route, with names of what there may be; those with cookies left out."""
    known = {"project_id": project, "secret": "any", "link_id": "none"}
    for path, methods in client.get("/ingest/openapi.json").json()["paths"].items():
        if path.endswith("/stream") or path.startswith(("/t/", "/c/")) or path == "/ingest/metrics":
            continue
        for method in methods:
            yield method, re.sub(r"\{(\w+)\}", lambda name: known.get(name[1], "one"), path)


def test_no_other_route_reads_a_cookie(client: httpx.Client, ingest_server: Server, project: str) -> None:
    ingest_server.set_access(project, postbacks="open", origins=[ORIGIN])
    key = {"x-api-key": ingest_server.key(project)}
    cookies = "fh_vid=cookie-canary; fh_ses=cookie-canary.1.2; fh_consent=granted.granted"
    tried = 0
    for method, path in routes_of(client, project):
        # Keys that are made differ, and what was deleted is gone.
        dry = {} if method == "get" else {"Funnelhouse-Dry-Run": "1"}
        answers = [
            client.request(method, path, headers={**key, **dry, **extra}, content=b"{}" if dry else b"")
            for extra in ({}, {"Cookie": cookies})
        ]
        # Moments differ, and when a key was last used is written a while later.
        moments = rb'[0-9]{10,}|[0-9]{2}:[0-9.:]+Z?|"last_used_at":(null|"[^"]*")'
        shown = [re.sub(moments, b"", answer.content) for answer in answers]
        assert answers[0].status_code == answers[1].status_code, (method, path)
        assert shown[0] == shown[1], (method, path)
        for answer in answers:
            assert "set-cookie" not in answer.headers, (method, path)
            assert "access-control-allow-credentials" not in answer.headers, (method, path)
        tried += 1
    assert tried > 50
    with closing(ingest_server.store()) as store:
        names = ("visitor_id", "session_id", "properties", "payload")
        for row in store.query(f"SELECT {', '.join(names)} FROM events WHERE project_id = ?", project):
            assert "cookie-canary" not in str(row)


def test_cookies_are_named_by_the_rooms_of_the_tracker_and_of_links_alone() -> None:
    room = Path(ingest_api.__file__).parent
    reading = {
        path.relative_to(room).parts[0]
        for path in room.rglob("*.py")
        if re.search(r"""\.cookies\b|["'](?:set-)?cookie["']|fh_vid|visitor_cookie""", path.read_text(), re.I)
    }
    assert reading <= {"tracker", "links"}


def request(tracker: dict[str, Any], https: bool = False, **headers: str) -> Request:
    """A request as the routes of the tracker see it."""
    app = FastAPI()
    app.state.proxies = TrustedProxies(())
    given = {"host": "t.shop.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/t/shop",
            "query_string": b"",
            "scheme": "https" if https else "http",
            "server": ("t.shop.example", 443),
            "client": ("192.0.2.1", 1),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "app": app,
        }
    )


SHARED = {"cookie_domain": ".shop.example"}
SET = "fh_vid=v-1; Max-Age=34560000; Path=/; SameSite=Lax; Domain=shop.example"


@pytest.mark.parametrize(
    ("tracker", "headers", "arguments", "is_set"),
    [
        pytest.param(SHARED, {}, {}, True, id="the domain fits"),
        pytest.param(SHARED, {"host": "SHOP.example:8443"}, {}, True, id="the domain itself, with a port"),
        pytest.param(SHARED, {"host": "myshop.example"}, {}, False, id="a domain that only ends alike"),
        pytest.param(SHARED, {"host": "shop.example.evil.example"}, {}, False, id="one that begins alike"),
        pytest.param(SHARED, {"host": ""}, {}, False, id="no host"),
        pytest.param({**SHARED, "storage": "none"}, {}, {}, False, id="no storage"),
        pytest.param({**SHARED, "consent": "required"}, {}, {}, False, id="consent is missing"),
        pytest.param(
            {**SHARED, "consent": "required"}, {}, {"consent": "granted"}, True, id="the batch says so"
        ),
        pytest.param(
            {**SHARED, "consent": "required"},
            {"cookie": "fh_consent=granted.denied"},
            {},
            True,
            id="its cookie does",
        ),
        pytest.param(
            {**SHARED, "consent": "required"},
            {"cookie": "fh_consent=granted.granted"},
            {"consent": "denied"},
            False,
            id="the batch goes first",
        ),
        pytest.param(SHARED, {"cookie": "fh_consent=denied."}, {}, False, id="denied although assumed"),
        pytest.param(SHARED, {"cookie": "fh_consent=maybe"}, {}, True, id="a decision that is none"),
        pytest.param({**SHARED, "gpc": "all"}, {"sec_gpc": "1"}, {}, False, id="GPC silences"),
        pytest.param(SHARED, {"sec_gpc": "1"}, {}, True, id="GPC is of ads alone"),
        pytest.param({**SHARED, "gpc": "all"}, {"sec_gpc": "0"}, {}, True, id="no GPC"),
        pytest.param({**SHARED, "dnt": "all"}, {"dnt": "1"}, {}, False, id="DNT silences"),
        pytest.param(SHARED, {"dnt": "1"}, {}, True, id="DNT is ignored"),
        pytest.param(SHARED, {"cookie": "fh_vid=v-1"}, {}, True, id="renewed"),
        pytest.param(SHARED, {"cookie": "fh_vid=v-2"}, {}, False, id="another visitor by now"),
    ],
)
def test_an_answer_sets_the_visitors_cookie_only_where_it_may(
    tracker: dict[str, Any], headers: dict[str, str], arguments: dict[str, str], is_set: bool
) -> None:
    complete = TRACKER.complete(tracker)
    found = visitor_cookie(request(complete, **headers), complete, "v-1", **arguments)  # type: ignore[arg-type]
    assert found == (SET if is_set else None)


def test_without_a_domain_the_cookie_is_of_the_host_that_the_page_is_of() -> None:
    tracker = TRACKER.complete(None)
    own = "fh_vid=v-1; Max-Age=34560000; Path=/; SameSite=Lax"
    assert visitor_cookie(request(tracker), tracker, "v-1") == own
    assert visitor_cookie(request(tracker), tracker, "v-1", page_host="t.shop.example") == own
    assert visitor_cookie(request(tracker), tracker, "v-1", page_host="shop.example") is None
    assert visitor_cookie(request(tracker), tracker, "v-1", page_host="") is None
    assert visitor_cookie(request(tracker, https=True), tracker, "v-1") == f"{own}; Secure"


@pytest.mark.parametrize(
    "visitor_id", ["", "a b", "a;b", "a\r\nSet-Cookie: x=y", "é", "x" * 65, "a.b", "a\n"]
)
def test_an_id_that_is_no_cookie_sets_none(visitor_id: str) -> None:
    tracker = TRACKER.complete(SHARED)
    assert visitor_cookie(request(tracker), tracker, visitor_id) is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("", Cookies()),
        ("fh_vid=v; fh_ses=s.1700000000000.1700000001000; fh_consent=granted.denied",
         Cookies("v", "s", 1700000001000, "granted", "denied")),
        ("fh_consent=denied.", Cookies(consent="denied")),
        ("fh_vid=a b; fh_ses=s.1; fh_consent=yes.no", Cookies()),
        ("fh_ses=s.-1.2; fh_vid=é", Cookies()),
        ("fh_ses=s.1.99999999999999999999", Cookies()),
        ("fh_vid", Cookies()),
        ("=;;=; fh_vid=v", Cookies("v")),
    ],
)  # fmt: skip
def test_what_cookies_say_is_read_as_far_as_it_can_be_true(sent: str, expected: Cookies) -> None:
    assert cookies_of(request({}, cookie=sent)) == expected


def test_a_batch_is_answered_with_the_cookie(
    client: httpx.Client, ingest_server: Server, project: str
) -> None:
    admin = {"x-api-key": ingest_server.key(project, "admin")}
    client.put(f"/v1/projects/{project}/tracker", headers=admin, json={**SHARED, "consent": "required"})
    config_within_a_second(client, project, "consent", "required")
    host = {"Host": "t.shop.example"}
    granted = {**BATCH, "consent": "granted"}
    assert client.post(f"/t/{project}", headers=host, json=granted).headers["set-cookie"] == SET
    nobody = {**granted, "events": [{"api": "oa", "type": "pageview"}]}
    for headers, body in (
        (host, BATCH),
        ({}, granted),
        (host, nobody),
        (host, {**granted, "events": [{**VIEW, "type": "none"}]}),
        ({**host, "Origin": "https://evil.example"}, granted),
        ({**host, "Funnelhouse-Dry-Run": "1"}, granted),
        ({**host, "Cookie": "fh_vid=another"}, granted),
    ):
        assert "set-cookie" not in client.post(f"/t/{project}", headers=headers, json=body).headers
    # It is told apart by the host, never by what a proxy that nobody trusts says.
    forged = {"X-Forwarded-Host": "t.shop.example", "Forwarded": "host=t.shop.example"}
    assert "set-cookie" not in client.post(f"/t/{project}", headers=forged, json=granted).headers


def test_what_pages_spoil_uses_up_nobody_elses_quota(ingest_server: Server, client: httpx.Client) -> None:
    name = "spoilt"
    key, page = ingest_server.key(name, "ingest"), ingest_server.key(name, "page")
    ingest_server.set_access(name, postbacks="open", origins=[ORIGIN])
    events = f"/v1/projects/{name}/events"
    for _ in range(PAGE_DAILY_QUOTA // 50 + 1):
        client.post(f"/t/{name}", json={"events": [{}] * 50})
    client.post(f"/t/{name}", content=b"more")
    assert len(rejected(ingest_server, name)) == PAGE_DAILY_QUOTA
    client.get(f"/pb/{name}/?tx=1")
    client.post(events, headers={"x-api-key": page}, json={})
    client.post(events, headers={"x-api-key": key}, json={})
    paths = [row.path for row in rejected(ingest_server, name) if row.path != "/t/{project_id}"]
    assert sorted(paths) == ["/pb/{project_id}", *["/v1/projects/{project_id}/events"] * 2]
    # Nor is anything taken from what is good.
    assert client.post(f"/t/{name}", json=BATCH).json()["error"] == ""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_ingest(
        tmp_path_factory.mktemp("tracker") / "home",
        FUNNELHOUSE_TRACKER_RATE_LIMIT="5/minute",
        FUNNELHOUSE_TRUSTED_PROXIES="127.0.0.1",
        FUNNELHOUSE_TRACKER_PREFIX="stats",
    )
    server.key("shop")
    server.set_access("shop", origins=[ORIGIN])
    yield server
    server.stop()


def test_batches_are_limited_per_address_and_by_the_projects_own_limit(limited: Server) -> None:
    def send(address: str, path: str = "/t/shop") -> httpx.Response:
        headers = {"Origin": ORIGIN, "X-Forwarded-For": address}
        return httpx.post(limited.url + path, headers=headers, json=BATCH)

    statuses = [send("192.0.2.1", path).status_code for path in ("/t/shop", "/stats/shop", "/t/none") * 2]
    assert statuses == [200, 200, 404, 200, 200, 429]
    refused = send("192.0.2.1")
    assert int(refused.headers["retry-after"]) >= 1
    assert set(refused.json()) == {"error"}
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert send("192.0.2.2").status_code == 200
    limited.set_access("shop", rate_limit="1/minute")
    statuses = [send(f"192.0.2.{number}").status_code for number in (3, 4)]
    assert statuses == [200, 429]
    limited.set_access("shop", rate_limit="off")


def test_the_prefix_is_a_setting_and_the_first_one_goes_on(limited: Server) -> None:
    for prefix in ("t", "stats"):
        assert httpx.get(f"{limited.url}/{prefix}/shop.js").status_code == 200
        assert httpx.get(f"{limited.url}/{prefix}.js").status_code == 200
        headers = {"Origin": ORIGIN, "X-Forwarded-For": f"198.51.100.{len(prefix)}"}
        answer = httpx.post(f"{limited.url}/{prefix}/shop", headers=headers, json=BATCH)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    for path in ("/stats", "/statsx/shop.js", "/stats2.js", "/x/shop.js"):
        assert httpx.get(limited.url + path).status_code == 404
    for taken in ("v1", "pb", "c", "ingest", "A", "a/b", "", "-a"):
        with pytest.raises(ValueError, match="tracker_prefix"):
            Settings(tracker_prefix=taken)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800") | st.just("\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_EVENT = st.fixed_dictionaries(
    {"api": st.sampled_from(["flux", "oa"]) | _ANYTHING},
    optional={
        "type": st.sampled_from(["pageview", "event", "conversion", "identify", "refund"]) | _ANYTHING,
        "url": st.text().map(lambda text: f"https://s.example/?{text}&utm_source={text}") | _ANYTHING,
        "rev": st.decimals(allow_nan=True).map(str) | _ANYTHING,
        **dict.fromkeys(
            ("id", "t", "vid", "sid", "hit", "ref", "page", "pk", "first", "name", "user", "cur"), _ANYTHING
        ),
        **dict.fromkeys(("tx", "exp", "props", "status", "writeKey"), _ANYTHING),
    },
)
_BATCH = st.fixed_dictionaries(
    {"events": st.lists(_EVENT | _ANYTHING, max_size=4) | _ANYTHING},
    optional=dict.fromkeys(("v", "sent", "ads", "consent", "auto", "lost", "other"), _ANYTHING),
)


_PLAIN = st.sampled_from(
    ["v-1", "ABC", "12.50", "1e3", "-1", "07", "a b", "", "EUR", "eur", "offer", "x\n", "."]
)


@settings(max_examples=500, deadline=None)
@given(
    event=st.fixed_dictionaries(
        {
            "api": st.sampled_from(["flux", "oa"]),
            "type": st.sampled_from(["pageview", "event", "conversion"]),
        },
        optional={
            "t": st.sampled_from(
                [1772366400000, 1772366400000.0, 946684799999, 946684800000, 4133980800000, True]
            ),
            "exp": st.sampled_from([{}, {"a": "b"}, None]),
            "first": st.sampled_from([{}, {"gclid": "g"}, []]),
            "props": st.sampled_from([{}, {"order_id": 5.0}, []]),
            **dict.fromkeys(("id", "vid", "sid", "hit", "url", "ref", "page", "pk", "name"), _PLAIN),
            **dict.fromkeys(("user", "rev", "cur", "tx"), _PLAIN | st.just(5001)),
        },
    )
)
def test_a_usual_event_is_read_as_any_other(event: dict[str, Any]) -> None:
    arrival = _Naming("shop", 1772366401000000, "browser", "UA")
    # What is long is read with care.
    short, long = (
        wire.read(json.dumps({"events": [each]}).encode(), arrival)
        for each in (event, {**event, "padding": "x" * 2000})
    )
    assert [each.reason for each in short.rejections] == [each.reason for each in long.rejections]
    for one, other in zip(short.events, long.events, strict=True):
        assert replace(one, payload="") == replace(other, payload="")


class _Naming(Arrival):
    """An arrival that gives the same id to all that come without one."""

    def new_event_id(self, index: int) -> str:
        return "given"


@settings(max_examples=300, deadline=None)
@given(batch=_BATCH | _ANYTHING)
def test_any_batch_is_read(batch: Any) -> None:
    arrival = Arrival("shop", 1772366401000000, "browser", "UA")
    body = json.dumps(batch).encode("utf-8", "surrogatepass")
    reading = wire.read(body, arrival)
    assert wire.answer(reading).status_code == 200
    for event in reading.events:
        assert (event.sender, event.dialect_version, event.status, event.forwardable) == (
            "browser",
            "browser-1",
            None,
            None,
        )
        assert event.kind in ("visit", "event", "conversion", "identify")
    for rejection in reading.rejections:
        # What is kept is read as it was: nothing is lost by keeping an event alone.
        again = wire.read(rejection.body, arrival)
        assert [each.reason for each in again.rejections] == [rejection.reason]
