"""A wildcard picks the paths that a reading letter by letter would, and never takes long over one."""

from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.manifest import DBT_PROJECT

# Few letters, so that pieces are found at several places; among them what LIKE and regular expressions read.
letters = "ab/%_!.\\é\n"
patterns = st.text(letters + "***", min_size=1, max_size=9)
texts = st.text(letters + "*", max_size=12)


@pytest.fixture(scope="module")
def warehouse(compiled_models: Path) -> duckdb.DuckDBPyConnection:
    """A database in which `int_goals_matched` is a view over what a test puts there."""
    connection = duckdb.connect()
    connection.execute(
        f"""
        attach ':memory:' as warehouse;
        use warehouse.main;
        create table int_goals (
            project_id varchar, goal_id varchar, match_type varchar, match_operator varchar,
            match_value varchar, property_key varchar, property_value varchar, minimum_amount varchar
        );
        create table int_events (
            seq bigint, project_id varchar, kind varchar, name varchar, goal_id varchar, properties varchar,
            amount_minor bigint, minor_per_major bigint
        );
        create table int_page_views (seq bigint, page_path varchar);
        create table work_limits as from '{DBT_PROJECT / "seeds/work_limits.csv"}';
        """
    )
    (model,) = (p for p in compiled_models.rglob("int_goals_matched.sql") if p.parent.suffix != ".yml")
    connection.execute(f"create view int_goals_matched as {model.read_text()}")
    return connection


def picks(warehouse: duckdb.DuckDBPyConnection, wildcard: str, path: str) -> bool:
    """Whether a goal of the wildcard picks a view of the path."""
    warehouse.execute("delete from int_goals; delete from int_events; delete from int_page_views")
    warehouse.execute(
        "insert into int_goals values ('shop', 'goal', 'url_path', 'wildcard', ?, null, null, null)",
        [wildcard],
    )
    warehouse.execute("insert into int_events (seq, project_id, kind) values (1, 'shop', 'visit')")
    warehouse.execute("insert into int_page_views values (1, ?)", [path])
    return warehouse.execute("select goal_id, seq from int_goals_matched").fetchall() == [("goal", 1)]


def describes(wildcard: str, path: str) -> bool:
    """The same, read letter by letter: `reached` are the places in the path up to which the wildcard fits."""
    reached = {0}
    for letter in wildcard:
        if letter == "*":
            reached = set(range(min(reached), len(path) + 1)) if reached else set()
        else:
            reached = {place + 1 for place in reached if path[place : place + 1] == letter}
    return len(path) in reached


@settings(max_examples=400, deadline=None)
@given(patterns, texts)
@example("/a*a", "/a")
@example("/a*a", "/aa")
@example("*", "")
@example("***", "a")
@example("/*ab*ab*", "/abab")
@example("/*ab*ab", "/aab")
@example("/*é*é", "/éaé")
def test_a_wildcard_picks_what_a_plain_reading_does(
    warehouse: duckdb.DuckDBPyConnection, wildcard: str, path: str
) -> None:
    assert picks(warehouse, wildcard, path) == describes(wildcard, path)


@settings(max_examples=100, deadline=None)
@given(patterns, st.lists(texts, min_size=9, max_size=9))
def test_a_wildcard_picks_its_own_text_whatever_its_stars_stand_for(
    warehouse: duckdb.DuckDBPyConnection, wildcard: str, fillings: list[str]
) -> None:
    path = "".join(fillings[n] if letter == "*" else letter for n, letter in enumerate(wildcard))
    assert picks(warehouse, wildcard, path)


def test_many_stars_end(warehouse: duckdb.DuckDBPyConnection) -> None:
    stars = "/" + "*a" * 12
    assert not picks(warehouse, stars + "*b", "/" + "a" * 8000)
    assert picks(warehouse, stars + "*b", "/" + "a" * 8000 + "b")
    assert picks(warehouse, stars + "*", "/" + "a" * 8000)


def test_a_wildcard_with_more_stars_than_are_allowed_picks_nothing(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    ((allowed,),) = warehouse.execute(
        "select allowed from work_limits where limit_name = 'wildcard_stars'"
    ).fetchall()
    assert picks(warehouse, "*" * allowed, "/")
    assert not picks(warehouse, "*" * (allowed + 1), "/")
