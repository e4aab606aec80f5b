"""Links over HTTP: what a click is recorded as, where it leads, and who decides that."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from postgres import Cluster
from servers import Server, start_ingest

from ingest_api.links.clicks import chosen
from record.contract import Event, columns

PROJECT = "followed"
LINKS = f"/v1/projects/{PROJECT}/links"
OFFER = "https://offers.example/spring"
LINK: dict[str, Any] = {"name": "Spring", "to": [{"url": OFFER}]}
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

_EVENT = [column.name for column in columns(Event)]


@pytest.fixture(scope="module")
def admin(ingest_server: Server) -> Iterator[httpx.Client]:
    headers = {"x-api-key": ingest_server.key(PROJECT, "admin")}
    with httpx.Client(base_url=ingest_server.url, headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def visitor(ingest_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ingest_server.url, headers={"user-agent": BROWSER}) as client:
        # Each test says itself which cookies a browser has.
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield client


def defined(admin: httpx.Client, link_id: str, **link: Any) -> str:
    """Define a link, and wait until it holds; returns its path."""
    answer = admin.put(f"{LINKS}/{link_id}", json={**LINK, **link})
    assert answer.status_code == 200, answer.text
    path = f"/c/{PROJECT}/{link_id}"
    deadline = time.monotonic() + 1
    while (is_new := answer.json()["version"] == 1) and admin.head(path).status_code == 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if not is_new:
        time.sleep(1)
    return path


def recorded(server: Server, link_id: str) -> list[dict[str, Any]]:
    """What is recorded of clicks on a link, in order."""
    with closing(server.store()) as store:
        rows = store.query(
            f"SELECT {', '.join(_EVENT)} FROM events WHERE project_id = ? ORDER BY id",
            PROJECT,
        )
    found = [dict(zip(_EVENT, row, strict=True)) for row in rows]
    for event in found:
        event["properties"] = json.loads(event["properties"])
    return [event for event in found if event["properties"]["link_id"] == link_id]


def query(answer: httpx.Response) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def test_a_click_is_recorded_and_leads_on(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    path = defined(admin, "plain", page_id="advertorial", to=[{"url": f"{OFFER}?sub={{hit}}&s={{session}}"}])
    answer = visitor.get(
        f"{path}?vid=v-1&hit=h-1&sid=s-1&utm_source=mail&gclid=g-1&other=x",
        headers={"referer": "https://shop.example/advertorial?a=b#c"},
    )
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["location"] == f"{OFFER}?sub=h-1&s=s-1&vid=v-1&utm_source=mail&gclid=g-1"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["x-robots-tag"] == "noindex"
    (click,) = recorded(ingest_server, "plain")
    said = {name: value for name, value in click.items() if value is not None}
    assert re.fullmatch("[0-9a-f-]{36}", said.pop("event_id"))
    assert said.pop("received_us") == said.pop("occurred_us")
    assert said == {
        "project_id": PROJECT,
        "dialect": "links",
        "dialect_version": "1",
        "sender": "browser",
        "kind": "event",
        "name": "click",
        "hit_id": "h-1",
        "visitor_id": "v-1",
        "session_id": "s-1",
        "page_id": "advertorial",
        "referrer": "https://shop.example/advertorial?a=b",
        "user_agent": BROWSER,
        "utm_source": "mail",
        "click_id": "g-1",
        "click_id_type": "gclid",
        "payload": "vid=v-1&hit=h-1&sid=s-1&utm_source=mail&gclid=g-1&other=x",
        "properties": {
            "gclid": "g-1",
            "link_id": "plain",
            "target": 1,
            "weight": 1,
            "url": f"{OFFER}?sub=h-1&s=s-1&vid=v-1&utm_source=mail&gclid=g-1",
        },
    }


def test_arriving_at_a_page_is_a_view_of_it(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    admin.put(f"/v1/projects/{PROJECT}/pages/offer-1", json={"name": "Offer", "kind": "offer"})
    to = [{"url": f"{OFFER}?hit={{hit}}&p={{page}}", "page_id": "offer-1"}]
    path = defined(admin, "to-page", page_id="lander-1", to=to)
    for _ in range(2):
        answer = visitor.get(f"{path}/?vid=v-2&hit=h-2", headers={"referer": "https://shop.example/"})
    click, view = recorded(ingest_server, "to-page")[-2:]
    assert (click["hit_id"], click["page_id"], click["kind"]) == ("h-2", "lander-1", "event")
    assert (view["page_id"], view["page_kind"], view["kind"]) == ("offer-1", "offer", "visit")
    assert view["hit_id"] == query(answer)["hit"] != "h-2"
    assert query(answer)["p"] == "offer-1"
    assert view["url"] == answer.headers["location"]
    assert view["referrer"] == "https://shop.example/"
    assert view["visitor_id"] == click["visitor_id"] == "v-2"
    # The arrival comes after the click.
    assert view["occurred_us"] > click["occurred_us"]
    hits = [each["hit_id"] for each in recorded(ingest_server, "to-page") if each["kind"] == "visit"]
    assert len(set(hits)) == 2


def test_every_token_is_filled_and_encoded(admin: httpx.Client, visitor: httpx.Client) -> None:
    tokens = [
        *("hit", "visitor", "vid", "session", "external", "clickid", "gclid", "fbclid", "utm_source"),
        *("utm_term", "link", "page", "time", "data-sub1", "data-none"),
    ]
    url = f"{OFFER}/{{data-sub1}}?{'&'.join(f'{token}={{{token}}}' for token in tokens)}#{{data-sub1}}"
    path = defined(admin, "tokens", page_id="lander", to=[{"url": url}], append_vid=False)
    hostile = "a&b=c/..?#%\r\nSet-Cookie: x=y é"
    answer = visitor.get(
        path,
        params={"vid": "v 1", "hit": "h", "sid": "s", "external": "e", "gclid": "g", "utm_source": "u",
                "utm_term": hostile, "sub1": hostile},
    )  # fmt: skip
    location = urlsplit(answer.headers["location"])
    found = {name: values[0] for name, values in parse_qs(location.query, keep_blank_values=True).items()}
    assert abs(int(found.pop("time")) - time.time()) < 60
    assert found == {
        **{"hit": "h", "visitor": "v 1", "vid": "v 1", "session": "s", "external": "e", "clickid": "e"},
        **{"gclid": "g", "fbclid": "", "utm_source": "u", "utm_term": hostile, "link": "tokens"},
        **{"page": "lander", "data-sub1": hostile, "data-none": ""},
    }
    assert (location.scheme, location.netloc) == ("https", "offers.example")
    assert location.path.count("/") == 2
    assert answer.headers.get("set-cookie", "").find("x=y") == -1


def test_a_traffic_source_has_its_own_parameter_for_click_ids(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    sources = LINKS.replace("/links", "/traffic-sources")
    for source, parameter in (("net", "clickid"), ("push", "subid"), ("none", ""), ("twin", "clickid")):
        put = {"name": source, "source": source, "click_id_param": parameter}
        answer = admin.put(f"{sources}/{source}", json=put)
        assert answer.json()["click_id_param"] == (parameter or None), answer.text
    url = f"{OFFER}?e={{external}}&c={{clickid}}"
    path = defined(admin, "networks", to=[{"url": url}], append_vid=False)
    time.sleep(1)
    answer = visitor.get(f"{path}?subid=s%261&gclid=g&keyword=k")
    assert query(answer) == {"e": "s&1", "c": "s&1", "subid": "s&1", "gclid": "g"}
    # What the sender calls it itself goes first.
    assert query(visitor.get(f"{path}?external=x&clickid=y")) == {"e": "x", "c": "x", "clickid": "y"}
    denied = visitor.get(f"{path}?subid=s&keyword=k", headers={"cookie": "fh_consent=granted.denied"})
    assert query(denied) == {}
    first, second, third = recorded(ingest_server, "networks")
    assert (first["click_id_type"], first["click_id"]) == ("gclid", "g")
    assert first["properties"]["external"] == "s&1"
    assert (second["click_id_type"], second["click_id"]) == ("external", "x")
    assert (third["click_id"], third["payload"]) == (None, "keyword=k")
    # Whoever lists what is handed on has listed all of it.
    listed = defined(admin, "listed", to=[{"url": url}], append_vid=False, **{"pass": ["utm_*"]})
    assert query(visitor.get(f"{listed}?subid=s")) == {"e": "s", "c": "s"}
    for source in ("net", "push", "none", "twin"):
        admin.delete(f"{sources}/{source}").raise_for_status()


def test_what_the_target_has_is_not_replaced(admin: httpx.Client, visitor: httpx.Client) -> None:
    to = [{"url": f"{OFFER}?utm_source=mine&vid=fixed#end"}]
    path = defined(admin, "kept", to=to, **{"pass": ["utm_*", "sub", "vid"]})
    answer = visitor.get(f"{path}?utm_source=theirs&utm_id=1&sub=a&subs=b&sub=c&vid=v&gclid=g")
    assert answer.headers["location"] == f"{OFFER}?utm_source=mine&vid=fixed&utm_id=1&sub=a#end"


def test_an_address_never_outgrows_what_proxies_take(admin: httpx.Client, visitor: httpx.Client) -> None:
    path = defined(admin, "long", to=[{"url": f"{OFFER}?a={{data-a}}&b={{data-b}}"}], **{"pass": ["x*"]})
    answer = visitor.get(path, params={"vid": "v", "a": "é" * 2000, "b": "ok", "x1": "x" * 5000, "x2": "y"})
    assert answer.headers["location"] == f"{OFFER}?a=&b=ok&vid=v&x2=y"
    assert len(visitor.get(path, params={"x": "y" * 3400}).headers["location"]) <= 3500


def test_head_leads_on_and_records_nothing(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    path = defined(admin, "head", to=[{"url": f"{OFFER}?sub={{hit}}"}])
    answer = visitor.head(f"{path}?hit=h&vid=v&utm_source=x")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{OFFER}?sub=")
    assert visitor.head(f"/c/{PROJECT}/nothing").status_code == 404
    assert recorded(ingest_server, "head") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
    ],
)
def test_a_request_ahead_of_a_click_is_put_off(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client, name: str, value: str
) -> None:
    path = defined(admin, "ahead")
    answer = visitor.get(path, headers={name: value})
    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
    assert recorded(ingest_server, "ahead") == []


def test_other_methods_are_refused(admin: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = admin.request(method, f"/c/{PROJECT}/any")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "path", [f"/c/{PROJECT}/nothing", "/c/nobody/plain", "/c/nothing", f"/c/{PROJECT}/%0d%0ax", "/c/a/b/c"]
)
def test_an_unknown_link_leads_nowhere(visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(path, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/plain")


def test_an_inactive_link_falls_back(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    path = defined(admin, "off", is_active=False, fallback_url="https://shop.example/over")
    assert visitor.get(f"{path}?vid=v").headers["location"] == "https://shop.example/over"
    defined(admin, "off", is_active=False)
    assert visitor.get(path).status_code == 404
    assert recorded(ingest_server, "off") == []


def test_a_change_holds_within_a_second(admin: httpx.Client, visitor: httpx.Client) -> None:
    path = defined(admin, "changing")
    for number in range(3):
        url = f"{OFFER}/{number}"
        assert admin.put(f"{LINKS}/changing", json={**LINK, "to": [{"url": url}]}).status_code == 200
        time.sleep(1)
        assert visitor.get(path).headers["location"].startswith(url)
    assert admin.delete(f"{LINKS}/changing").status_code == 204
    time.sleep(1)
    assert visitor.get(path).status_code == 404


def test_a_path_without_project_is_the_hosts(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    defined(admin, "by-host")
    ingest_server.set_access(PROJECT, host="go.followed.example")
    try:
        for host in ("go.followed.example", "GO.followed.example:8443"):
            answer = visitor.get("/c/by-host?hit=h", headers={"host": host})
            assert answer.headers["location"].startswith(OFFER)
        assert visitor.get("/c/by-host", headers={"host": "other.example"}).status_code == 404
    finally:
        ingest_server.set_access(PROJECT, host="off")
    ingest_server.set_postbacks(PROJECT, "open")
    try:
        assert visitor.get("/c/by-host/").status_code == 302
    finally:
        ingest_server.set_postbacks(PROJECT, "off")
    assert len(recorded(ingest_server, "by-host")) == 3


HOSTILE = [
    "//evil.example",
    "https://evil.example/",
    "\\\\evil.example",
    "@evil.example",
    "\r\nLocation: https://evil.example",
    "\r\n\r\n<script>alert(1)</script>",
    "%0d%0aSet-Cookie:%20a=b",
    "javascript:alert(1)",
    "..",
    "/../..//evil.example",
    "{hit}",
    "{vid}{data-x}",
    "\x00",
    "é✓\u2028",
    "a" * 20_000,
    "#@evil.example",
    "?x=//evil.example",
    "; Domain=evil.example",
    '"><img src=x>',
    "\ud7ff\uffff",
]


@pytest.mark.parametrize("name", ["vid", "hit", "sid", "utm_source", "gclid", "external", "x", "sub"])
def test_nothing_of_a_request_decides_where_a_link_leads(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client, name: str
) -> None:
    url = (
        f"{OFFER}/{{data-{name}}}?v={{vid}}&h={{hit}}&s={{session}}&c={{clickid}}&u={{utm_source}}#{{data-x}}"
    )
    path = defined(admin, f"hostile-{name}", to=[{"url": url}], **{"pass": ["x", "utm_*", "gclid", "sub"]})
    tried = 0
    for value in HOSTILE:
        for host in ("evil.example", "a@evil.example", "evil.example:1@x"):
            answer = visitor.get(
                path, params={name: value}, headers={"host": host, "x-forwarded-host": "evil.example",
                                                     "forwarded": "host=evil.example;proto=javascript",
                                                     "x-forwarded-proto": "javascript"},
            )  # fmt: skip
            assert answer.status_code == 302, value[:100]
            location = urlsplit(answer.headers["location"])
            assert (location.scheme, location.netloc) == ("https", "offers.example")
            assert location.path.startswith("/spring/")
            assert answer.headers["location"].isascii() and len(answer.headers["location"]) <= 3500
            assert {name.lower() for name in answer.headers} <= {
                *("location", "cache-control", "referrer-policy", "x-robots-tag", "content-length", "date"),
                *("server", "set-cookie", "content-type"),
            }
            assert "evil" not in answer.headers.get("set-cookie", "")
            tried += 1
    assert tried == 60
    assert len(recorded(ingest_server, f"hostile-{name}")) == tried


def test_query_strings_that_are_no_text_lead_on_too(ingest_server: Server, admin: httpx.Client) -> None:
    path = defined(admin, "raw")
    for sent in ("vid=%ff%fe", "vid=%00", "&&&", "=", "vid", "%", "vid=%", "a=b" * 1000, "x&" * 20_000):
        answer = httpx.get(f"{ingest_server.url}{path}?{sent}")
        assert answer.status_code == 302, sent[:20]
        assert re.fullmatch(f"{OFFER}\\?vid=[0-9a-f%-]{{1,40}}", answer.headers["location"]), sent[:20]


def test_weights_are_kept_and_a_visitor_stays_where_it_was() -> None:
    to = [{"url": f"{OFFER}/{weight}", "weight": weight} for weight in (1, 2, 7)]
    found = Counter(chosen(to, f"visitor-{number}", "link")[0] for number in range(10_000))
    for number, share in ((1, 0.1), (2, 0.2), (3, 0.7)):
        assert abs(found[number] / 10_000 - share) <= 0.01
    for number in range(100):
        assert chosen(to, f"visitor-{number}", "link") == chosen(to, f"visitor-{number}", "link")
    # Another link draws anew.
    moved = sum(chosen(to, f"v-{n}", "link")[0] != chosen(to, f"v-{n}", "other")[0] for n in range(1000))
    assert moved > 300


def test_one_visitor_always_comes_to_the_same_target(admin: httpx.Client, visitor: httpx.Client) -> None:
    path = defined(admin, "split", to=[{"url": f"{OFFER}/{n}"} for n in range(4)], append_vid=False)
    found = {visitor.get(f"{path}?vid=v-7").headers["location"] for _ in range(10)}
    assert len(found) == 1
    assert len({visitor.get(path).headers["location"] for _ in range(60)}) == 4


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that records few clicks of an address."""
    server = start_ingest(
        tmp_path_factory.mktemp("clicks") / "home",
        FUNNELHOUSE_LINK_RATE_LIMIT="3/hour",
        FUNNELHOUSE_LINK_WAIT_MS="5000",
    )
    yield server
    server.stop()


def test_an_address_that_clicks_too_often_is_led_on_unrecorded(limited: Server) -> None:
    headers = {"x-api-key": limited.key(PROJECT, "admin")}
    with httpx.Client(base_url=limited.url, headers=headers) as admin:
        path = defined(admin, "flooded")
    for _ in range(5):
        answer = httpx.get(limited.url + path)
        assert answer.status_code == 302
        assert "retry-after" not in answer.headers
    assert len(recorded(limited, "flooded")) == 3
    assert 'funnelhouse_clicks_unrecorded_total{why="rate_limit"} 2.0' in metrics_of(limited)
    until([("flooded", "rate_limit", 2)], lambda: unrecorded(limited))


def metrics_of(server: Server) -> list[str]:
    return httpx.get(f"{server.url}/ingest/metrics").text.splitlines()


@pytest.fixture
def tracker(admin: httpx.Client) -> Iterator[Callable[..., None]]:
    """`tracker(…)`: put the project's tracker, and wait until it holds."""

    def put(**members: Any) -> None:
        assert admin.put(f"/v1/projects/{PROJECT}/tracker", json=members).status_code == 200
        time.sleep(1)

    yield put
    admin.delete(f"/v1/projects/{PROJECT}/tracker")
    time.sleep(1)


def session_cookie(idle_minutes: float = 0) -> str:
    """A session's cookie, as the tracker's script writes it."""
    last_ms = int((time.time() - idle_minutes * 60) * 1000)
    return f"fh_ses=s-cookie.{last_ms - 60_000}.{last_ms}"


def last(server: Server, link_id: str) -> dict[str, Any]:
    return recorded(server, link_id)[-1]


def test_cookies_know_visitor_and_session(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    path = defined(admin, "cookies")
    first = visitor.get(path)
    made = query(first)["vid"]
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made)
    cookie = f"fh_vid={made}; Max-Age=34560000; Path=/; SameSite=Lax"
    assert first.headers["set-cookie"] == cookie
    again = visitor.get(path, headers={"cookie": f"fh_vid={made}; {session_cookie()}"})
    assert (query(again)["vid"], again.headers["set-cookie"]) == (made, cookie)
    assert last(ingest_server, "cookies")["session_id"] == "s-cookie"
    visitor.get(path, headers={"cookie": f"fh_vid={made}; {session_cookie(31)}"})
    assert last(ingest_server, "cookies")["session_id"] is None
    # The address goes before the cookie, whose session is another visitor's then, and which stays.
    other = visitor.get(f"{path}?vid=v-9", headers={"cookie": f"fh_vid={made}; {session_cookie()}"})
    assert (query(other)["vid"], other.headers.get("set-cookie")) == ("v-9", None)
    assert last(ingest_server, "cookies")["session_id"] is None
    for cookie in ("fh_vid=%0d%0a; fh_ses=x", "fh_vid=a b; fh_ses=s.1", "fh_vid=" + "a" * 5000, "=;;"):
        answer = visitor.get(path, headers={"cookie": cookie})
        assert re.fullmatch("[0-9a-f-]{36}", query(answer)["vid"])


@pytest.mark.long
def test_who_asks_not_to_be_known_is_not(
    ingest_server: Server,
    admin: httpx.Client,
    visitor: httpx.Client,
    tracker: Callable[..., None],
) -> None:
    to = [{"url": f"{OFFER}?v={{vid}}&h={{hit}}&g={{gclid}}&c={{clickid}}"}]
    path = defined(admin, "privacy", to=to, append_vid=False)
    known = f"{path}?vid=v-1&hit=h-1&sid=s-1&gclid=g-1&external=e-1&utm_source=mail"
    cookie = f"fh_vid=v-cookie; {session_cookie()}"

    def followed(address: str = known, **headers: str) -> tuple[httpx.Response, dict[str, Any]]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = visitor.get(address, headers={"cookie": cookie, **names})
        assert answer.status_code == 302
        return answer, last(ingest_server, "privacy")

    # By default Global Privacy Control is about ads.
    answer, click = followed(sec_gpc="1")
    assert query(answer) == {"v": "v-1", "h": "h-1", "utm_source": "mail"}
    assert (click["click_id"], click["properties"]["consent"]) == (None, "denied")
    assert click["payload"] == "vid=v-1&hit=h-1&sid=s-1&utm_source=mail"
    answer, click = followed(sec_gpc="0")
    assert (query(answer)["g"], query(answer)["c"]) == ("g-1", "e-1")
    assert "consent" not in click["properties"]
    answer, click = followed(path, cookie=f"{cookie}; fh_consent=granted.denied")
    assert (click["visitor_id"], click["properties"]["consent"]) == ("v-cookie", "denied")

    for members, headers in (
        ({"gpc": "all"}, {"sec_gpc": "1"}),
        ({"dnt": "all"}, {"dnt": "1"}),
        ({}, {"cookie": f"{cookie}; fh_consent=denied"}),
    ):
        tracker(**members)
        answer, click = followed(**headers)
        assert (click["hit_id"], click["session_id"], click["utm_source"]) == (None, None, "mail")
        assert click["visitor_id"] == query(answer)["v"] not in ("v-1", "v-cookie")
        assert "set-cookie" not in answer.headers
        # It is of this click alone.
        assert query(followed(**headers)[0])["v"] != query(answer)["v"]

    tracker(storage="none")
    answer, click = followed(path)
    assert click["visitor_id"] != "v-cookie" and "set-cookie" not in answer.headers
    # A page that knows its visitor without storage says so in the address.
    answer, click = followed()
    assert (click["visitor_id"], click["session_id"]) == ("v-1", "s-1")

    tracker(consent="required")
    answer, click = followed(path)
    assert click["visitor_id"] != "v-cookie" and "set-cookie" not in answer.headers
    answer, click = followed(path, cookie=f"{cookie}; fh_consent=granted.granted")
    assert click["visitor_id"] == "v-cookie" and "fh_vid=v-cookie;" in answer.headers["set-cookie"]


def test_a_cookie_of_a_domain_is_set_below_it_only(
    admin: httpx.Client, visitor: httpx.Client, tracker: Callable[..., None]
) -> None:
    path = defined(admin, "domain")
    tracker(cookie_domain=".shop.example", cross_domains=["sister.example"])
    for host, is_set in (("go.shop.example", True), ("shop.example:8443", True), ("badshop.example", False)):
        answer = visitor.get(path, headers={"host": host})
        assert ("Domain=shop.example" in answer.headers.get("set-cookie", "")) == is_set


def test_a_sister_site_takes_the_visitor_along(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client, tracker: Callable[..., None]
) -> None:
    to = [{"url": "https://de.sister.example/x", "page_id": "x"}]
    path = defined(admin, "sister", to=to)
    assert "_fh" not in query(visitor.get(f"{path}?vid=v-1&sid=s-1"))
    tracker(cross_domains=["sister.example"])
    visitor_id, session_id, ms = query(visitor.get(f"{path}?vid=v-1&sid=s-1"))["_fh"].split(".")
    assert (visitor_id, session_id) == ("v-1", "s-1")
    assert abs(int(ms, 36) / 1000 - time.time()) < 60
    assert "_fh" not in query(visitor.get(f"{path}?vid=v-1"))
    assert "_fh" not in query(visitor.get(f"{path}?vid=v.1&sid=s-1"))
    # Who comes from an ad is new: the session begins with the click.
    entered = query(visitor.get(f"{path}?utm_source=mail"))["_fh"].split(".")
    click, *_ = [e for e in recorded(ingest_server, "sister") if e["utm_source"] == "mail"]
    assert [click["visitor_id"], click["session_id"]] == entered[:2]


def test_what_a_tracker_removes_of_addresses_is_not_recorded(
    ingest_server: Server, admin: httpx.Client, visitor: httpx.Client
) -> None:
    path = defined(admin, "removed")
    visitor.get(path, headers={"referer": "https://shop.example/?a=1&token=secret&email=x@y.example#frag"})
    assert last(ingest_server, "removed")["referrer"] == (
        "https://shop.example/?a=1&token=removed&email=removed"
    )


# The store is away


HELD = """
import os, time
from pathlib import Path
import apsw
held = Path(os.environ["FUNNELHOUSE_HOME"]) / "held"

class File(apsw.VFSFile):
    def __init__(self, name, flags):
        super().__init__("unix", name, flags)

    def xSync(self, flags):
        while held.exists():
            if held.read_text() == "fails":
                raise apsw.IOError("injected")
            time.sleep(0.02)
        super().xSync(flags)

class Shim(apsw.VFS):
    def __init__(self):
        super().__init__("held", "unix", makedefault=True)

    def xOpen(self, name, flags):
        return File(name, flags)

shim = Shim()
from funnelhouse.settings import Settings
from ingest_api.server import serve
serve(Settings())
"""
"""A disk that answers no sync, or fails, as long as a file says so."""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Server]:
    server = start_ingest(tmp_path / "home", code=HELD)
    yield server
    (server.settings.home_dir / "held").unlink(missing_ok=True)
    assert server.stop() == 0


def follow_many(server: Server, path: str, number: int) -> list[httpx.Response]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        return [client.get(path) for _ in range(number)]


def unrecorded(server: Server) -> list[tuple[str, str, int]]:
    with closing(server.store()) as store:
        return store.query(
            "SELECT link_id, reason, sum(occurrences) FROM unrecorded_clicks GROUP BY 1, 2 ORDER BY 1, 2"
        )


def until(expected: Any, found: Callable[[], Any], seconds: float = 15) -> None:
    """Wait until something is found."""
    deadline = time.monotonic() + seconds
    while found() != expected:
        assert time.monotonic() < deadline, found()
        time.sleep(0.1)


def test_a_disk_that_does_not_answer_keeps_nobody(held: Server) -> None:
    headers = {"x-api-key": held.key(PROJECT, "admin")}
    with httpx.Client(base_url=held.url, headers=headers) as admin:
        path = defined(admin, "held", to=[{"url": f"{OFFER}?hit={{hit}}", "page_id": "offer"}])
    (held.settings.home_dir / "held").write_text("waits")
    answers = follow_many(held, path, 5)
    assert {answer.status_code for answer in answers} == {302}
    assert all(query(answer)["hit"] for answer in answers)
    # What waited is recorded when the disk answers again: nothing was lost.
    (held.settings.home_dir / "held").unlink()
    until(10, lambda: len(recorded(held, "held")))
    assert unrecorded(held) == []
    hits = {query(answer)["hit"] for answer in answers}
    assert {each["hit_id"] for each in recorded(held, "held") if each["kind"] == "visit"} == hits


def test_what_the_store_does_not_take_is_counted_when_it_does_again(held: Server) -> None:
    headers = {"x-api-key": held.key(PROJECT, "admin")}
    with httpx.Client(base_url=held.url, headers=headers) as admin:
        path = defined(admin, "failing")
    (held.settings.home_dir / "held").write_text("fails")
    answers = follow_many(held, path, 4)
    assert {answer.status_code for answer in answers} == {302}
    assert not any("retry-after" in answer.headers for answer in answers)
    until(True, lambda: 'funnelhouse_clicks_unrecorded_total{why="store"} 4.0' in metrics_of(held))
    (held.settings.home_dir / "held").unlink()
    until([("failing", "store", 4)], lambda: unrecorded(held))
    assert recorded(held, "failing") == []


@pytest.mark.long
def test_links_lead_on_while_postgresql_is_stopped(tmp_path: Path, postgres: Cluster) -> None:
    server = start_ingest(tmp_path / "home", postgres.new_database())
    try:
        headers = {"x-api-key": server.key(PROJECT, "admin")}
        with httpx.Client(base_url=server.url, headers=headers) as admin:
            path = defined(admin, "stopped")
            server.set_access(PROJECT, host="go.example")
            assert admin.get("/c/stopped", headers={"host": "go.example"}).status_code == 302
        postgres.stop("immediate")
        try:
            # Longer than anything is cached for.
            for _ in range(4):
                assert [answer.status_code for answer in follow_many(server, path, 2)] == [302] * 2
                by_host = httpx.get(f"{server.url}/c/stopped", headers={"host": "go.example"}, timeout=30)
                assert by_host.status_code == 302
                time.sleep(0.5)
            assert httpx.get(f"{server.url}/c/{PROJECT}/nothing").status_code == 404
        finally:
            postgres.start()
        until(12, lambda: sum(number for *_, number in unrecorded(server)), 30)
    finally:
        assert server.stop() == 0
