"""The fingerprint follows what tables are made from, and nothing else."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnelhouse.settings import Settings
from orchestration.fingerprint import compiled_digest, without_comments
from orchestration.manifest import DBT_PROJECT, load_manifest


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What dbt knows of our project, and a folder of the files that the fingerprint reads."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "seeds").mkdir()
    for file in [DBT_PROJECT / "dbt_project.yml", *(DBT_PROJECT / "seeds").glob("*.csv")]:
        (folder / file.relative_to(DBT_PROJECT)).write_bytes(file.read_bytes())
    return load_manifest(Settings(home=folder / "home")), folder


SESSIONS = "model.funnelhouse.fct_sessions"
MACRO = "macro.funnelhouse.duckdb__begin_build"


def edited(path: Path, before: str, after: str) -> Callable[[], None]:
    """Edit a file; returns what takes it back."""
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    return lambda: [path.write_text(text), None][1]


def change_code(before: str, after: str, node: str = SESSIONS) -> Callable[[Any], None]:
    def change(manifest: Any) -> None:
        entry = manifest["nodes"].get(node) or manifest["macros"][node]
        field = "raw_code" if "raw_code" in entry else "macro_sql"
        assert before in entry[field]
        entry[field] = entry[field].replace(before, after, 1)

    return change


def describe(manifest: Any) -> None:
    for node in manifest["nodes"].values():
        node["description"] += " So it is said."
        for column in node["columns"].values():
            column["description"] += " So it is said."
        node["config"]["meta"] = {"owner": "ann"}
    manifest["unit_tests"].clear()
    for name in [name for name, node in manifest["nodes"].items() if node["resource_type"] == "test"]:
        del manifest["nodes"][name]


def retype(manifest: Any) -> None:
    manifest["nodes"][SESSIONS]["columns"]["page_views"]["data_type"] = "integer"


def keep(manifest: Any) -> None:
    manifest["nodes"][SESSIONS]["config"]["materialized"] = "table"


@pytest.mark.parametrize(
    "change",
    [
        describe,
        change_code("-- One row", "-- Now: one row"),
        change_code("with sessions as (", "/* a note */ with {# don't #}  sessions\n  as ("),
        change_code("{# Warehouses of older", "{# Warehouses that are older", MACRO),
    ],
)
def test_what_only_explains_or_tests_changes_nothing(
    project: tuple[Any, Path], change: Callable[[Any], None]
) -> None:
    manifest, folder = project
    changed = copy.deepcopy(manifest)
    change(changed)
    assert changed != manifest
    assert compiled_digest(changed, folder) == compiled_digest(manifest, folder)


@pytest.mark.parametrize(
    "change",
    [
        retype,
        keep,
        change_code("'(direct)'", "'direct'"),
        change_code("ref('int_sessions')", "ref( 'int_sessions' )"),
        change_code("bigint", "integer", MACRO),
    ],
)
def test_what_makes_other_tables_changes_it(project: tuple[Any, Path], change: Callable[[Any], None]) -> None:
    manifest, folder = project
    changed = copy.deepcopy(manifest)
    change(changed)
    assert compiled_digest(changed, folder) != compiled_digest(manifest, folder)


def test_seeds_and_variables_change_it_and_their_comments_do_not(project: tuple[Any, Path]) -> None:
    manifest, folder = project
    before = compiled_digest(manifest, folder)
    for file, text, other, is_other in [
        ("dbt_project.yml", "lookback_days: 30", "lookback_days: 31", True),
        ("dbt_project.yml", "# idle longer than this opens", "# idle longer opens", False),
        ("seeds/currencies.csv", "CLP,1\n", "CLP,10\n", True),
    ]:
        take_back = edited(folder / file, text, other)
        assert (compiled_digest(manifest, folder) != before) == is_other, text
        take_back()
    assert compiled_digest(manifest, folder) == before


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("select '--' -- x\n, 1", "select '--' , 1"),
        ("select 'it''s -- one' /* 'x' */ as a", "select 'it''s -- one' as a"),
        ('select "a -- b"', 'select "a -- b"'),
        ("{# it's #}select 1", "select 1"),
        ("select {{ 5 --3 }}", "select {{ 5 --3 }}"),
        ("select '{{ var(\"a\") }} --' as b -- c", "select '{{ var(\"a\") }} --' as b"),
        ("-- {{ config(a=1) }} b\nselect 1", "{{ config(a=1) }} select 1"),
    ],
)
def test_comments_are_told_from_texts(code: str, kept: str) -> None:
    assert without_comments(code) == kept
