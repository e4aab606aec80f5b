"""Marts that are views over Parquet files: readers get the same answers, wherever the home lies."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest
from example_marts import EXAMPLE_ROWS, TWO_YEARS, ReadServer, contract, publish_rows, read_server
from example_outbox import define_destinations, write_outbox
from mart_files import publish_in_files
from pages import Page, pages_in
from test_read_openapi import address, examples

from forwarding.publications import opened
from funnelhouse.problems import Refusal
from funnelhouse.settings import Settings
from publication.layout import lookup_key, new_build_id, published_builds
from publication.lookups import LOOKED_UP
from publication.publishing import PublishError, check_whole, publish
from read_api.opened_build import open_build
from read_api.publications import Publications

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FORMATS = ("csv", "json", "parquet", "arrow")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ReadServer, ReadServer]]:
    """Servers over the same marts of the same build: as tables, and as views."""
    folder = tmp_path_factory.mktemp("both")
    homes = [Settings(home=folder / name) for name in ("tables", "files")]
    publish_rows(homes[0], EXAMPLE_ROWS, NOW)
    publish_in_files(homes[1], EXAMPLE_ROWS, NOW)
    for home in homes:
        define_destinations(home)
        write_outbox(home)
    with read_server(homes[0].home_dir) as tables, read_server(homes[1].home_dir) as files:
        yield tables, files


def said(answer: httpx.Response) -> Any:
    """What an answer says, without what differs from one request to the next."""
    if "json" not in answer.headers["Content-Type"]:
        return answer.status_code, answer.content
    return answer.status_code, _without_chance(answer.json())


def _without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        # A cursor is encrypted; SQL says where its marts are found.
        return {
            name: bool(each) if name == "next" else _without_chance(each)
            for name, each in value.items()
            if name not in ("statement", "sql")
        }
    return [_without_chance(each) for each in value] if isinstance(value, list) else value


def test_every_route_answers_the_same(servers: tuple[ReadServer, ReadServer]) -> None:
    tables, files = servers
    paths = tables.get("/read/openapi.json").json()["paths"]
    asked = 0
    for path, methods in paths.items():
        if path.startswith("/read/"):
            continue
        operation = methods["get"]
        here, query = address(path, operation), examples(operation, "query")
        for more in ({}, {"money": "reporting"}):
            answers = [said(server.get(here, **{**query, **more})) for server in servers]
            assert answers[0] == answers[1], (path, more)
            asked += answers[0][0] == 200
    assert asked > 30
    assert files.get("/read/ready").json()["status"] == "ready"


@pytest.mark.long
def test_every_export_is_the_same(servers: tuple[ReadServer, ReadServer]) -> None:
    for mart in contract():
        for kind in FORMATS:
            found = [server.get(f"/v1/projects/shop/marts/{mart}", format=kind) for server in servers]
            assert found[0].status_code == found[1].status_code == 200, (mart, kind)
            contents = [
                # What pads its buffers is no part of the rows.
                pa.ipc.open_stream(answer.content).read_all() if kind == "arrow" else answer.content
                for answer in found
            ]
            assert contents[0] == contents[1], (mart, kind)


def test_pages_go_on_from_file_to_file(servers: tuple[ReadServer, ReadServer]) -> None:
    walks = []
    for server in servers:
        rows, cursor = [], {}
        while True:
            page = server.get("/v1/projects/shop/marts/fct_conversions", limit=4, **cursor).json()
            rows.append(page["rows"])
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        walks.append(rows)
    assert walks[0] == walks[1] and len(walks[0]) > 3


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Page]:
    """Pages of the dashboard over two years, as tables and as views."""
    folder = tmp_path_factory.mktemp("years")
    publish_rows(Settings(home=folder / "tables"), {}, NOW, TWO_YEARS)
    publish_in_files(Settings(home=folder / "files"), {}, NOW, TWO_YEARS, tables=["dim_projects"])
    return pages_in(Settings(home=folder / "tables")), pages_in(Settings(home=folder / "files"))


@pytest.mark.parametrize(
    "path",
    [
        "overview?from=2026-01-01&to=2026-12-20",
        "performance?from=2026-01-01&to=2026-12-20&money=reporting",
        "attribution?from=2025-01-01&to=2026-12-20",
        "people",
    ],
)
def test_pages_of_the_dashboard_are_the_same(pages: tuple[Page, Page], path: str) -> None:
    found = [re.sub(r'value="[A-Za-z0-9_=-]{80,}"', "", page(path)) for page in pages]
    assert found[0] == found[1]


@pytest.mark.long
def test_every_row_is_looked_up_where_it_is(home: Settings) -> None:
    done = publish_in_files(home, {}, NOW, TWO_YEARS)
    with Publications(home.published_dir).current("shop") as reader:
        for mart, column in LOOKED_UP:
            ((rows,),) = reader.rows(f"select count(*) from {mart}", [])
            found = reader.rows(
                f"select count(*) from lookup.{mart}_by_{column} as place, {mart} as row "
                f"where row.rowid = place.row_number and {lookup_key('row.' + column)} = place.key",
                [],
            )
            assert found == [(rows,)], (mart, column)
        assert reader.in_files >= {"fct_sessions", "fct_conversions", "fct_attribution"}
    assert done.marts["fct_sessions"] == 12_000


@pytest.mark.long
def test_what_a_view_says_of_itself(home: Settings) -> None:
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    said = json.loads((done.folder / "build.json").read_text())
    assert said["files"].keys() == {mart for mart, rows in done.marts.items() if rows}
    files = sorted((done.folder / "fct_conversions.parquet").iterdir())
    assert [file.name for file in files] == [f"part-{number:05}.parquet" for number in range(3)]
    assert [file.stat().st_size for file in files] == said["files"]["fct_conversions"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o444}
    assert not (done.folder / "named").exists() and check_whole(home.published_dir)
    with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
        connection.execute(f"set file_search_path = '{home.published_dir}'")
        # Whoever reads, wherever they are: times are UTC without a zone.
        connection.execute("set timezone = 'Asia/Tokyo'")
        for mart, columns in contract().items():
            found = connection.execute(f"describe {mart}").fetchall()
            assert {name: data_type.lower() for name, data_type, *_ in found} == columns
        at = connection.execute("select max(occurred_at) from fct_conversions where project_id = 'shop'")
        assert str(at.fetchone()[0]).startswith("2026-11-0")
        comments = connection.execute(
            "select distinct comment from duckdb_columns() where column_name = 'project_id' "
            "and schema_name = 'main'"
        )
        assert comments.fetchall() == [("Tenant.",)]
        views = connection.execute(
            "select view_name, comment from duckdb_views() where schema_name = 'main' and not internal"
        )
        assert dict(views.fetchall()) == dict.fromkeys(said["files"], "Mart's rows.")
        converted = connection.execute("select sum(amount_minor) from reporting.fct_conversions").fetchone()
        assert converted is not None


def test_a_home_that_is_moved_goes_on(home: Settings, tmp_path: Path) -> None:
    publish_in_files(home, EXAMPLE_ROWS, NOW)
    define_destinations(home)
    path = "/v1/projects/shop/conversions/shop%2Fopenanalytics:001"
    with read_server(home.home_dir) as server:
        before = server.get(path).json()
    moved = tmp_path / "a 'home', no longer there".replace(",", "") / "h=1"
    moved.parent.mkdir()
    shutil.move(home.home_dir, moved)
    with read_server(moved) as server:
        assert server.get(path).json() == before
    assert check_whole(Settings(home=moved).published_dir)


@pytest.mark.long
def test_the_read_api_can_read_nothing_but_the_files_of_its_build(home: Settings, tmp_path: Path) -> None:
    publish_in_files(home, {}, NOW - timedelta(days=1), TWO_YEARS)
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    (other,) = set(published_builds(home.published_dir)) - {done.build_id}
    outside = tmp_path / "outside.parquet"
    duckdb.sql("select 1 as secret").write_parquet(str(outside))
    build = open_build(done.build_id, done.folder, "1GB", 2)
    cursor = build.connection.cursor()
    assert cursor.execute("select count(*) from fct_conversions").fetchone() is not None
    inside = f"{done.build_id}/fct_conversions.parquet"
    for path in (
        outside,
        f"{home.published_dir}/{other}/fct_sessions.parquet/part-00000.parquet",
        f"{other}/fct_sessions.parquet/part-00000.parquet",
        f"{inside}/../../{other}/fct_sessions.parquet/part-00000.parquet",
        f"{done.folder}/../{other}/fct_sessions.parquet/part-00000.parquet",
        f"{inside}/*.parquet",
        done.folder / "build.json",
    ):
        with pytest.raises(duckdb.PermissionException):
            cursor.execute(f"select * from read_blob('{path}')").fetchall()
    for statement in (
        f"copy (select 1) to '{done.folder}/fct_conversions.parquet/part-00009.parquet'",
        f"attach '{home.warehouse_path}' as warehouse (read_only)",
        "set global file_search_path = '/'",
        f"set global allowed_paths = ['{outside}']",
        "set global enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error, match=r"disabled by|locked|Cannot"):
            cursor.execute(statement)
    build.close()


def test_a_view_replaced_by_one_over_another_file_reads_nothing(home: Settings, tmp_path: Path) -> None:
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    outside = tmp_path / "outside.parquet"
    duckdb.sql("select 'shop' as project_id, 'secret' as conversion_id").write_parquet(str(outside))
    marts = done.folder / "marts.duckdb"
    marts.chmod(0o644)
    with duckdb.connect(str(marts)) as connection:
        connection.execute(f"create or replace view fct_costs as from read_parquet('{outside}')")
    build = open_build(done.build_id, done.folder, "1GB", 2)
    with pytest.raises(duckdb.PermissionException):
        build.connection.execute("select * from main.fct_costs").fetchall()
    build.close()


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_files_that_are_gone_or_cut_are_said(home: Settings, damage: str) -> None:
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    file = done.folder / "fct_conversions.parquet" / "part-00001.parquet"
    with read_server(home.home_dir) as server:
        assert server.get("/read/ready").status_code == 200
        file.chmod(0o644)
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-100])
        assert not check_whole(home.published_dir)
    with pytest.raises(Refusal, match="missing, unreadable or damaged") as refused:
        Publications(home.published_dir).current("shop")
    assert refused.value.status == 503


def test_a_build_that_goes_while_it_is_read_is_gone(home: Settings) -> None:
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    publications = Publications(home.published_dir)
    with publications.build(done.build_id, "shop") as reader:
        shutil.rmtree(done.folder)
        with pytest.raises(Refusal, match="not kept any more") as refused:
            reader.rows("select count(conversion_id) from fct_conversions", [])
    assert refused.value.status == 410


@pytest.mark.long
def test_old_builds_go_with_their_files_and_half_ones_never_show(home: Settings) -> None:
    for day in range(6):
        publish_in_files(home, EXAMPLE_ROWS, NOW + timedelta(seconds=day))
    kept = published_builds(home.published_dir)
    assert len(kept) == 3
    assert {path.name for path in home.published_dir.iterdir()} == {*kept, "current"}
    # A table that this build does not have comes to its end half way.
    (home.home_dir / "spark" / "fct_costs").mkdir(parents=True)
    with pytest.raises(PublishError, match="no mart"):
        publish(
            home.warehouse_path,
            home.published_dir,
            ["fct_none"],
            new_build_id(NOW + timedelta(days=1)),
            NOW + timedelta(days=1),
            files={"fct_none": home.home_dir / "spark" / "fct_costs"},
        )
    assert {path.name for path in home.published_dir.iterdir()} == {*kept, "current"}


def test_a_folder_with_a_comma_is_refused(tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "a,b")
    with pytest.raises(PublishError, match="comma"):
        publish_in_files(home, EXAMPLE_ROWS, NOW)


@pytest.mark.long
def test_a_build_of_tables_after_one_of_files_starts_anew(home: Settings) -> None:
    from publication.publishing import Changes

    before = publish_in_files(home, EXAMPLE_ROWS, NOW)
    after = publish(
        home.warehouse_path,
        home.published_dir,
        list(contract()),
        new_build_id(NOW + timedelta(seconds=1)),
        NOW + timedelta(seconds=1),
        changes=Changes(before.build_id, {"fct_conversions": "false"}),
    )
    assert after.marts == before.marts
    shutil.rmtree(before.folder)
    with duckdb.connect(str(after.folder / "marts.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from fct_conversions").fetchone()


def test_destinations_are_told_from_files(home: Settings) -> None:
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    with opened(done.folder) as forwardings:
        assert forwardings is not None
        assert (
            sum(found.rows for found in forwardings.destinations().values())
            == done.marts["fct_forwardings"]
            > 0
        )


def test_tools_find_the_files_as_the_documents_say(home: Settings) -> None:
    """docs/bi.md: the folder is told by a statement, or the tool runs in it."""
    done = publish_in_files(home, EXAMPLE_ROWS, NOW)
    count = "select count(*) from fct_conversions"
    told = f"set file_search_path = '{home.published_dir}';"
    for cwd, statements in ((home.home_dir, told + count), (home.published_dir, count)):
        found = subprocess.run(
            [
                sys.executable,
                "-c",
                "import duckdb, sys\n"
                "c = duckdb.connect(sys.argv[1], read_only=True)\n"
                "print(c.execute(sys.argv[2]).fetchone()[0])",
                str(home.published_dir / "current" / "marts.duckdb"),
                statements,
            ],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert int(found) == done.marts["fct_conversions"]
