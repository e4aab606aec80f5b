"""`funnelhouse publish postgres` and `funnelhouse quarantine`, as they are typed."""

import csv
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import psycopg
import pytest

from funnelhouse.settings import Settings
from record.contract import Cost, row_values
from record.landing import open_store
from record.sealing import seal

DATABASE = "FUNNELHOUSE_PUBLISH_POSTGRES"


def typed(home: Settings, *arguments: str, within_s: float = 60, **environment: str) -> tuple[int, str, str]:
    """Exit code, what was said and what was complained of."""
    done = subprocess.run(
        [Path(sys.executable).with_name("funnelhouse"), *arguments],
        env={**os.environ, "FUNNELHOUSE_HOME": str(home.home_dir), **environment},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_the_published_marts_are_copied_to_postgresql(built_home, postgres):
    home = built_home.settings
    url = postgres.new_database()
    folder = (home.published_dir / "current").resolve()
    with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as marts:
        names = [name for (name,) in marts.execute("show tables").fetchall()]
        counted = {name: marts.execute(f"select count(*) from {name}").fetchone()[0] for name in names}
        sale = marts.execute("select conversion_id, net_amount_minor from fct_conversions").fetchall()
    said = f"Build {folder.name}: {len(counted)} marts, {sum(counted.values()):,} rows in schema"
    assert typed(home, "publish", "postgres", "--url", url) == (0, f"{said} funnelhouse.\n", "")
    # Again, and into another schema, by the settings.
    settings = {DATABASE: url, f"{DATABASE}_SCHEMA": "bi"}
    assert typed(home, "publish", "postgres", **settings) == (0, f"{said} bi.\n", "")
    given = ("--url", url, "--schema", "bi")
    assert typed(home, "publish", "postgres", *given) == (0, f"{said} bi.\n", "")
    with psycopg.connect(url) as connection:
        for schema in ("funnelhouse", "bi"):
            of_mart = connection.execute(f"select mart, row_count from {schema}.publication").fetchall()
            assert dict(of_mart) == counted
            rows = connection.execute(
                f"select conversion_id, net_amount_minor from {schema}.fct_conversions"
            ).fetchall()
            assert rows == sale != []


@pytest.mark.long
def test_verify_says_what_is_wrong_with_the_record(tmp_path):
    home = Settings(home=tmp_path / "home")
    assert typed(home, "verify")[::2] == (
        1,
        f"Error: {home.home_dir} does not exist; set FUNNELHOUSE_HOME.\n",
    )
    with closing(open_store(home.landing_store)) as store:
        cost = Cost(
            project_id="shop", received_us=0, day="1970-01-01", source="x", medium=None, campaign=None,
            amount_text="1", currency="USD",
        )  # fmt: skip
        store.append([("costs", [row_values(Cost)(cost)] * 5)])
    seal(home.landing_store, home.raw_dir)
    good = "1 files with 5 rows are unchanged.\n"
    assert typed(home, "verify") == (0, good, "")
    (sealed,) = (home.raw_dir / "costs").glob("*/seq-1-5.parquet")
    sealed.write_bytes(sealed.read_bytes()[:-1])
    code, said, complaint = typed(home, "verify")
    assert (code, complaint) == (1, "")
    assert said.startswith(f"{sealed} is not what was sealed: its content has changed.\n0 files")
    repaired = f"costs: positions 1 to 5 were rewritten.\n{good}"
    assert typed(home, "verify", "--repair") == (0, repaired, "")
    home.landing_path.write_bytes(b"")
    code, said, complaint = typed(home, "verify")
    assert (code, said, f"Error: {home.landing_path} is empty: " in complaint) == (1, "", True)


@pytest.mark.parametrize("command", [["keys", "list"], ["verify"], ["projects", "list"], ["serve", "ingest"]])
def test_a_landing_store_that_cannot_be_used_is_named(tmp_path, command):
    home = Settings(home=tmp_path / "home")
    (home.raw_dir / "events").mkdir(parents=True)
    home.landing_path.write_bytes(b"no database, but as long as one" * 100)
    code, said, complaint = typed(home, *command)
    assert code == 1
    assert f"{home.landing_path} is damaged" in said + complaint


@pytest.mark.parametrize("command", [["keys", "list"], ["verify"], ["serve", "ingest"]])
def test_a_home_that_cannot_be_made_is_named(tmp_path, command):
    (tmp_path / "file").touch()
    code, said, complaint = typed(Settings(home=tmp_path / "file" / "home"), *command)
    assert code == 1
    assert str(tmp_path / "file") in said + complaint


@pytest.mark.long
def test_what_keeps_marts_from_postgresql_is_said(built_home, empty_home, postgres):
    url = postgres.new_database()
    code, _, complaint = typed(built_home.settings, "publish", "postgres", **{DATABASE: ""})
    assert (code, "Give --url, or set FUNNELHOUSE_PUBLISH_POSTGRES." in complaint) == (2, True)
    code, _, complaint = typed(empty_home, "publish", "postgres", "--url", url)
    assert (code, complaint) == (1, "Error: nothing is published yet; run `funnelhouse build`\n")
    for wrong in (url.replace("funnelhouse@", "nobody:secret@"), "postgresql//u:secret@h/d"):
        code, _, complaint = typed(built_home.settings, "publish", "postgres", "--url", wrong)
        assert (code, complaint.startswith("Error: ")) == (1, True)
        assert "secret" not in complaint


def test_lines_for_the_quarantine_are_printed(built_home):
    code, said, complaint = typed(built_home.settings, "quarantine", "2", "1", "--reason", 'torn, "odd"')
    assert (code, complaint) == (0, "")
    with duckdb.connect() as connection:
        record = connection.execute(
            "select seq, received_us from read_parquet(?) order by seq",
            [f"{built_home.settings.raw_dir}/events/*/*.parquet"],
        ).fetchall()
    assert list(csv.reader(said.splitlines())) == [
        [str(seq), str(received_us), 'torn, "odd"'] for seq, received_us in record
    ]


@pytest.mark.parametrize("home", ["built_home", "empty_home"])
def test_what_is_not_in_the_record_cannot_be_quarantined(home, request):
    found = request.getfixturevalue(home)
    settings = found.settings if home == "built_home" else found
    code, said, complaint = typed(settings, "quarantine", "99", "1000", "--reason", "torn")
    assert (code, said) == (1, "")
    assert complaint == f"Error: no report in {settings.raw_dir} has seq 99, 1000\n"


@pytest.mark.long
def test_a_build_by_hand_does_what_all_settings_say_whatever_was_sent(
    home_copy, postgres, land_events, visit
):
    """One build with every setting that changes what a build leaves, and a page view that PostgreSQL's texts
    could not hold. It is a full one: what models made that are gone is dropped."""
    with duckdb.connect(str(home_copy.warehouse_path)) as warehouse:
        warehouse.execute("create table int_gone as select 1 as seq")
        warehouse.execute("create view int_gone_too as from int_gone")
    url = postgres.new_database()
    nul = "https://shop.example/a%00b?utm_source=a%00b&utm_medium=cpc&utm_campaign=c%00"
    undecoded = replace(visit, url=nul, utm_source=None, utm_medium=None)
    land_events(home_copy, replace(undecoded, event_id="nul", visitor_id="nul"))
    settings = {
        "FUNNELHOUSE_PUBLISH_POSTGRES": url,
        "FUNNELHOUSE_PUBLISH_POSTGRES_SCHEMA": "bi",
        "FUNNELHOUSE_PUBLISH_PARQUET": "true",
        "FUNNELHOUSE_BUILD_MEMORY": "2GB",
        "FUNNELHOUSE_LANDING_DAYS": "100000",
        "FUNNELHOUSE_HISTORY_DAYS": "3",
    }
    code, said, complaint = typed(home_copy, "build", "--full-refresh", within_s=900, **settings)
    assert (code, complaint) == (0, ""), said
    assert "Warning" not in said
    folder = (home_copy.published_dir / "current").resolve()
    assert f"Published as {folder.name}." in said
    with duckdb.connect(str(home_copy.warehouse_path), read_only=True) as warehouse:
        gone = "select count(*) from information_schema.tables where table_name like 'int_gone%'"
        assert warehouse.execute(gone).fetchone() == (0,)
    with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as marts:
        names = [name for (name,) in marts.execute("show tables").fetchall()]
        counted = {name: marts.execute(f"select count(*) from {name}").fetchone()[0] for name in names}
        sources = "select source, campaign from fct_sessions where visitor_id = 'nul'"
        # What is decoded is a text, and U+0000 is no part of one.
        assert marts.execute(sources).fetchall() == [("ab", "c")]
    assert {path.stem for path in folder.glob("*.parquet")} == set(names)
    with psycopg.connect(url) as connection:
        found = connection.execute("select mart, row_count, build_id from bi.publication").fetchall()
        assert {mart: count for mart, count, _ in found} == counted
        assert {build_id for _, _, build_id in found} == {folder.name}
        copied = connection.execute(sources.replace("fct_sessions", "bi.fct_sessions")).fetchall()
    assert copied == [("ab", "c")]
    with closing(open_store(home_copy.landing_store)) as store:
        # In the landing store for 100,000 days.
        assert store.query("SELECT count(*) FROM events") == [(1,)]
