"""What is prepared beside the marts follows what a build changed, as if it were made anew."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from example_marts import TWO_YEARS, write_warehouse

from funnelhouse.settings import Settings
from publication.layout import lookup_key, new_build_id
from publication.lookups import LOOKED_UP, make_lookups
from publication.prepared import Prepared
from publication.publishing import Changes, publish

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MARTS = ("fct_attribution", "fct_conversions", "fct_sessions", "rpt_landing_pages", "rpt_traffic")
OF_PEOPLE = "person_id in (select person_id from warehouse.main.int_people_in_work)"
CHANGES = (
    "update fct_attribution set source = 'changed', credited_amount_minor = 7 where {people}",
    "delete from fct_attribution where {people}",
    "update fct_attribution set conversion_date = conversion_date + 1 where {people} and model = 'linear'",
    "update fct_sessions set session_date = session_date - 3 where {people}",
    "insert into fct_sessions select * replace ('again' as session_id) from fct_sessions where {people}",
    "update fct_conversions set session_id = null where {people}",
    "update rpt_traffic set sessions = sessions + 1 where report_date = '{day}' and source = 'google'",
    "update rpt_traffic set report_date = null where report_date = '{day}'",
    "insert into rpt_traffic select * from rpt_traffic where report_date = '{day}'",
    "delete from rpt_landing_pages where report_date = '{day}'",
    # More than 64 bits hold, once two are added.
    "update rpt_traffic set net_amount_minor = 4611686018427387904 where report_date = '{day}'",
)

Rows = dict[str, list[tuple[object, ...]]]


def prepared(file: duckdb.DuckDBPyConnection) -> Rows:
    """Rows of each table beside the marts; of look-ups, for which rows of the mart they hold."""
    found: Rows = {}
    for schema, table in file.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name <> 'main'"
    ).fetchall():
        if schema != "lookup":
            found[table] = file.execute(f"select * from {schema}.{table} order by all").fetchall()
    for mart, column in LOOKED_UP:
        if mart in MARTS:
            found[f"{mart}_by_{column}"] = file.execute(
                f"select key, {lookup_key(column)}, {mart}.* from lookup.{mart}_by_{column} "
                f"full join {mart} on {mart}.rowid = row_number order by all"
            ).fetchall()
            assert all(row[0] == row[1] for row in found[f"{mart}_by_{column}"])
    return found


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_after_any_changes_tables_are_those_of_a_publication_from_nothing(
    home: Settings, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publication.summing.LEAST_ROWS", 0)
    followed: set[str] = set()

    class Watched(Prepared):
        def make(self, table: str, query: Callable[[str], str], *changed: str | None) -> None:
            if all(changed) and len(changed) == 2 and self._known.get(table) == query("true"):
                followed.add(table)
            super().make(table, query, *changed)

    monkeypatch.setattr("publication.publishing.Prepared", Watched)
    chance = random.Random(seed)
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {}, f"{TWO_YEARS}; create table int_people_in_work (person_id text)")
    changes, found = None, []
    for number in range(5):
        at = START + timedelta(minutes=number)
        done = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(at), at, changes=changes)
        anew = publish(home.warehouse_path, home.home_dir / "anew", MARTS, new_build_id(at), at)
        found = []
        for folder in (done.folder, anew.folder):
            with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as file:
                found.append(prepared(file))
        assert found[0].keys() == found[1].keys()
        for name, rows in found[1].items():
            assert found[0][name] == rows, (number, name)
            assert rows
        assert done.marts == anew.marts
        changes = Changes(done.build_id, {mart: OF_PEOPLE for mart in MARTS if mart[:3] == "fct"})
        with duckdb.connect(str(home.warehouse_path)) as warehouse:
            people = warehouse.execute("select distinct person_id from fct_conversions order by 1").fetchall()
            days = warehouse.execute("select distinct report_date from rpt_traffic order by 1").fetchall()
            warehouse.execute("delete from int_people_in_work")
            for (person,) in chance.sample(people, 5):
                warehouse.execute("insert into int_people_in_work values (?)", [person])
            for change in chance.sample(CHANGES, 4):
                of_people = OF_PEOPLE.replace("warehouse.", "")
                warehouse.execute(change.format(people=of_people, day=chance.choice(days)[0]))
    assert {table.partition(".")[0] for table in followed} == {"lookup", "summed", "derived"}


@pytest.mark.long
def test_look_ups_are_sorted_again_after_some_copies(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[bool] = []

    def watched(connection: Any, prepared: Any, are_files: Any, differences: dict[str, Any]) -> None:
        followed.append("fct_sessions" in differences)
        make_lookups(connection, prepared, are_files, differences)

    monkeypatch.setattr("publication.publishing.SORTED_AFTER", 3)
    monkeypatch.setattr("publication.publishing.make_lookups", watched)
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {}, TWO_YEARS)
    changes, are_sorted = None, []
    for number in range(4):
        at = START + timedelta(minutes=number)
        with duckdb.connect(str(home.warehouse_path)) as warehouse:
            warehouse.execute(
                "update fct_sessions set source = ? where session_id in "
                "(select session_id from fct_sessions order by session_id limit 20)",
                [str(number)],
            )
        done = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(at), at, changes=changes)
        changes = Changes(done.build_id, {"fct_sessions": "true"})
        with duckdb.connect(str(done.folder / "marts.duckdb"), read_only=True) as published:
            assert prepared(published)
            keys = published.execute("select key from lookup.fct_sessions_by_session_id").fetchall()
            are_sorted.append(keys == sorted(keys))
    assert followed == [False, True, True, False]
    # The others may be, where a checkpoint has moved rows.
    assert are_sorted[0] and are_sorted[3]


@pytest.mark.long
def test_a_table_of_another_query_is_made_anew_and_one_of_none_goes(home: Settings) -> None:
    home.home_dir.mkdir()
    write_warehouse(home.warehouse_path, {}, TWO_YEARS)
    first = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(START), START)
    file = first.folder / "marts.duckdb"
    file.chmod(0o644)
    with duckdb.connect(str(file)) as published:
        made = prepared(published)
        # As an older version may have left them.
        published.execute("comment on table derived.conversion_paths is 'select 1'")
        published.execute("update derived.conversion_paths set path = 'x'")
        published.execute("create table lookup.fct_sessions_by_source as select 1 as key, 1 as row_number")
    at = START + timedelta(minutes=1)
    changes = Changes(first.build_id, dict.fromkeys(MARTS, "false"))
    again = publish(home.warehouse_path, home.published_dir, MARTS, new_build_id(at), at, changes=changes)
    with duckdb.connect(str(again.folder / "marts.duckdb"), read_only=True) as published:
        assert prepared(published) == made
        tables = published.execute("select table_name from duckdb_tables()").fetchall()
        assert ("fct_sessions_by_source",) not in tables
