"""What builds use is what was deployed; an edit that is broken is refused with its file and line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from funnelhouse.settings import CHECKOUT, Settings
from orchestration.build_inputs import inputs_now
from orchestration.deploying import DeployError, deploy
from orchestration.deployment import DEPLOY_LOCK, deployed, deployed_or_first, said_difference, tidy_up
from orchestration.manifest import DBT_EXECUTABLE, one_at_a_time

TESTED = {
    "models": [{"name": "one", "description": "The number one."}],
    "unit_tests": [
        {"name": "it_is_one", "model": "one", "given": [], "expect": {"rows": [{"number": 1}]}},
    ],
}


@pytest.fixture
def project(small_project: Path) -> Path:
    (small_project / "models" / "models.yml").write_text(yaml.safe_dump(TESTED, sort_keys=False))
    (small_project / "seeds" / "seeds.yml").write_text(
        yaml.safe_dump(
            {
                "seeds": [
                    {
                        "name": "words",
                        "config": {"column_types": {"number": "bigint"}},
                        "columns": [{"name": "word", "data_tests": ["unique"]}],
                    }
                ]
            }
        )
    )
    (small_project / "seeds" / "words.csv").write_text("word,number\nyes,1\n")
    return small_project


def refusals(home: Settings) -> list[str]:
    with pytest.raises(DeployError) as refused:
        deploy(home)
    return str(refused.value).splitlines()


@pytest.mark.long
def test_what_is_saved_changes_nothing_until_it_is_deployed(empty_home: Settings, project: Path) -> None:
    first = deployed_or_first(empty_home)
    assert not first.is_tested
    assert deployed_or_first(empty_home) == first == deployed(empty_home)
    assert said_difference(empty_home) is None
    made_with = inputs_now(empty_home).made_with

    model = project / "models" / "one.sql"
    model.write_text("select 1 as number -- as ever")
    assert (first.project / "models" / "one.sql").read_text() == "select 1 as number"
    assert inputs_now(empty_home).made_with == made_with
    assert "`funnelhouse deploy` takes it in." in (said_difference(empty_home) or "")

    second = deploy(empty_home)
    assert second.is_tested
    assert deployed(empty_home) == second
    assert said_difference(empty_home) is None
    # A comment makes another deployment, whose tables are the same.
    assert second.deployment_id != first.deployment_id
    assert second.fingerprint == first.fingerprint
    assert inputs_now(empty_home).made_with != made_with
    # No build that is kept was made with the first.
    assert {path.name for path in empty_home.deployed_dir.iterdir()} == {"current", second.deployment_id}


BROKEN = {
    "a unit test": ("models/one.sql", "select 2 as number", r"models/models.yml:5: unit test it_is_one: "),
    "a column": (
        "models/one.sql",
        "select\n    no_such_column as number",
        r"models/one.sql:2: .*no_such_column",
    ),
    "a model": (
        "models/one.sql",
        "select 1 as number\nfrom {{ ref('no_such_model') }}",
        r"models/one.sql:2: .*no_such_model",
    ),
    "a template": ("models/one.sql", "select 1 as number\n{% if %}", r"models/one.sql:2: "),
    "a value": ("seeds/words.csv", "word,number\nyes,1\nno,many\n", r"seeds/words.csv:3: .*many"),
    "a row": ("seeds/words.csv", "word,number\nyes,1\nno\n", r"seeds/words.csv:3: the row has 1 values"),
    "a key": (
        "seeds/words.csv",
        "word,number\nno,1\nyes,1\nyes,2\n",
        r"seeds/words.csv:4: unique_words_word: ",
    ),
}


# Each is a parse and a build of the project.
@pytest.mark.parametrize(
    "what", [name if name == "a unit test" else pytest.param(name, marks=pytest.mark.long) for name in BROKEN]
)
def test_what_is_broken_is_refused_with_its_place(empty_home: Settings, project: Path, what: str) -> None:
    used = deployed_or_first(empty_home)
    name, content, expected = BROKEN[what]
    (project / name).write_text(content)
    [sentence] = refusals(empty_home)
    assert re.match(re.escape(f"{project}/") + expected, sentence), sentence
    assert deployed(empty_home) == used
    assert {path.name for path in empty_home.deployed_dir.iterdir()} == {"current", used.deployment_id}


@pytest.mark.long
def test_unit_tests_count_on_the_shipped_numbers_whatever_an_extension_sets(
    empty_home: Settings, project: Path, tmp_path: Path
) -> None:
    said = yaml.safe_load((project / "dbt_project.yml").read_text())
    (project / "dbt_project.yml").write_text(yaml.safe_dump({**said, "vars": {"number": 1}}))
    (project / "models" / "one.sql").write_text("select {{ var('number') }} as number")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "vars.yml").write_text("number: 2\n")
    done = deploy(empty_home.model_copy(update={"extensions": str(mine)}))
    assert done.is_tested
    assert yaml.safe_load((done.project / "dbt_project.yml").read_text())["vars"] == {"number": 2}


def test_what_is_tested_just_now_is_not_tidied_up(empty_home: Settings) -> None:
    """A build that ends meanwhile leaves it there."""
    prepared = empty_home.deployed_dir / "0123456789abcdef"
    prepared.mkdir(parents=True)
    with one_at_a_time(empty_home.home_dir / DEPLOY_LOCK):
        tidy_up(empty_home)
        assert prepared.exists()
    tidy_up(empty_home)
    assert not prepared.exists()


@pytest.mark.long
def test_a_warehouse_is_not_written_by_hand(empty_home: Settings, small_project: Path) -> None:
    """With the hook and the macros of the project, in one that is parsed in a moment."""
    said = yaml.safe_load((small_project / "dbt_project.yml").read_text())
    said["on-run-start"] = "{{ begin_build() }}"
    (small_project / "dbt_project.yml").write_text(yaml.safe_dump(said))
    (small_project / "macros").mkdir()
    for file in ("incremental.sql", "engines/duckdb_builds.sql"):
        shutil.copy(CHECKOUT / "dbt_project" / "macros" / file, small_project / "macros")
    empty_home.home_dir.mkdir()
    with duckdb.connect(str(empty_home.warehouse_path)) as warehouse:
        warehouse.execute("create table one as select 7 as number")
    other = empty_home.home_dir.with_name("other") / "warehouse.duckdb"
    for command, variables in [
        (["run", "-s", "one"], {}),
        (["seed"], {}),
        # A variable that was set for another home is no leave to write this one.
        (["build"], {"FUNNELHOUSE_WAREHOUSE": str(other)}),
    ]:
        finished = subprocess.run(
            [DBT_EXECUTABLE, *command],
            cwd=small_project,
            env={**os.environ, "FUNNELHOUSE_HOME": str(empty_home.home_dir), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode != 0, finished.stdout
        assert "which `funnelhouse build` alone writes" in finished.stdout
        assert f"`funnelhouse dbt {command[0]} …`" in " ".join(finished.stdout.split())
    with duckdb.connect(str(empty_home.warehouse_path)) as warehouse:
        assert warehouse.execute("select number from one").fetchall() == [(7,)]
        assert warehouse.execute("show tables").fetchall() == [("one",)]


@pytest.mark.long
def test_a_build_s_suites_are_those_that_were_deployed(empty_home: Settings, small_project: Path) -> None:
    """In a process of its own, as a build by hand and a run of the scheduler are."""
    suite = deployed_or_first(empty_home).folder / "expectations" / "attribution.py"
    code = (
        "import orchestration.definitions, expectations.attribution as suite, sys;"
        "sys.exit(0 if suite.__file__ == sys.argv[1] else suite.__file__)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(suite)],
        env={**os.environ, "FUNNELHOUSE_HOME": str(empty_home.home_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
