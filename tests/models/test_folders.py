"""Models lie in folders in the order of the flow, as dbt_project/README.md shows them."""

import re
from pathlib import PurePosixPath
from typing import Any

import pytest

from orchestration.manifest import DBT_PROJECT

README = (DBT_PROJECT / "README.md").read_text(encoding="utf-8")

FOLDERS = re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE)
"""Folders of `models`, in the order in which one may read another."""

ANSWERS = re.findall(r"^\| [^`|]+ \| `([^`]+)` \|$", README, re.MULTILINE)
"""Files that answer a question."""


@pytest.fixture(scope="module")
def models(manifest: Any) -> dict[str, Any]:
    return {u: n for u, n in manifest["nodes"].items() if n["resource_type"] == "model"}


def folder(node: Any) -> str:
    return "/".join(node["fqn"][1:-1])


def test_the_readme_lists_every_folder(models: dict[str, Any]) -> None:
    assert len(FOLDERS) == len(set(FOLDERS))
    assert set(FOLDERS) == {folder(model) for model in models.values()}


def test_no_model_reads_a_folder_below_its_own(models: dict[str, Any]) -> None:
    place = {name: number for number, name in enumerate(FOLDERS)}
    upwards = {
        f"{model['name']} in {folder(model)} reads {models[read]['name']} in {folder(models[read])}"
        for model in models.values()
        for read in model["depends_on"]["nodes"]
        if read in models and place[folder(models[read])] > place[folder(model)]
    }
    assert not upwards


def test_marts_come_last() -> None:
    assert [name.startswith("marts/") for name in FOLDERS] == sorted(n.startswith("marts/") for n in FOLDERS)


def test_a_model_is_described_and_tested_in_its_folder(models: dict[str, Any], manifest: Any) -> None:
    described = {folder(model): set[str]() for model in models.values()}
    for model in models.values():
        yaml_file = PurePosixPath(model["patch_path"].removeprefix("funnelhouse://"))
        assert yaml_file.parent == PurePosixPath(model["original_file_path"]).parent, model["name"]
        described[folder(model)].add(yaml_file.name)
    assert {name: files for name, files in described.items() if len(files) > 1} == {}
    for test in manifest["unit_tests"].values():
        (model,) = (models[node] for node in test["depends_on"]["nodes"])
        beside = PurePosixPath(model["original_file_path"]).parent / "_unit_tests.yml"
        assert test["original_file_path"] == str(beside), test["name"]


def test_the_readme_names_files_that_exist() -> None:
    assert ANSWERS
    assert [path for path in ANSWERS if not (DBT_PROJECT / path).is_file()] == []
