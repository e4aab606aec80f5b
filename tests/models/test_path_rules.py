"""A rule picks the paths that a plain reading of it would, and a wildcard never takes long over one."""

from pathlib import Path

import duckdb
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from orchestration.manifest import DBT_PROJECT
from read_api import page_paths

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
        create table int_events_in_work (
            seq bigint, project_id varchar, kind varchar, name varchar, goal_id varchar, properties varchar,
            amount_minor bigint, minor_per_major bigint
        );
        create table int_page_views_in_work (seq bigint, page_path varchar);
        create table int_link_clicks (seq bigint, is_bot boolean);
        create table work_limits as from '{DBT_PROJECT / "seeds/work_limits.csv"}';
        """
    )
    (model,) = (p for p in compiled_models.rglob("int_goals_matched.sql") if p.parent.suffix != ".yml")
    connection.execute(f"create view int_goals_matched as {model.read_text()}")
    return connection


def pairs(
    warehouse: duckdb.DuckDBPyConnection, rules: list[str], paths: list[str], operator: str = "wildcard"
) -> set[tuple[str, str]]:
    """The rules and paths of which a goal with the rule picks a view of the path."""
    warehouse.execute(
        "delete from int_goals; delete from int_events_in_work; delete from int_page_views_in_work"
    )
    warehouse.execute(
        "insert into int_goals (project_id, goal_id, match_type, match_operator, match_value) "
        "select 'shop', value, 'url_path', ?, value from unnest(?) as rules(value)",
        [operator, sorted(set(rules))],
    )
    warehouse.execute(
        "insert into int_page_views_in_work "
        "select row_number() over (), value from unnest(?) as paths(value)",
        [sorted(set(paths))],
    )
    warehouse.execute(
        "insert into int_events_in_work (seq, project_id, kind) "
        "select seq, 'shop', 'visit' from int_page_views_in_work"
    )
    found = warehouse.execute(
        "select goal_id, page_path from int_goals_matched inner join int_page_views_in_work using (seq)"
    )
    return set(found.fetchall())


def picks(warehouse: duckdb.DuckDBPyConnection, rule: str, path: str, operator: str = "wildcard") -> bool:
    """Whether a goal with this rule picks a view of the path."""
    return (rule, path) in pairs(warehouse, [rule], [path], operator)


def describes(wildcard: str, path: str) -> bool:
    """The same, read letter by letter: `reached` are the places in the path up to which the wildcard fits."""
    first, *others = page_paths.wildcard_pieces(wildcard)
    reached = {0}
    for letter in [*first, *(letter for piece in others for letter in (None, *piece))]:
        if letter is None:
            reached = set(range(min(reached), len(path) + 1)) if reached else set()
        else:
            reached = {place + 1 for place in reached if path[place : place + 1] == letter}
    return len(path) in reached


@settings(max_examples=60, deadline=None)
@given(st.lists(patterns, min_size=1, max_size=12), st.lists(texts, min_size=1, max_size=12))
@example(
    ["/a*a", "*", "***", "/*ab*ab*", "/*ab*ab", "/*é*é"], ["/a", "/aa", "", "a", "/abab", "/aab", "/éaé"]
)
def test_a_wildcard_picks_what_a_plain_reading_does(
    warehouse: duckdb.DuckDBPyConnection, wildcards: list[str], paths: list[str]
) -> None:
    expected = {(wildcard, path) for wildcard in wildcards for path in paths if describes(wildcard, path)}
    assert pairs(warehouse, wildcards, paths) == expected


@settings(max_examples=60, deadline=None)
@given(patterns, st.lists(texts, min_size=9, max_size=9))
def test_a_wildcard_picks_its_own_text_whatever_its_stars_stand_for(
    warehouse: duckdb.DuckDBPyConnection, wildcard: str, fillings: list[str]
) -> None:
    path = "".join(fillings[n] if letter == "*" else letter for n, letter in enumerate(wildcard))
    # As page views have it.
    assume("%" not in path and (path == "/" or not path.endswith("/")))
    assert pairs(warehouse, [wildcard, wildcard + "/"], [path]) == {(wildcard, path), (wildcard + "/", path)}


@pytest.mark.parametrize(
    ("operator", "rule", "picked", "passed_over"),
    [
        ("exact", "/blog/", ["/blog"], ["/", "/blog/a", "/blogger"]),
        ("exact", "/f%c3%bcr", ["/für"], ["/f%c3%bcr"]),
        ("exact", "/a%2fb", ["/a%2Fb"], ["/a/b"]),
        ("exact", "/", ["/"], ["/a"]),
        ("prefix", "/blog/", ["/blog", "/blog/a"], ["/", "/blogger"]),
        ("prefix", "/blog", ["/blog", "/blog/a", "/blogger"], ["/"]),
        ("prefix", "/f%C3%BC", ["/für", "/fü"], ["/fur"]),
        ("prefix", "/", ["/", "/a"], []),
        ("wildcard", "/shop/*/buy/", ["/shop/1/buy"], ["/shop/1/buyer", "/shop/buy"]),
        ("wildcard", "/f%C3%BCr*", ["/für", "/für/a"], ["/f%C3%BCr"]),
        ("wildcard", "/%2a/*", ["/*/a"], ["/b/a"]),
        ("wildcard", "/blog/*", ["/blog/a"], ["/blog", "/blogger"]),
        ("wildcard", "/", ["/"], ["/a"]),
    ],
)
def test_a_rule_is_made_normal_as_paths_are(
    warehouse: duckdb.DuckDBPyConnection, operator: str, rule: str, picked: list[str], passed_over: list[str]
) -> None:
    assert pairs(warehouse, [rule], picked + passed_over, operator) == {(rule, path) for path in picked}


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
