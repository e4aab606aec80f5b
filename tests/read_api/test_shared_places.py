"""No project keeps others from their reports: queries without end, exports that nobody reads, long rows."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pyarrow.parquet
import pytest
from example_marts import ReadServer, new_key, publish_rows, read_server
from servers import SERVE_READ, start_read

from funnelhouse.settings import Settings
from read_api import exports
from read_api.parameters import Days, Page
from read_api.places import BusyError, Places
from read_api.publications import Publications
from read_api.query_limits import QueryLimitError
from read_api.reader import PAGE_BYTES
from read_api.reports import goals

# DuckDB tries all ways to place the stars, for longer than anybody waits, and heeds no interrupt.
STUCK = "select repeat('a', 400) like ? escape '!'"
STARS = "%a" * 12 + "%b"

PATHS = ["/" + "a" * 400, "/blog", "/blog/", "/a%b_c!d", "/a.b", "/line\nbreak/x", "/\u00e4/*", "/x"]
_LIST = ", ".join(f"'{path}'" for path in PATHS)

# Of `evil` more than sockets and servers hold, and rows whose texts are long; of `shop` one row.
ROWS = f"""
    insert into fct_conversions (project_id, conversion_id, conversion_date, name, person_id)
    select 'evil', 'evil/' || range, date '2026-11-01', repeat(md5(range::text), 60), 'p'
    from range(12000);
    insert into fct_sessions (project_id, session_id, landing_url)
    select 'evil', 'evil/' || range, repeat(md5(range::text), 100) from range(5000);
    insert into fct_conversions (project_id, conversion_id, name) values ('shop', 'shop/1', 'p');
    insert into fct_conversion_reports (project_id, conversion_id, event_id, seq, payload)
    select 'evil', 'evil/0', range::text, range, repeat(md5(range::text), 20000) from range(40);
    insert into fct_attribution (project_id, conversion_id, conversion_date, model, touch_id, currency,
        credit_nano, credited_amount_minor)
    select 'evil', 'evil/0', date '2026-11-01', 'linear', range::text, 'USD', 1, 1 from range(501);
    insert into rpt_event_counts (project_id, event_type, event_date, page_path, events, completions)
    select 'evil', 'pageview', date '2026-11-01', unnest([{_LIST}]), 1, 1
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("places") / "home")
    publish_rows(settings, {}, sql=ROWS)
    return settings


@pytest.fixture(scope="module")
def server(home: Settings) -> Iterator[ReadServer]:
    with read_server(home.home_dir) as running:
        yield running


@pytest.fixture(scope="module")
def evil(server: ReadServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {new_key(server.settings, 'evil')}"}
    with httpx.Client(base_url=server.client.base_url, headers=headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("wildcard", "picked"),
    [
        ("/" + "*a" * 12 + "*b", []),
        ("/" + "*a" * 12, [PATHS[0]]),
        ("/blog*", ["/blog", "/blog/"]),
        ("/a%b_c!d", ["/a%b_c!d"]),
        ("/a_b", []),
        ("/a.b", ["/a.b"]),
        ("/line*/x", ["/line\nbreak/x"]),
        ("/line\nbreak*", ["/line\nbreak/x"]),
        ("*\u00e4*", ["/\u00e4/*"]),
        ("**", PATHS),
        ("blog", []),
        ("*" + "a*" * 2_000, []),
        ("\\Q*(?i)[/]{1}$^|", []),
    ],
)
def test_a_wildcard_picks_as_it_reads_and_comes_to_an_end(
    home: Settings, wildcard: str, picked: list[str]
) -> None:
    with Publications(home.published_dir).current("evil") as reader:
        found = goals.preview(reader, "evil", goals.Rule("url_path", wildcard, "wildcard"), Days())
        assert sum(each.events for each in found) == len(picked)


def test_a_rule_has_a_bound(evil: httpx.Client) -> None:
    asked = {"match_type": "url_path", "match_operator": "wildcard", "match_value": "*a" * 2049}
    answer = evil.get("/v1/projects/evil/reports/goals/preview", params=asked)
    assert (answer.status_code, answer.json()["detail"]) == (400, "match_value must have at most 4,096 bytes")


def test_a_project_has_its_share_of_places_and_of_those_who_wait() -> None:
    places = Places(3, 2, wait_seconds=20, waiting_of_one=1)
    with ExitStack() as taken:
        first, second = (taken.enter_context(places.take("evil")) for _ in range(2))
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(places.take, "evil")
            while not places._waiting:
                time.sleep(0.01)
            with pytest.raises(BusyError):
                places.take("evil")
            with places.take("shop"):
                assert not waiting.done()
            first.write_off()
            # Others have the place, its own project has not.
            with places.take("shop"), places.take("other"):
                assert not waiting.done()
                second.release()
                with places.take("third") as third:
                    third.release()
            waiting.result(20).release()
            first.release()
            assert (places.taken, places._held) == (0, {})


def test_a_query_that_heeds_no_interrupt_is_written_off(home: Settings) -> None:
    # In a process of its own, with which such queries end: here they would take a core from all other tests.
    code = (
        f"import os, sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; import {__name__} as tests;"
        f"tests.write_off_queries(Path({str(home.published_dir)!r})); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def write_off_queries(published_dir: Path) -> None:
    """What the test above tries."""
    publications = Publications(
        published_dir, query_seconds=0.2, grace_seconds=0.2, queries=2, wait_seconds=0.2
    )
    for _ in range(2):
        with publications.current("evil") as reader:
            with pytest.raises(QueryLimitError):
                reader.rows(STUCK, [STARS])
            with pytest.raises(QueryLimitError):
                reader.rows("select 1", [])
    with publications.current("shop") as reader:
        assert reader.rows("select name from fct_conversions where project_id = ?", ["shop"]) == [("p",)]
    # Its own project has none until they end.
    with publications.current("evil") as reader, pytest.raises(BusyError):
        reader.rows("select 1", [])


@pytest.mark.long
def test_a_server_ends_although_a_query_does_not(home: Settings) -> None:
    planted = (
        "import read_api.app as app, read_api.reports.summary as summary; Publications = app.Publications;"
        "app.Publications = lambda folder: Publications(folder, query_seconds=1, grace_seconds=1);"
        f"summary.by_day = lambda reader, *_: reader.rows({STUCK!r}, [{STARS!r}]);"
    )
    server = start_read(home.home_dir, planted + SERVE_READ)
    try:
        keys = {project: new_key(home, project) for project in ("evil", "shop")}

        def status(project: str, path: str) -> int:
            headers = {"Authorization": f"Bearer {keys[project]}"}
            answer = httpx.get(f"{server.url}/v1/projects/{project}/{path}", headers=headers, timeout=30)
            return answer.status_code

        with ThreadPoolExecutor() as threads:
            asked = [threads.submit(status, "evil", "reports/summary") for _ in range(4)]
            assert {each.result() for each in asked} == {503}
        assert status("shop", "marts/fct_conversions") == 200
        assert server.stop(signal.SIGTERM) == 0
    finally:
        server.stop(signal.SIGKILL)


EXPORT = "/v1/projects/evil/marts/fct_sessions?format=csv"


def wait_for(client: httpx.Client, status: int) -> None:
    """Until a small export is answered so."""
    deadline = time.monotonic() + 60
    while client.get(f"{EXPORT}&session_id=none").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def unread(client: httpx.Client, path: str) -> socket.socket:
    """A request whose answer nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((client.base_url.host, client.base_url.port))
    key = client.headers["Authorization"]
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode())
    return connection


def test_exports_that_nobody_reads_refuse_nobody_else(server: ReadServer, evil: httpx.Client) -> None:
    with ExitStack() as kept:
        begun = [begins(kept.enter_context(unread(evil, EXPORT))) for _ in range(9)]
        assert begun == [b"HTTP/1.1 200"] * 4 + [b"HTTP/1.1 503"] * 5
        assert server.get("/v1/projects/shop/marts/fct_conversions", format="csv").status_code == 200
    wait_for(evil, 200)


def test_an_export_that_nobody_reads_is_ended(home: Settings) -> None:
    server = start_read(home.home_dir, f"import {exports.__name__} as e; e.PIECE_SECONDS = 0.5;" + SERVE_READ)
    try:
        headers = {"Authorization": f"Bearer {new_key(home, 'evil')}"}
        with ExitStack() as kept, httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
            connections = [kept.enter_context(unread(client, EXPORT)) for _ in range(4)]
            assert [begins(each) for each in connections] == [b"HTTP/1.1 200"] * 4
            wait_for(client, 200)
            for connection in connections:
                received = b"".join(iter(lambda each=connection: each.recv(65536), b""))  # type: ignore[misc]
                assert not received.endswith(b"0\r\n\r\n")
    finally:
        server.stop()


def begins(connection: socket.socket) -> bytes:
    """The first bytes of an answer, of which no more is read."""
    connection.settimeout(60)
    return connection.recv(12)


def rows_of(client: httpx.Client, path: str, **parameters: Any) -> tuple[list[dict[str, Any]], list[int]]:
    """All rows of a table, and how many bytes each page had."""
    rows: list[dict[str, Any]] = []
    sizes, cursor = [], ""
    while cursor is not None:
        answer = client.get(path, params={**parameters, "cursor": cursor})
        assert answer.status_code == 200, answer.text[:500]
        sizes.append(len(answer.content))
        body = answer.json()
        rows += body["rows"]
        cursor = body["next"]
    return rows, sizes


@pytest.mark.parametrize(
    ("path", "key", "count"),
    [
        ("marts/fct_conversions", "conversion_id", 12_000),
        ("marts/fct_conversion_reports", "event_id", 40),
        ("reports/conversions", "conversion_id", 12_000),
    ],
)
def test_pages_are_bounded_by_bytes_and_lose_no_row(
    evil: httpx.Client, path: str, key: str, count: int
) -> None:
    rows, sizes = rows_of(evil, f"/v1/projects/evil/{path}", limit=10_000)
    assert len(rows) == len({row[key] for row in rows}) == count
    assert len(sizes) > count // 10_000
    assert max(sizes) < 3 * PAGE_BYTES


def test_pages_of_csv_are_bounded_too(evil: httpx.Client) -> None:
    answer = evil.get("/v1/projects/evil/reports/conversions", params={"limit": 10_000, "format": "csv"})
    assert len(answer.content) < 3 * PAGE_BYTES
    assert answer.headers["funnelhouse-next"].endswith(f".{answer.text.count(chr(10)) - 1}")


def test_a_conversion_with_very_much_is_cut_and_says_so(evil: httpx.Client) -> None:
    body = evil.get("/v1/projects/evil/reports/conversions/evil/0").json()
    assert body["cut"] == ["reports", "credit"]
    assert 1 <= len(body["reports"]) < 40
    assert len(body["credit"]) == 500


def test_a_query_with_too_many_bytes_is_refused(home: Settings) -> None:
    with Publications(home.published_dir).current() as reader:
        with pytest.raises(QueryLimitError):
            reader.rows("select name from fct_conversions where ?", [True])
        ends = [1, 2, 3, 16, 17]
        for limit in ends:
            found = reader.page("select range from range(17) limit ? offset ?", [], Page(limit, 0))
            assert (len(found), reader.following) == (limit, limit if limit < 17 else None)


def test_an_export_holds_few_rows(home: Settings, tmp_path: Path) -> None:
    with Publications(home.published_dir).current() as reader:
        schema, batches = reader.batches("select name from fct_conversions where ?", [True])
        seen: list[int] = []

        def noted() -> Iterator[Any]:
            for batch in batches:
                seen.append(batch.nbytes)
                yield batch

        file = tmp_path / "x.parquet"
        file.write_bytes(b"".join(exports.parquet_file(schema, noted())))
    assert max(seen) < 2 * PAGE_BYTES
    read = pyarrow.parquet.ParquetFile(file)
    assert read.metadata.num_rows == 12_001
    assert 1 < read.metadata.num_row_groups < len(seen)


@pytest.mark.long
def test_cursors_count_the_projects_own_rows(server: ReadServer, home: Settings) -> None:
    # Of others there are 12,000 rows before.
    publish_rows(
        home,
        {},
        sql=ROWS
        + "; insert into fct_conversions (project_id, conversion_id) select 'shop', range from range(5)",
    )
    first = server.get("/v1/projects/shop/marts/fct_conversions", limit=2).json()
    assert first["next"].endswith(".2")
    rows, _ = rows_of(server.client, "/v1/projects/shop/marts/fct_conversions", limit=2)
    assert len(rows) == 6


@pytest.mark.long
def test_old_builds_are_shared_too(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    now = datetime.now(UTC)
    builds = [publish_rows(home, {}, now - timedelta(days=days)).build_id for days in (3, 2, 1, 0)]
    publications = Publications(home.published_dir)
    with ExitStack() as kept:
        kept.enter_context(publications.current("evil"))
        for build_id in builds[:2]:
            kept.enter_context(publications.build(build_id, "evil"))
        with pytest.raises(BusyError):
            publications.build(builds[2], "evil")
        kept.enter_context(publications.build(builds[2], "shop"))


def test_query_parameters_are_encoded(evil: httpx.Client) -> None:
    asked = urlencode(
        {"match_type": "url_path", "match_operator": "wildcard", "match_value": "/" + "*a" * 12 + "*b"}
    )
    answer = evil.get(f"/v1/projects/evil/reports/goals/preview?{asked}")
    assert (answer.status_code, answer.json()["events"]) == (200, 0)
