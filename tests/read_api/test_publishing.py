"""Publication: complete or not at all, whatever breaks off, while others read."""

import csv
import io
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import httpx
import pyarrow as pa
import pytest
from example_marts import (
    EXAMPLE_ROWS,
    Rows,
    contract,
    credit,
    publish_rows,
    read_server,
    stage,
    write_warehouse,
)

from funnelhouse.settings import Settings
from publication.layout import lookup_key, new_build_id, published_builds
from publication.lookups import LOOKED_UP
from publication.publishing import (
    Changes,
    Publication,
    PublishError,
    point_current_at,
    publish,
)

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MARTS = sorted(contract())
# Enough where publishing is repeated many times.
FEW_MARTS = ["fct_touches", "rpt_attribution", "rpt_funnel_stages"]


def numbered(number: int) -> Rows:
    """Rows of which every mart carries the number."""
    rows = {mart: [{"project_id": "shop", "person_id": str(number)}] for mart in MARTS if mart[:3] == "fct"}
    return {
        **rows,
        "fct_conversion_reports": [{"project_id": "shop", "event_id": str(number)}],
        "fct_costs": [{"project_id": "shop", "source": str(number)}],
        "rpt_sources": [{"project_id": "shop", "source": str(number)}],
        "rpt_attribution": [credit(str(number), 10**9, number)],
        "rpt_funnel_stages": [stage("clicks", number, source_label=str(number))],
    }


def numbers_in(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The numbers that the marts carry: one, unless builds are mixed."""
    found = {
        "fct_conversion_reports": "event_id",
        "fct_costs": "source",
        "rpt_sources": "source",
        "rpt_attribution": "net_amount_minor",
        "rpt_funnel_stages": "completions",
    }
    marts = [name for (name,) in connection.execute("show tables").fetchall()]
    assert set(marts) >= set(FEW_MARTS)
    # All facts carry the number; of dimensions and reports those above, the others are empty.
    carrying = [mart for mart in marts if mart in found or mart[:3] == "fct"]
    return {
        str(number)
        for mart in carrying
        for (number,) in connection.execute(f"select {found.get(mart, 'person_id')} from {mart}").fetchall()
    }


def read_directly(published: Path) -> set[str]:
    with duckdb.connect(str(published / "current/marts.duckdb"), read_only=True) as connection:
        return numbers_in(connection)


def leftovers(published: Path) -> list[str]:
    return [path.name for path in published.iterdir() if path.name.startswith(".")]


def test_what_a_publication_is(home: Settings) -> None:
    write_path = home.warehouse_path
    home.home_dir.mkdir()
    write_warehouse(write_path, EXAMPLE_ROWS)
    build_id = new_build_id(START)
    assert build_id == "20261121T120000000000Z"
    done = publish(write_path, home.published_dir, MARTS, build_id, START, facts={"last_event_seq": 41})
    assert (done.build_id, done.folder, done.published_at) == (
        build_id,
        home.published_dir / build_id,
        START,
    )
    assert done.marts == {mart: len(EXAMPLE_ROWS.get(mart, [])) for mart in MARTS}
    assert json.loads((done.folder / "build.json").read_text()) == {
        "build_id": build_id,
        "published_at": "2026-11-21T12:00:00.000000Z",
        "marts": done.marts,
        "copies": 0,
        "last_event_seq": 41,
    }
    assert (home.published_dir / "current").readlink() == Path(build_id)
    # No write-ahead log, no spill folder.
    assert sorted(path.name for path in done.folder.iterdir()) == ["build.json", "marts.duckdb"]
    with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
        tags = connection.execute("select tags from duckdb_databases() where path is not null").fetchall()
        assert tags == [({"storage_version": "v1.2.0+"},)]
        for mart, columns in contract().items():
            found = connection.execute(f"describe {mart}").fetchall()
            assert {name: data_type.lower() for name, data_type, *_ in found} == columns
        rows = connection.execute("select project_id, conversion_date, conversion_id from fct_conversions")
        assert (in_file := rows.fetchall()) == sorted(in_file)
        comments = (
            "select comment from duckdb_columns() where column_name = 'project_id' and schema_name = 'main'"
        )
        assert connection.execute(comments).fetchall() == [("Tenant.",)] * len(MARTS)
        comments = "select comment from duckdb_tables() where table_name = 'rpt_sources'"
        assert connection.execute(comments).fetchall() == [("Mart's rows.",)]


def test_with_parquet_each_mart_is_a_file_of_the_same_rows(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, EXAMPLE_ROWS)
    build_id = new_build_id(START)
    publish(home.warehouse_path, home.published_dir, MARTS, build_id, START, with_parquet=True)
    folder = home.published_dir / "current"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["build.json", "marts.duckdb", *(f"{mart}.parquet" for mart in MARTS)]
    )
    with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as connection:
        for mart in MARTS:
            file = connection.read_parquet(str(folder / f"{mart}.parquet"))
            assert file.types == connection.table(mart).types
            assert file.fetchall() == connection.table(mart).fetchall()


def test_the_same_rows_give_the_same_order_whatever_order_they_came_in(home: Settings) -> None:
    backwards = {mart: list(reversed(rows)) for mart, rows in EXAMPLE_ROWS.items()}
    found = []
    for number, rows in enumerate((EXAMPLE_ROWS, backwards)):
        done = publish_rows(home, rows, START + timedelta(seconds=number))
        with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
            found.append([connection.execute(f"select * from {mart}").fetchall() for mart in MARTS])
    assert found[0] == found[1]


def test_every_row_is_looked_up_where_it_is(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, EXAMPLE_ROWS, MANY_SESSIONS)
    done = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(START), START)
    with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
        assert_looked_up(connection)
        for mart, column in LOOKED_UP:
            keys = connection.execute(f"select key from lookup.{mart}_by_{column}").fetchall()
            assert len(keys) == done.marts[mart] > 0
            # A row of these examples may lack the column.
            assert (found := [key for (key,) in keys if key is not None]) == sorted(found)


def assert_looked_up(connection: duckdb.DuckDBPyConnection) -> None:
    """Each row is where its look-ups say."""
    for mart, column in LOOKED_UP:
        astray = (
            f"select * from {mart} full join lookup.{mart}_by_{column} on {mart}.rowid = row_number "
            f"where key is distinct from {lookup_key(column)}"
        )
        assert connection.execute(astray).fetchall() == []


MANY_SESSIONS = (
    "insert into fct_sessions (project_id, session_id, person_id, page_views) "
    "select 'shop', range, 'p' || range % 700, 1 from range(130_000)"
)


@pytest.mark.long
def test_a_changed_copy_has_the_rows_of_the_warehouse(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, EXAMPLE_ROWS, MANY_SESSIONS)
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute("create table int_people_in_work (person_id varchar)")
    of_people = "person_id in (select person_id from warehouse.main.int_people_in_work)"
    since, copies = "", []
    for number, condition in enumerate([of_people, of_people, of_people, "false", of_people]):
        at = START + timedelta(minutes=number)
        with duckdb.connect(str(home.warehouse_path)) as warehouse:
            warehouse.execute(
                f"""
                delete from int_people_in_work;
                insert into int_people_in_work values ('p{number}'), ('new{number}'), ('p{690 + number}');
                delete from fct_sessions where person_id in ('p{number}', 'p{690 + number}');
                insert into fct_sessions (project_id, session_id, person_id, page_views)
                    select 'shop', 'n{number}-' || range, 'p{number}', 2 from range(1000 + {number})
                    union all select 'shop', 'm{number}', 'new{number}', 1;
                insert into rpt_sources (project_id, source, sessions) values ('shop', 's{number}', 1)
                """
            )
        # Since the one before, but for the last: it is told a wrong one.
        changes = Changes(since if number < 4 else new_build_id(START), {"fct_sessions": condition})
        before = (home.published_dir / since / "marts.duckdb").read_bytes() if since else b""
        done = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(at), at, changes=changes)
        assert not since or (home.published_dir / since / "marts.duckdb").read_bytes() == before
        since = done.build_id
        copies.append(json.loads((done.folder / "build.json").read_text())["copies"])
        with duckdb.connect() as connection:
            connection.execute(f"attach '{done.folder / 'marts.duckdb'}' as published (read_only)")
            connection.execute(f"attach '{home.warehouse_path}' as built (read_only)")
            for mart in MARTS:
                for one, other in (("published", "built"), ("built", "published")):
                    only = f"select * from {one}.{mart} except all select * from {other}.{mart}"
                    assert connection.execute(only).fetchall() == [], (number, mart)
                counted = connection.execute(f"select count(*) from published.{mart}").fetchone()
                assert counted == (done.marts[mart],)
        with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
            assert_looked_up(connection)
    # In the fourth, rows were changed that nobody told of: the mart was copied whole.
    assert copies == [0, 1, 2, 3, 0]


FOREIGN_COSTS = """
    insert into fct_costs
        (project_id, source, currency, amount_minor, reporting_currency, reporting_amount_minor)
    values
        ('shop', 'abroad', 'USD', 500, 'USD', 500),
        ('shop', 'abroad', 'EUR', 100, 'USD', 108),
        ('shop', 'abroad', 'XAU', 7, 'USD', null)
"""
"""One of the reporting currency, one converted, and one for which nobody knows a rate."""


def amounts_converted(contract: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """For each mart whose amounts are converted, the columns that have a twin."""
    found = {
        mart: [name for name in columns if f"reporting_{name}" in columns]
        for mart, columns in contract.items()
    }
    return {mart: names for mart, names in found.items() if len(names) > 1}


def test_the_schema_reporting_has_every_amount_in_one_currency(home: Settings) -> None:
    done = publish_rows(home, EXAMPLE_ROWS, START, FOREIGN_COSTS)
    with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
        views = connection.sql("select view_name from duckdb_views() where schema_name = 'reporting'")
        converted = amounts_converted(contract())
        assert {name for (name,) in views.fetchall()} == set(converted)
        # What is told to others is told as it was sold.
        assert not {"fct_forwardings", "fct_sessions", "dim_projects", "dim_goals"} & set(converted)
        for mart, names in converted.items():
            assert all(name == "currency" or name.endswith("_minor") for name in names)
            # The mart's columns and rows, but for what is converted.
            described = [
                [column[:2] for column in connection.sql(f"describe {table}").fetchall()]
                for table in (mart, f"reporting.{mart}")
            ]
            assert described[0] == described[1]
            kept = f"select * exclude ({', '.join(names)}) from"
            assert (
                connection.sql(f"{kept} reporting.{mart}").fetchall()
                == connection.sql(f"{kept} {mart}").fetchall()
            )
            for name in names:
                read = connection.sql(f"select {name} from reporting.{mart}").fetchall()
                assert read == connection.sql(f"select reporting_{name} from {mart}").fetchall()
    # However the file is called, and whatever else is open.
    with duckdb.connect() as connection:
        connection.execute(f"attach '{done.folder / 'marts.duckdb'}' as ours (read_only)")
        connection.execute("set search_path = 'ours.reporting,ours.main'")
        costs = connection.sql(
            "select currency, sum(amount_minor) from fct_costs where source = 'abroad' group by 1"
        )
        assert costs.fetchall() == [("USD", 608)]
        assert connection.sql("select count(*) from fct_sessions").fetchall() == [
            (done.marts["fct_sessions"],)
        ]
        comment = (
            "select distinct comment from duckdb_columns() where table_name = 'fct_costs' and column_name = ?"
        )
        said = "in the reporting currency, at the rate of"
        (amount,) = connection.execute(
            f"{comment} and schema_name = 'reporting'", ["amount_minor"]
        ).fetchone() or [""]
        assert said in amount


def published_again(
    home: Settings, since: Publication, at: datetime, marts: Sequence[str] = MARTS
) -> Publication:
    """What follows a publication, as a copy of it in which no touch has changed."""
    changes = Changes(since.build_id, {"fct_touches": "false"})
    return publish(home.warehouse_path, home.published_dir, marts, new_build_id(at), at, changes=changes)


def test_a_changed_copy_converts_what_its_marts_are_now(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, EXAMPLE_ROWS, FOREIGN_COSTS)
    first = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(START), START)
    at = START + timedelta(minutes=1)
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute("alter table fct_attribution drop column reporting_currency")
        warehouse.execute("update fct_costs set reporting_amount_minor = 9 where currency = 'XAU'")
    done = published_again(home, first, at)
    assert json.loads((done.folder / "build.json").read_text())["copies"] == 1
    with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as connection:
        views = connection.sql("select view_name from duckdb_views() where schema_name = 'reporting'")
        assert {name for (name,) in views.fetchall()} == {*amounts_converted(contract())} - {
            "fct_attribution"
        }
        gold = connection.sql("select amount_minor from reporting.fct_costs where reporting_amount_minor = 9")
        assert gold.fetchall() == [(9,)]


@pytest.mark.parametrize("seed", range(4))
def test_reports_are_changed_by_the_days_that_differ(home: Settings, seed: int) -> None:
    """Whatever became of rows: other numbers, gone, more of them, twice, of no day, a column more."""
    chance = random.Random(seed)
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {})
    tables = ("rpt_traffic", "rpt_goals", "rpt_data_trust")
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute("""
            insert into rpt_traffic by name
            select 'shop-' || i % 3 as project_id, date '2026-01-01' + (i % 90)::integer as report_date,
                'source ' || i % 7 as source, i as sessions, i * 1000 as net_amount_minor
            from range(3000) as numbers (i)
        """)
        warehouse.execute("""
            insert into rpt_goals by name
            select 'shop' as project_id, date '2026-01-01' + (i % 50)::integer as report_date,
                'goal ' || i % 3 as goal_id, i as completions
            from range(500) as numbers (i)
        """)
    done = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(START), START)
    changes = [
        "update rpt_traffic set sessions = 7 where source = 'source 3' and report_date < '2026-01-05'",
        "delete from rpt_traffic where project_id = 'shop-1' and report_date = '2026-02-03'",
        "insert into rpt_traffic select * from rpt_traffic where report_date = '2026-03-01'",
        "insert into rpt_traffic by name select 'shop-9' as project_id, 5 as sessions",
        "update rpt_traffic set source = null where report_date = '2026-01-20'",
        "update rpt_goals set completions = completions + 1",
        "alter table rpt_goals add column is_new varchar default 'yes'",
        "delete from rpt_goals",
        "update rpt_traffic set report_date = null where report_date = '2026-01-31' and source = 'source 1'",
    ]
    for number in range(1, 6):
        at = START + timedelta(minutes=number)
        with duckdb.connect(str(home.warehouse_path)) as warehouse:
            for change in chance.sample(changes, chance.randrange(4)):
                if "alter" not in change or "is_new" not in warehouse.table("rpt_goals").columns:
                    warehouse.execute(change)
            built = {name: warehouse.table(name).order("all").fetchall() for name in tables}
            columns = {name: warehouse.table(name).columns for name in tables}
        done = published_again(home, done, at)
        with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as published:
            for name in tables:
                assert published.table(name).columns == columns[name]
                assert published.table(name).order("all").fetchall() == built[name]
                assert done.marts[name] == len(built[name])


def test_a_day_that_differs_leaves_the_others_where_they_are(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {})
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute("""
            insert into rpt_traffic by name
            select 'shop' as project_id, date '2026-01-01' + (i // 100)::integer as report_date, i as sessions
            from range(3000) as numbers (i)
        """)
    first = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(START), START)
    at = START + timedelta(minutes=1)
    with duckdb.connect(str(home.warehouse_path)) as warehouse:
        warehouse.execute("update rpt_traffic set sessions = 0 where report_date = '2026-01-03'")
    done = published_again(home, first, at)
    with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as published:
        days = published.sql("select report_date from rpt_traffic order by rowid").fetchall()
        assert [str(day) for (day,) in days[-100:]] == ["2026-01-03"] * 100
        assert len(days) == 3000


def test_rows_that_are_the_same_are_counted(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {})
    done = None
    for number, sources in enumerate((["a", "a", "b"], ["a", "b", "b"], ["b", "b", "b"], ["a", "b", "b"])):
        at = START + timedelta(minutes=number)
        with duckdb.connect(str(home.warehouse_path)) as warehouse:
            warehouse.execute("delete from rpt_traffic")
            # Others, so that few of all differ.
            for source in [*sources, *map(str, range(20))]:
                warehouse.execute(
                    "insert into rpt_traffic by name "
                    "select 'shop' as project_id, date '2026-01-01' as report_date, ? as source",
                    [source],
                )
        if done is None:
            done = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(at), at)
        else:
            done = published_again(home, done, at)
        with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as published:
            found = published.sql("select source from rpt_traffic where source >= 'a' order by 1").fetchall()
            assert [source for (source,) in found] == sources


def test_marts_of_somebody_s_own_are_changed_whatever_their_columns_are_called(home: Settings) -> None:
    home.home_dir.mkdir()
    own = 'create table rpt_own ("order" bigint, project_id varchar, "order day" date)'
    write_warehouse(home.warehouse_path, {}, own)
    done = None
    for number in range(3):
        at = START + timedelta(minutes=number)
        with duckdb.connect(str(home.warehouse_path)) as warehouse:
            warehouse.execute(f"insert into rpt_own values ({number}, 'shop', '2026-01-0{number + 1}')")
            built = warehouse.table("rpt_own").order("all").fetchall()
        marts = ["fct_touches", "rpt_own"]
        if done is None:
            done = publish(home.warehouse_path, home.published_dir, marts, new_build_id(at), at)
        else:
            done = published_again(home, done, at, marts)
        with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as published:
            assert published.table("rpt_own").order("all").fetchall() == built


def test_sessions_without_days_are_published_all_the_same(home: Settings) -> None:
    done = publish_rows(home, EXAMPLE_ROWS, START, "alter table fct_sessions drop column session_date")
    assert done.marts["fct_sessions"] > 0


def test_after_many_copies_the_file_is_made_anew(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publication.publishing.MOST_COPIES", 2)
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, EXAMPLE_ROWS)
    since, copies = "", []
    for number in range(5):
        at = START + timedelta(minutes=number)
        done = publish(
            home.warehouse_path,
            home.published_dir,
            FEW_MARTS,
            new_build_id(at),
            at,
            changes=Changes(since, {"fct_touches": "false"}),
        )
        since = done.build_id
        copies.append(json.loads((done.folder / "build.json").read_text())["copies"])
    assert copies == [0, 1, 2, 0, 1]


def test_what_cannot_be_published_changes_nothing(home: Settings) -> None:
    first = publish_rows(home, numbered(1), START)

    def refuse(marts: list[str], build_id: str, message: str) -> None:
        with pytest.raises(PublishError, match=message):
            publish(home.warehouse_path, home.published_dir, marts, build_id, START)
        assert read_directly(home.published_dir) == {"1"}
        assert leftovers(home.published_dir) == []

    refuse(MARTS, first.build_id, "already published")
    refuse(MARTS, "../elsewhere", "is not a build id like 20261121T120000000000Z")
    refuse([*MARTS, "rpt_missing"], new_build_id(START + timedelta(seconds=1)), "no mart 'rpt_missing'")
    refuse(["RPT_SOURCES; drop"], new_build_id(START + timedelta(seconds=1)), "no mart")
    publish_rows(home, numbered(2), START + timedelta(seconds=1))
    link = home.published_dir / "current"
    build = link.readlink()
    link.unlink()
    shutil.copytree(home.published_dir / build, link)
    with pytest.raises(PublishError, match="current is not a link to a build"):
        publish_rows(home, numbered(3), START + timedelta(seconds=2))
    assert leftovers(home.published_dir) == []
    link.rename(home.home_dir / "moved away")
    publish_rows(home, numbered(3), START + timedelta(seconds=2))
    assert read_directly(home.published_dir) == {"3"}


def test_a_kept_build_can_be_shown_again(home: Settings) -> None:
    first = publish_rows(home, numbered(1), START)
    publish_rows(home, numbered(2), START + timedelta(seconds=1))
    point_current_at(home.published_dir, first.build_id)
    assert read_directly(home.published_dir) == {"1"}
    with pytest.raises(PublishError, match="is not published"):
        point_current_at(home.published_dir, "20200101T000000000000Z")
    assert read_directly(home.published_dir) == {"1"}


@pytest.mark.long
def test_the_newest_three_builds_and_the_last_of_fourteen_days_stay(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {})
    times = [START + timedelta(days=day, hours=hour) for day in range(20) for hour in (-3, 0, 3)]
    for at in times:
        publish(home.warehouse_path, home.published_dir, ["rpt_sources"], new_build_id(at), at)
    last_of_days = [new_build_id(at) for at in times[2::3]][-14:]
    assert published_builds(home.published_dir) == sorted({*last_of_days, *map(new_build_id, times[-3:])})
    # After a pause the newest three are there though they are old.
    at = times[-1] + timedelta(days=100)
    publish(home.warehouse_path, home.published_dir, ["rpt_sources"], new_build_id(at), at)
    assert published_builds(home.published_dir) == [*map(new_build_id, times[-2:]), new_build_id(at)]


# Ends the process, as a crash would, just before the nth change that publishing makes to the file system.
PUBLISH_AND_DIE = """
import os, sys
from datetime import datetime
from pathlib import Path
from publication.layout import new_build_id
from publication.publishing import publish

home, at, countdown = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), int(sys.argv[4])
CHANGES = {
    "open", "os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"
}

def count(event, arguments):
    global countdown
    if event in CHANGES and "published" in str(arguments[0]) + str(arguments[-1]):
        countdown -= 1
        if countdown == 0:
            os._exit(9)

sys.addaudithook(count)
publish(home / "warehouse.duckdb", home / "published", sys.argv[3].split(","), new_build_id(at), at)
"""


@pytest.mark.long
def test_a_crash_at_any_step_leaves_a_whole_publication(home: Settings, tmp_path: Path) -> None:
    # Old builds, so that pruning is broken off too, and leftovers of an earlier crash.
    for number in range(1, 4):
        publish_rows(home, numbered(number), START - timedelta(days=40 - number))
    (home.published_dir / ".20200101T000000000000Z.tmp").mkdir()
    (home.published_dir / ".current.tmp").symlink_to("nowhere")
    write_warehouse(home.warehouse_path, numbered(4))

    seen, step, code = [], 0, 9
    while code == 9:
        step += 1
        trial = tmp_path / f"trial{step}"
        shutil.copytree(home.home_dir, trial, symlinks=True)
        command = [
            sys.executable,
            "-c",
            PUBLISH_AND_DIE,
            trial,
            START.isoformat(),
            ",".join(FEW_MARTS),
            str(step),
        ]
        code = subprocess.run(command, check=False).returncode
        published = trial / "published"
        number = read_directly(published)
        assert number in ({"3"}, {"4"})
        seen.append(number.pop())

        at = START + timedelta(seconds=1)
        publish(trial / "warehouse.duckdb", published, FEW_MARTS, new_build_id(at), at)
        assert read_directly(published) == {"4"}
        assert leftovers(published) == []
        assert all((published / build_id / "build.json").exists() for build_id in published_builds(published))
        shutil.rmtree(trial)
    assert code == 0
    # Steps before the swap show the old build, those after it the new one, and there are several of both.
    assert seen == sorted(seen)
    assert seen.count("3") > 10
    assert seen.count("4") > 3


def build_number(started: datetime) -> str:
    """Numbered builds are a second apart."""
    return str(int((started - START).total_seconds()))


def keep_reading_directly(published: Path, stop: Path) -> set[str]:
    """The builds seen."""
    seen = [build_number(START)]
    while not stop.exists():
        found = read_directly(published)
        assert len(found) == 1, f"a mix of builds: {found}"
        seen.append(found.pop())
        assert int(seen[-1]) >= int(seen[-2]), "an older build after a newer one"
    return set(seen)


def keep_reading_over_http(url: str, key: str, stop: Path) -> set[str]:
    """The builds seen."""
    touches = "/v1/projects/shop/marts/fct_touches"
    paths: dict[str, Callable[[httpx.Response], str]] = {
        "/v1/projects/shop/reports/attribution": lambda answer: answer.json()["rows"][0]["value"],
        "/v1/funnel?account_id=shop&report_type=Source&date_range=20261102,20261102": (
            lambda answer: answer.json()["data"][0]["Source"]
        ),
        touches: lambda answer: answer.json()["rows"][0]["person_id"],
        f"{touches}?format=csv": lambda answer: next(csv.DictReader(io.StringIO(answer.text)))["person_id"],
        f"{touches}?format=arrow": (
            lambda answer: pa.ipc.open_stream(answer.content).read_all()["person_id"][0].as_py()
        ),
    }
    seen = [build_number(START)]
    with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=30) as client:
        while not stop.exists():
            for path, number_in in paths.items():
                answer = client.get(path)
                assert answer.status_code == 200, answer.text
                started = datetime.strptime(answer.headers["funnelhouse-build"], "%Y%m%dT%H%M%S%fZ")
                seen.append(build_number(started.replace(tzinfo=UTC)))
                assert number_in(answer) == seen[-1], "the figures of another build"
                assert int(seen[-1]) >= int(seen[-2]), "an older build after a newer one"
    return set(seen)


@pytest.mark.long
def test_readers_never_fail_nor_see_a_mix_while_builds_are_published(home: Settings, tmp_path: Path) -> None:
    def publish_number(number: int) -> None:
        publish_rows(home, numbered(number), START + timedelta(seconds=number))

    publish_number(1000)
    stop = tmp_path / "stop"
    context = multiprocessing.get_context("spawn")
    with read_server(home.home_dir) as server, ProcessPoolExecutor(4, mp_context=context) as readers:
        url, key = str(server.client.base_url), server.client.headers["authorization"].split()[1]
        reading = [readers.submit(keep_reading_directly, home.published_dir, stop) for _ in range(2)]
        reading += [readers.submit(keep_reading_over_http, url, key, stop) for _ in range(2)]
        try:
            for number in range(1001, 1011):
                publish_number(number)
                assert not any(reader.done() for reader in reading), "a reader failed"
        finally:
            stop.touch()
        # Each saw builds come, and neither pruning nor publishing was in its way.
        assert all(len(reader.result(60)) > 3 for reader in reading)
        assert len(published_builds(home.published_dir)) == 3
        assert server.get("/read/ready").json()["build"] == new_build_id(START + timedelta(seconds=1010))
