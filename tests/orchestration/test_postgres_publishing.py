"""Publications copied to a real PostgreSQL, read there with psql and by sessions that run meanwhile."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg
import pytest

from orchestration.assets import postgres_check
from publication.postgres import PostgresPublishError, publish_to_postgres
from publication.publishing import publish

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BUILDS = [f"20260301T00000{n}000000Z" for n in range(5)]

BERLIN = "set timezone to 'Europe/Berlin'"
THINGS = "select * from marts.fct_things order by amount_minor"

FACTS = """
    create or replace table fct_things (
        project_id varchar, happened_at timestamp, fact_date date, amount_minor bigint,
        share decimal(28, 9), is_odd boolean, word varchar
    );
    comment on table fct_things is 'One row per thing, it''s said.';
    comment on column fct_things.word is 'A word; 50 % of them odd.';
    insert into fct_things values
        ('shop', '2026-03-01 12:00:00.000001', '2026-03-01', 9007199254740993, 0.333333333, true, null),
        ('shop', '2026-03-01 23:59:59', '2026-03-02', -1, 1234567890123456789.000000001, false, ''),
        ('shop', null, null, null, null, null, E'\\\\N\\t"x"\\n\\\\.\\nü 👍');
    create or replace table rpt_things as select 'shop' as project_id, 1::bigint as things;
"""


def published(tmp_path: Path, build_id: str, facts: str = FACTS, marts=("fct_things", "rpt_things")) -> Path:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(facts)
    return publish(tmp_path / "warehouse.duckdb", tmp_path / "published", marts, build_id, NOW).folder


def rows(url: str, query: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def url(postgres) -> str:
    return postgres.new_database()


def test_psql_reads_exactly_what_was_published(tmp_path, url):
    folder = published(tmp_path, BUILDS[0])
    assert publish_to_postgres(folder, url, "marts") == {"fct_things": 3, "rpt_things": 1}
    said = subprocess.run(
        [*f"psql {url} -X -A -t -F | -P null=NULL".split(), "-c", BERLIN, "-c", THINGS],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    ).stdout
    assert said == (
        "SET\n"
        "shop|2026-03-02 00:59:59+01|2026-03-02|-1|1234567890123456789.000000001|f|\n"
        "shop|2026-03-01 13:00:00.000001+01|2026-03-01|9007199254740993|0.333333333|t|NULL\n"
        'shop|NULL|NULL|NULL|NULL|NULL|\\N\t"x"\n\\.\nü 👍\n'
    )
    assert rows(
        url,
        "select attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)"
        " from pg_attribute where attrelid = 'marts.fct_things'::regclass and attnum > 0",
    ) == [
        ("project_id", "text", None),
        ("happened_at", "timestamp with time zone", None),
        ("fact_date", "date", None),
        ("amount_minor", "bigint", None),
        ("share", "numeric(28,9)", None),
        ("is_odd", "boolean", None),
        ("word", "text", "A word; 50 % of them odd."),
    ]
    assert rows(url, "select obj_description('marts.fct_things'::regclass)") == [
        ("One row per thing, it's said.",)
    ]
    assert rows(url, "select mart, build_id, row_count from marts.publication order by 1") == [
        ("fct_things", BUILDS[0], 3),
        ("rpt_things", BUILDS[0], 1),
    ]


def test_grants_views_and_indexes_outlive_the_next_build_and_its_new_columns(tmp_path, url):
    publish_to_postgres(published(tmp_path, BUILDS[0]), url, "marts")
    with psycopg.connect(url) as connection:
        connection.execute("create role analyst_a login")
        connection.execute("grant select on marts.rpt_things to analyst_a")
        connection.execute("create view public.ours as select things from marts.rpt_things")
        connection.execute("create index ours_too on marts.rpt_things (things)")
    more = (
        FACTS
        + "create or replace table rpt_things as select 'shop' project_id, date '2026-03-01' d, 2 things;"
    )
    publish_to_postgres(
        published(tmp_path, BUILDS[1], more.replace("2 things", "2::bigint things")), url, "marts"
    )
    assert rows(url, "select things from public.ours") == [(2,)]
    assert rows(url, "select has_table_privilege('analyst_a', 'marts.rpt_things', 'select')") == [(True,)]
    assert len(rows(url, "select 1 from pg_indexes where tablename = 'rpt_things'")) == 2
    assert rows(url, "select d::text from marts.rpt_things") == [("2026-03-01",)]


def test_a_column_that_a_view_needs_keeps_everything_as_it_was_and_names_the_view(tmp_path, url):
    publish_to_postgres(published(tmp_path, BUILDS[0]), url, "marts")
    with psycopg.connect(url) as connection:
        connection.execute("create view public.ours as select things from marts.rpt_things")
    less = (
        FACTS + "delete from fct_things; create or replace table rpt_things as select 'shop' as project_id;"
    )
    folder = published(tmp_path, BUILDS[1], less)
    with pytest.raises(PostgresPublishError, match="view ours depends on column things"):
        publish_to_postgres(folder, url, "marts")
    assert rows(url, "select count(*) from marts.fct_things") == [(3,)]
    assert rows(url, "select distinct build_id from marts.publication") == [(BUILDS[0],)]


def test_a_reader_sees_all_of_one_build_while_the_next_is_copied_and_does_not_wait(tmp_path, url):
    publish_to_postgres(published(tmp_path, BUILDS[0]), url, "marts")
    folder = published(tmp_path, BUILDS[1], FACTS + "delete from fct_things where word is null;")
    with psycopg.connect(url) as reader:
        reader.execute("set transaction isolation level repeatable read")
        assert reader.execute("select count(*) from marts.rpt_things").fetchone() == (1,)
        publish_to_postgres(folder, url, "marts")
        # The table that it had not looked at yet is of the same build.
        assert reader.execute("select count(*) from marts.fct_things").fetchone() == (3,)
        reader.commit()
        assert reader.execute("select count(*) from marts.fct_things").fetchone() == (2,)


def test_a_mart_that_is_gone_is_dropped_and_what_is_not_ours_stays(tmp_path, url):
    publish_to_postgres(published(tmp_path, BUILDS[0]), url, "marts")
    with psycopg.connect(url) as connection:
        connection.execute("create table marts.notes (note text)")
    publish_to_postgres(published(tmp_path, BUILDS[1], marts=["fct_things"]), url, "marts")
    tables = rows(
        url, "select table_name from information_schema.tables where table_schema = 'marts' order by 1"
    )
    assert tables == [("fct_things",), ("notes",), ("publication",)]


def test_what_goes_wrong_is_said_without_the_password(tmp_path, postgres):
    folder = published(tmp_path, BUILDS[0])
    for bad in ("postgresql://me:hunter2@127.0.0.1:1/none", "postgresql//me:hunter2@nowhere"):
        with pytest.raises(PostgresPublishError) as raised:
            publish_to_postgres(folder, bad, "marts")
        assert "hunter2" not in str(raised.value)
    shutil.copy(folder / "marts.duckdb", tmp_path / "marts.duckdb")
    with duckdb.connect(str(tmp_path / "odd.duckdb")) as odd:
        odd.execute("create table rpt_odd (share double)")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd.duckdb").rename(tmp_path / "odd" / "marts.duckdb")
    with pytest.raises(PostgresPublishError, match="type DOUBLE"):
        publish_to_postgres(tmp_path / "odd", postgres.new_database(), "marts")


def test_in_a_build_a_failed_copy_is_a_warning(tmp_path, postgres):
    folder = published(tmp_path, BUILDS[0])
    failed = postgres_check(folder, "postgresql://me@127.0.0.1:1/none", "marts")
    assert not failed.passed
    assert failed.description is not None
    assert failed.description.startswith("warning copied_to_postgres: connection failed")
    worked = postgres_check(folder, postgres.new_database(), "marts")
    assert worked.passed
    assert worked.metadata["fct_things"].value == 3


def test_marts_that_are_views_over_files_are_copied_alike(tmp_path, url):
    publish_to_postgres(published(tmp_path, BUILDS[0]), url, "marts")
    as_tables = rows(url, THINGS)
    files = tmp_path / "spark" / "fct_things"
    files.mkdir(parents=True)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as warehouse:
        for number in range(3):
            part = f"(from fct_things order by all limit 1 offset {number})"
            warehouse.execute(f"copy {part} to '{files}/part-{number}.parquet'")
    marts = ("fct_things", "rpt_things")
    folder = publish(
        tmp_path / "warehouse.duckdb",
        tmp_path / "published",
        marts,
        BUILDS[1],
        NOW,
        files={"fct_things": files},
    ).folder
    assert publish_to_postgres(folder, url, "marts") == {"fct_things": 3, "rpt_things": 1}
    assert rows(url, THINGS) == as_tables
    assert rows(url, "select obj_description('marts.fct_things'::regclass)") == [
        ("One row per thing, it's said.",)
    ]
    assert rows(url, "select distinct build_id from marts.publication") == [(BUILDS[1],)]
