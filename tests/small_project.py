"""A dbt project of one model and one seed."""

import shutil
from pathlib import Path

import yaml

from orchestration.manifest import DBT_PROJECT


def write_small_project(project: Path) -> None:
    """Into a folder that is not there yet."""
    (project / "models").mkdir(parents=True)
    (project / "seeds").mkdir()
    (project / "dbt_project.yml").write_text(
        yaml.safe_dump({"name": "small", "version": "1.0", "profile": "funnelhouse"})
    )
    shutil.copy(DBT_PROJECT / "profiles.yml", project)
    (project / "models" / "one.sql").write_text("select 1 as number")
    (project / "models" / "models.yml").write_text(described("one"))
    (project / "seeds" / "words.csv").write_text("word\nyes\n")


def described(word: str) -> str:
    """The model's YAML, with a word of its description."""
    return yaml.safe_dump({"models": [{"name": "one", "description": f"The number {word}."}]})
