"""Postbacks: who may send them, as set on the command line; and any query string at all."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Server, start_ingest

from command_line.cli import main
from funnelhouse.access import CACHE_SECONDS, AccessRules, set_access
from ingest_api.arrival import Arrival
from ingest_api.dialects import funnelflux
from ingest_api.strict_json import BadInput
from record.landing import open_store

ARRIVAL = Arrival("shop", received_us=1_772_362_800_000_000, sender="browser", user_agent="x")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: what `/pb/` without a project means depends on all projects."""
    server = start_ingest(tmp_path_factory.mktemp("postbacks") / "home")
    server.key("one")
    server.key("two")
    yield server
    server.stop()


def status(server: Server, path: str) -> int:
    return httpx.get(f"{server.url}{path}?hit=h").status_code


def test_all_projects_are_off_at_first(server: Server) -> None:
    assert status(server, "/pb/") == 404
    assert status(server, "/pb/one/") == 404
    assert status(server, "/pb/one/None/") == 404


def test_the_one_open_project_is_meant_where_none_is_named(server: Server) -> None:
    server.set_postbacks("one", "open")
    assert status(server, "/pb/") == 200
    server.set_postbacks("two", "open")
    assert status(server, "/pb/") == 404
    assert status(server, "/pb/two/") == 200
    server.set_postbacks("one", "off")
    assert status(server, "/pb/") == 200
    server.set_postbacks("two", "off")
    assert status(server, "/pb/two/") == 404


@pytest.mark.long
def test_a_secret_opens_its_own_path_only(server: Server) -> None:
    path = server.set_postbacks("one", "secret")
    assert path is not None
    assert path.startswith("/pb/one/")
    assert status(server, path) == 200
    for wrong in ("/pb/", "/pb/one/", path[:-2], path.replace("one", "two")):
        assert status(server, wrong) == 404
    newer = server.set_postbacks("one", "secret")
    assert newer is not None
    assert (status(server, path), status(server, newer)) == (404, 200)
    server.set_postbacks("one", "open")
    # Networks that were given the address with the secret need not be told.
    assert status(server, newer) == 200
    server.set_postbacks("one", "off")
    assert status(server, newer) == 404


def test_head_reports_nothing(server: Server) -> None:
    server.set_postbacks("one", "open")
    landing = server.store()
    before = landing.query("SELECT count(*) FROM events")
    for path in ("/pb/", "/pb/one/", "/pb/one/secret/"):
        answer = httpx.head(f"{server.url}{path}?hit=h")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        assert httpx.options(f"{server.url}{path}?hit=h").status_code == 405
    assert landing.query("SELECT count(*) FROM events") == before
    server.set_postbacks("one", "off")


def test_the_command_line_prints_the_address_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNNELHOUSE_HOME", str(tmp_path))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["projects", "set", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    refused = CliRunner().invoke(main, ["projects", "set", "shop", "--postbacks", "open"])
    assert (refused.exit_code, "unknown project" in refused.output) == (1, True)
    CliRunner().invoke(main, ["keys", "create", "--project", "shop", "--scopes", "ingest"])
    assert run("shop", "--postbacks", "open").endswith(":8001/pb/shop/?hit=REPLACE&tx=REPLACE&rev=REPLACE\n")
    secret = urlsplit(run("shop", "--postbacks", "secret")).path.split("/")[3]
    assert secret.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("landing.sqlite*"))
    store = open_store(tmp_path / "landing.sqlite")
    assert AccessRules(store).postback_project("shop", secret, "") == "shop"
    assert run("shop", "--postbacks", "off") == ""
    assert AccessRules(store).postback_project("shop", secret, "") is None


def test_a_change_takes_effect_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    store = open_store(tmp_path / "landing.sqlite")
    store.execute("INSERT INTO projects VALUES ('shop', 0)")
    rules = AccessRules(store)
    assert rules.postback_project("shop", None, "") is None
    set_access(store, "shop", postbacks="open")
    assert rules.postback_project("shop", None, "") is None
    now += CACHE_SECONDS
    assert rules.postback_project("shop", None, "") == "shop"


@settings(max_examples=300, deadline=None)
@given(query=st.data())
def test_any_query_and_body_is_one_event_or_bad_input(query: st.DataObject) -> None:
    pairs = st.lists(
        st.tuples(
            st.sampled_from(["hit", "vid", "p", "tx", "rev", "status", "currency", "%68it", "other"]),
            st.one_of(
                st.text(),
                st.sampled_from(["REPLACE", "{a}", "%7Ba%7D", "-1", "1.5", "%ff", "%00", "%", "eur", "a+b"]),
            ),
        ),
        max_size=6,
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode())
    anything = st.binary(max_size=100) | pairs
    sent_query, sent_body = query.draw(anything), query.draw(anything)
    try:
        (event,) = funnelflux.read(sent_query + b"\n" + sent_body, ARRIVAL).events
    except BadInput:
        return
    assert event.hit_id or event.visitor_id
    assert (event.sender, event.user_agent) == (ARRIVAL.sender, None)
    texts = [event.hit_id, event.visitor_id, event.page_id, event.transaction_id, event.status, event.payload]
    for text in filter(None, texts):
        assert "\0" not in text
        text.encode()
