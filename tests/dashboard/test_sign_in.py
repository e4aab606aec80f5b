"""Signing in and out over HTTP: what the browser gets, and what another site's form cannot do."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import httpx
import pytest
from servers import Server, free_port, start_read

from funnelhouse.keys import CACHE_SECONDS, list_keys, revoke_key
from read_api.app import create_app
from read_api.dashboard.sign_in import ATTEMPTS

_addresses = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A read server that believes what we say of the client; nothing is published, and ingest is down."""
    home: Path = tmp_path_factory.mktemp("sign_in") / "home"
    home.mkdir()
    running = start_read(
        home,
        FUNNELHOUSE_TRUSTED_PROXIES="127.0.0.1",
        FUNNELHOUSE_INGEST_URL=f"http://127.0.0.1:{free_port()}",
    )
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A browser at an address of its own."""
    headers = {"X-Forwarded-For": f"192.0.2.{next(_addresses)}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=10) as each:
        yield each


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def sign_in(client: httpx.Client, key: str, **more: str) -> httpx.Response:
    form = {"key": key, "csrf": token(client.get("/app/sign-in")), **more}
    return client.post("/app/sign-in", data=form)


def test_whoever_is_not_signed_in_is_sent_to_the_form_and_back(client: httpx.Client, server: Server) -> None:
    asked = "/app/projects/shop/sources?dates=all&by=medium"
    answer = client.get(asked)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/app/sign-in?next=")
    form = client.get(answer.headers["location"])
    assert "API key" in form.text
    following = httpx.URL(answer.headers["location"]).params["next"]
    assert following == asked
    assert sign_in(client, server.key(), next=following).headers["location"] == asked


@pytest.mark.parametrize(
    "following", ["https://evil.example/", "//evil.example", "/app/\\evil.example", "/v1/funnel", "/app/a\nb"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(
    client: httpx.Client, server: Server, following: str
) -> None:
    assert sign_in(client, server.key(), next=following).headers["location"] == "/app"


def test_the_key_stays_on_the_server(client: httpx.Client, server: Server) -> None:
    key = server.key()
    answer = sign_in(client, key)
    assert answer.status_code == 303
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("funnelhouse_session="))
    assert {"HttpOnly", "Path=/app", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    page = client.get("/app/keys")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    secret = key.rpartition("_")[2]
    assert secret not in page.text
    assert secret not in cookie


def test_the_cookie_is_secure_behind_a_proxy_with_tls(client: httpx.Client, server: Server) -> None:
    client.headers["X-Forwarded-Proto"] = "https"
    form = client.get("/app/sign-in")
    # As the browser would over https; httpx keeps a Secure cookie from an http server.
    client.cookies.set("funnelhouse_sign_in", token(form), path="/app")
    answer = client.post("/app/sign-in", data={"key": server.key(), "csrf": token(form)})
    assert answer.status_code == 303
    assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie") if "session" in cookie)


def test_every_sign_in_has_another_session(client: httpx.Client, server: Server) -> None:
    key = server.key()
    sign_in(client, key)
    first = client.cookies["funnelhouse_session"]
    client.get("/app/sign-in")
    client.cookies.set("funnelhouse_sign_in", "planted", path="/app")
    form = {"key": key, "csrf": "planted"}
    assert client.post("/app/sign-in", data=form).status_code == 303
    assert client.cookies["funnelhouse_session"] != first
    with httpx.Client(base_url=client.base_url, cookies={"funnelhouse_session": first}) as old:
        assert old.get("/app/keys").status_code == 303, "the one before has ended"


@pytest.mark.parametrize("key", ["", "nonsense", "fh_live_000000000000_" + "0" * 40])
def test_a_wrong_key_opens_nothing(client: httpx.Client, key: str) -> None:
    answer = sign_in(client, key)
    assert answer.status_code == 422
    assert "wrong or has ended" in answer.text
    assert "funnelhouse_session" not in client.cookies


def test_a_key_without_the_scope_read_is_told_so(client: httpx.Client, server: Server) -> None:
    answer = sign_in(client, server.key(scopes="ingest,admin"))
    assert answer.status_code == 422
    assert "scope read" in answer.text


def test_wrong_keys_are_limited_per_address(client: httpx.Client, server: Server) -> None:
    most = int(ATTEMPTS.partition("/")[0])
    answers = [sign_in(client, f"wrong {number}").status_code for number in range(most + 1)]
    assert answers == [422] * most + [429]
    client.headers["X-Forwarded-For"] = "198.51.100.7"
    assert sign_in(client, "wrong").status_code == 422


def test_a_right_key_opens_whatever_others_at_its_address_tried(client: httpx.Client, server: Server) -> None:
    for number in range(int(ATTEMPTS.partition("/")[0]) + 2):
        sign_in(client, f"wrong {number}")
    assert sign_in(client, server.key()).status_code == 303
    form = {"csrf": token(client.get("/app/keys")), "key": server.key("other")}
    assert client.post("/app/keys", data={**form, "key": "wrong"}).status_code == 429
    assert client.post("/app/keys", data=form).status_code == 303


def test_pages_of_a_project_are_compressed_for_who_takes_it(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key())
    for path in ("/app/keys", "/app/projects/shop/live", "/app/projects/shop/nothing"):
        found = {
            coding: client.get(path, headers={"Accept-Encoding": coding})
            for coding in ("gzip, br", "identity", "gzip;q=0")
        }
        codings = {coding: answer.headers.get("content-encoding") for coding, answer in found.items()}
        assert codings == {"gzip, br": "gzip", "identity": None, "gzip;q=0": None}, path
        assert {answer.headers["vary"] for answer in found.values()} == {"Accept-Encoding"}
        # What is secret in it is written differently each time, so that its length tells nothing.
        tokens = {token(answer) for answer in found.values()}
        assert len(tokens) == len(found)
        for each in tokens:
            assert client.post("/app/keys", data={"csrf": each, "key": "wrong"}).status_code == 422
    assert "content-encoding" not in httpx.get(f"{client.base_url}/app/sign-in").headers


def test_what_goes_wrong_in_a_project_is_said_in_its_frame(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key())
    answer = client.get("/app/projects/shop/setup/nothing")
    assert answer.status_code == 404
    for said in ("No such path", 'aria-label="Pages"', "/app/projects/shop/setup"):
        assert said in answer.text
    # Who may not see the project sees no frame of it.
    assert 'aria-label="Pages"' not in client.get("/app/projects/other/overview").text


def test_a_form_of_another_site_is_refused(client: httpx.Client, server: Server) -> None:
    key = server.key()
    own = f"http://{httpx.URL(server.url).netloc.decode()}"
    for origin, status in (("https://evil.example", 403), ("null", 403), (own, 303)):
        client.headers["Origin"] = origin
        assert sign_in(client, key).status_code == status, origin
    for path in ("/app/keys", "/app/sign-out"):
        client.headers["Origin"] = "https://evil.example"
        form = {"csrf": token(client.get("/app/keys")), "key": key}
        assert client.post(path, data=form).status_code == 403
        client.headers["Origin"] = own
        for wrong in ("", "x" * 43, "é"):
            assert client.post(path, data={**form, "csrf": wrong}).status_code == 403
    assert client.get("/app/keys").status_code == 200, "still signed in"


def test_signing_in_needs_the_forms_own_token(client: httpx.Client, server: Server) -> None:
    client.get("/app/sign-in")
    for wrong in ("", "guessed"):
        assert client.post("/app/sign-in", data={"key": server.key(), "csrf": wrong}).status_code == 403


def test_signing_out_ends_the_session_on_the_server(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key())
    session = client.cookies["funnelhouse_session"]
    answer = client.post("/app/sign-out", data={"csrf": token(client.get("/app/keys"))})
    assert (answer.status_code, answer.headers["location"]) == (303, "/app/sign-in")
    with httpx.Client(base_url=client.base_url, cookies={"funnelhouse_session": session}) as old:
        assert old.get("/app/keys").status_code == 303


def test_a_revoked_key_is_signed_out_within_a_second(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key("doomed", "read"))
    assert client.get("/app/projects/doomed/overview").status_code == 200
    with closing(server.store()) as store:
        [key] = list_keys(store, "doomed")
        revoke_key(store, key.key_id)
    time.sleep(CACHE_SECONDS)
    answer = client.get("/app/projects/doomed/overview")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/app/sign-in")


def test_htmx_is_told_to_go_to_the_form(client: httpx.Client) -> None:
    answer = client.get("/app/projects/shop/live/rows", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/app/sign-in")


def test_projects_are_those_of_the_sessions_keys(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key("first", "read"))
    assert client.get("/app/projects/second/live").status_code == 404
    form = {"csrf": token(client.get("/app/keys")), "key": server.key("second", "read")}
    assert client.post("/app/keys", data=form).headers["location"] == "/app/projects/second/overview"
    page = client.get("/app/keys").text
    assert "first" in page
    assert "second" in page
    # A key of scope admin alone opens no project, but lets one edit that is open.
    form["key"] = server.key("third", "admin")
    assert client.post("/app/keys", data=form).status_code == 422
    assert client.get("/app/projects/first/goals/new").status_code == 403
    form["key"] = server.key("first", "admin")
    assert client.post("/app/keys", data=form).status_code == 303
    assert client.get("/app/projects/first/goals/new").status_code == 200


def edited(method: str) -> list[str]:
    """What changes something of a project, and with GET the forms for it; every id is `some`."""
    routers = [getattr(each, "original_router", None) for each in create_app().routes]
    routes = [route for router in routers if router for route in router.routes]
    posted = {route.path for route in routes if "POST" in route.methods and "{project_id}" in route.path}
    found = {route.path for route in routes if method in route.methods and route.path in posted}
    return sorted(re.sub(r"\{\w+\}", "some", path.partition("{project_id}/")[2]) for path in found)


RATES = "exchange-rates"
"""A page for everybody, with forms for those who may edit; they are sent to its own address."""


def of_admins(paths: list[str]) -> list[str]:
    """Without notes: one for oneself takes no more than reading (tests/ingest/test_note_routes.py)."""
    return [path for path in paths if not path.startswith("notes")]


def test_reading_does_not_allow_editing(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key("readers", "read"))
    form = {"csrf": token(client.get("/app/keys")), "name": "n"}
    assert len(edited("POST")) > 15
    for path in of_admins(edited("POST")):
        assert client.post(f"/app/projects/readers/{path}", data=form).status_code == 403, path
    assert len(edited("GET")) > 10
    for path in of_admins(edited("GET")):
        answer = client.get(f"/app/projects/readers/{path}")
        if path == RATES:
            assert answer.status_code == 200
            assert 'method="post"' not in answer.text.partition("<main")[2]
        else:
            assert answer.status_code == 403, path


def test_every_form_wants_the_sessions_token_and_our_origin(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key("editors"))
    right = token(client.get("/app/keys"))
    for path in edited("POST"):
        address = f"/app/projects/editors/{path}"
        assert client.post(address, data={"name": "n"}).status_code == 403, path
        elsewhere = {"Origin": "https://evil.example"}
        assert client.post(address, data={"csrf": right}, headers=elsewhere).status_code == 403, path


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"csrf=%ff", "application/x-www-form-urlencoded", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 400),
        (b"a" * 70_000, "application/x-www-form-urlencoded", 413),
    ],
)
def test_what_is_no_form_is_refused(
    client: httpx.Client, content: bytes, content_type: str, status: int
) -> None:
    answer = client.post("/app/sign-in", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert "text/html" in answer.headers["content-type"]


def test_nothing_published_says_what_to_do(client: httpx.Client, server: Server) -> None:
    sign_in(client, server.key("early", "read"))
    for path in ("overview", "goals", "paths"):
        page = client.get(f"/app/projects/early/{path}")
        assert page.status_code == 200
        assert "First steps" in page.text
        assert "funnelhouse build" in page.text


def test_while_ingest_is_down_pages_say_so_and_forms_keep_their_fields(
    client: httpx.Client, server: Server
) -> None:
    sign_in(client, server.key("lonely", "read,admin"))
    for path in ("live", "live/rows"):
        page = client.get(f"/app/projects/lonely/{path}")
        assert page.status_code == 200
        assert "FUNNELHOUSE_INGEST_URL" in page.text
    form = {
        "csrf": token(client.get("/app/keys")),
        "name": "My goal",
        "match_type": "event_name",
        **dict.fromkeys(("operator", "property_key", "property_value", "minimum_amount"), ""),
        "value": "signup",
    }
    answer = client.post("/app/projects/lonely/goals/new", data=form)
    assert answer.status_code == 422
    assert "does not answer" in answer.text
    assert 'value="My goal"' in answer.text
    del form["value"]
    assert client.post("/app/projects/lonely/goals/new", data=form).status_code == 400


def test_static_files_are_those_of_the_folder_only(client: httpx.Client) -> None:
    style = client.get("/app/static/app.css")
    assert style.status_code == 200
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    for path in (
        "/app/static/",
        "/app/static/../sessions.py",
        "/app/static/%2e%2e/sessions.py",
        "/app/nothing",
    ):
        assert client.get(path).status_code in (303, 404), path
