"""What is in the wheel, and what it needs. That it works is shown by tests/test_end_to_end.py."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

from installed_wheel import Wheel

from funnelhouse.settings import CHECKOUT, Settings

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
PACKAGES = [name.removesuffix("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]

# For who edits or reads the sources.
NOT_INSTALLED = (
    "dbt_project/README.md",
    "dbt_project/sqlfluff_dbt/",
    "tracker/README.md",
    "tracker/build.js",
    "tracker/node_modules/",
    "tracker/package",
    "tracker/source/",
)
# dbt writes there where it is told nothing else.
_WRITTEN = ("dbt_project/target/", "dbt_project/logs/")


def test_the_wheel_has_every_file(wheel: Wheel) -> None:
    here = {
        str(path.relative_to(CHECKOUT))
        for path in chain.from_iterable((CHECKOUT / name).rglob("*") for name in PACKAGES)
        if path.is_file() and "__pycache__" not in path.parts
    }
    here = {name for name in here if not name.startswith((*NOT_INSTALLED, *_WRITTEN))}
    installed = {
        str(path.relative_to(wheel.packages))
        for path in chain.from_iterable((wheel.packages / name).rglob("*") for name in PACKAGES)
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert installed == here
    assert {path.parts[0] for path in map(Path, here)} == set(PACKAGES)


def test_the_command_says_its_version(wheel: Wheel, home: Settings) -> None:
    found = PROJECT["project"]["version"]
    assert wheel.run(home, "--version") == f"funnelhouse {found}\n"
    # https://semver.org
    assert re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9a-z.-]+)?", found)


def _named(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.replace("_", "-").lower())[0].rstrip("~=<>!")


def test_what_the_packages_import_is_required_of_users_too() -> None:
    required = set(map(_named, PROJECT["project"]["dependencies"]))
    extras = set(map(_named, PROJECT["project"]["optional-dependencies"]["spark"]))
    distributions = packages_distributions()
    missing = set()
    for name in PACKAGES:
        for file in (CHECKOUT / name).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for module in {module.partition(".")[0] for module in modules} - {"", *PACKAGES}:
                    if module in sys.stdlib_module_names or "sqlfluff_dbt" in file.parts:
                        continue
                    if _named(module) in extras:
                        continue
                    if required.isdisjoint(map(_named, distributions.get(module, []))):
                        missing.add((str(file.relative_to(CHECKOUT)), module))
    assert not missing
