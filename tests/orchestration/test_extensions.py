"""A folder of one's own is laid over the project; what clashes is said with file and line."""

from pathlib import Path

import pytest
import yaml
from small_project import write_small_project

from command_line.skeleton import write_skeleton
from funnelhouse.settings import Settings
from orchestration.extensions import ExtensionError, compose

SEEDS = {
    "seeds": [
        {"name": "words", "data_tests": [{"keyed_by": {"arguments": {"columns": ["word"]}}}]},
    ]
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a seed of which the key is known, two variables and an attribution model."""
    project = tmp_path / "project"
    write_small_project(project)
    (project / "seeds" / "words.csv").write_text('word,state\nyes,approved\nno,rejected\n"a, b",pending\n')
    (project / "seeds" / "_seeds.yml").write_text(yaml.safe_dump(SEEDS))
    said = yaml.safe_load((project / "dbt_project.yml").read_text())
    said["vars"] = {"lookback_days": 30, "attribution_models": ["last_touch"]}
    (project / "dbt_project.yml").write_text(yaml.safe_dump(said))
    return project


def extension(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "mine"
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_without_one_the_project_is_as_it_is(project: Path) -> None:
    composed = compose(None, project)
    assert composed.files == {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file()
    }


def test_files_are_added_and_its_other_folders_are_its_own(project: Path, tmp_path: Path) -> None:
    mine = extension(
        tmp_path,
        **{
            "models/marts/own/rpt_mine.sql": "select 1 as project_id",
            "models/attribution/mine.sql": "select 1",
            "macros/mine.sql": "{% macro mine() %}1{% endmacro %}",
            "tests/assert_mine.sql": "select 1 where false",
            "README.md": "Mine.",
            ".github/workflows/ci.yml": "on: push",
            "docs/models/note.sql": "no model",
            "models/.hidden/note.sql": "no model",
        },
    )
    composed = compose(mine, project)
    before = compose(None, project).files
    assert set(composed.files) - set(before) == {
        "models/marts/own/rpt_mine.sql",
        "models/attribution/mine.sql",
        "macros/mine.sql",
        "tests/assert_mine.sql",
    }
    assert composed.models("marts") == ["rpt_mine"]
    said = yaml.safe_load(composed.files["dbt_project.yml"])
    assert said["vars"]["attribution_models"] == ["last_touch", "mine"]
    assert composed.origins["macros/mine.sql"] == mine / "macros/mine.sql"


def test_rows_are_added_to_a_shipped_seed_and_those_of_a_key_take_its_place(
    project: Path, tmp_path: Path
) -> None:
    mine = extension(tmp_path, **{"seeds/words.csv": "word,state\nperhaps,pending\nno,pending\n"})
    words = compose(mine, project).files["seeds/words.csv"].decode()
    assert words == 'word,state\nyes,approved\n"a, b",pending\nperhaps,pending\nno,pending\n'


def test_variables_take_other_values(project: Path, tmp_path: Path) -> None:
    mine = extension(tmp_path, **{"vars.yml": "lookback_days: 60\n"})
    said = yaml.safe_load(compose(mine, project).files["dbt_project.yml"])
    assert said["vars"] == {"lookback_days": 60, "attribution_models": ["last_touch"]}
    assert said["name"] == "small"


@pytest.mark.parametrize(
    ("files", "line", "why"),
    [
        ({"models/other/one.sql": "select 2"}, "models/other/one.sql:1", "models/one.sql of Funnelhouse"),
        ({"models/words.sql": "select 2"}, "models/words.sql:1", "seeds/words.csv of Funnelhouse has this"),
        ({"models/models.yml": "version: 2"}, "models/models.yml:1", "models/models.yml of Funnelhouse"),
        ({"seeds/words.csv": "word\nyes\n"}, "seeds/words.csv:1", "the columns of this seed are word,state."),
        ({"seeds/words.csv": "word,state\na,b\nc\n"}, "seeds/words.csv:3", "the row has 1 values"),
        ({"seeds/new.csv": 'a,b\n"1\n2",3\n4\n'}, "seeds/new.csv:4", "the row has 1 values"),
        ({"vars.yml": "# mine\nlookback: 3\n"}, "vars.yml:2", "has no variable lookback."),
        ({"vars.yml": "a: [\n"}, "vars.yml:2", "this is no YAML"),
        ({"vars.yml": "- a\n"}, "vars.yml:1", "it lists variables"),
    ],
)
def test_what_clashes_is_refused_with_file_and_line(
    project: Path, tmp_path: Path, files: dict[str, str], line: str, why: str
) -> None:
    mine = extension(tmp_path, **files)
    with pytest.raises(ExtensionError) as refused:
        compose(mine, project)
    [sentence] = str(refused.value).splitlines()
    assert sentence.startswith(f"{mine}/{line}: ")
    assert why in sentence


def test_all_that_clashes_is_said_at_once(project: Path, tmp_path: Path) -> None:
    mine = extension(tmp_path, **{"models/a/one.sql": "", "seeds/words.csv": "x\n", "vars.yml": "a: 1\n"})
    with pytest.raises(ExtensionError) as refused:
        compose(mine, project)
    assert len(str(refused.value).splitlines()) == 3


def test_a_seed_of_ours_with_a_bad_row_is_named(project: Path) -> None:
    with (project / "seeds" / "words.csv").open("a") as seed:
        seed.write("perhaps\n")
    with pytest.raises(ExtensionError, match=r"project/seeds/words.csv:5: the row has 1 values for the 2"):
        compose(None, project)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings.model_validate({"extensions": str(tmp_path / "none")})
    with pytest.raises(ExtensionError, match="there is no such folder; FUNNELHOUSE_EXTENSIONS names it"):
        compose(settings.extensions_dir)
    assert Settings.model_validate({"extensions": ""}).extensions_dir is None


def test_the_skeleton_fits_over_the_shipped_project(tmp_path: Path) -> None:
    write_skeleton(tmp_path / "mine")
    composed = compose(tmp_path / "mine")
    assert "rpt_owned_sources" in composed.models("marts")
    assert (tmp_path / "mine" / ".github" / "workflows" / "funnelhouse.yml").exists()
