"""The dbt project as it is deployed: ours, and laid over it a folder of one's own (`FUNNELHOUSE_EXTENSIONS`).

An extension has the folders of a dbt project, and adds to ours:

models/, macros/, tests/, snapshots/   files of its own; those of models/marts are published, those of
                                       models/attribution offered as attribution models
seeds/<name>.csv                       a seed of its own; of one that is shipped, rows that are added, or that
                                       take the place of the shipped rows with the same key
vars.yml                               values of variables of dbt_project.yml

Nothing of ours is changed in its place, so that a newer version never conflicts with an extension.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from orchestration.manifest import DBT_PROJECT, project_files

ADDED_FOLDERS = ("macros", "models", "seeds", "tests")
"""What an extension's files are taken from. Its other folders, such as one for CI, are its own."""

VARIABLES = "vars.yml"

_PROJECT = "dbt_project.yml"
_ATTRIBUTION = "models/attribution/"
_ATTRIBUTION_MODELS = "attribution_models"


class ExtensionError(Exception):
    """An extension, or a seed, can't be taken as it is. Each line of the message is `file:line: why`."""


@dataclass(frozen=True)
class Composed:
    """A dbt project in memory: contents by path below its folder, and where each file was read."""

    files: Mapping[str, bytes]
    origins: Mapping[str, Path]

    def models(self, folder: str) -> list[str]:
        """Names of the models in a folder of `models`, sorted."""
        paths = [PurePosixPath(name) for name in self.files if name.startswith(f"models/{folder}/")]
        return sorted(path.stem for path in paths if path.suffix in (".sql", ".py"))


def compose(extensions: Path | None, project: Path | None = None) -> Composed:
    """Our project (that of the checkout) with the extension laid over it. Raises ExtensionError, OSError."""
    project = project or DBT_PROJECT
    origins = {_name(file, project): file for file in sorted(project_files(project))}
    files = {name: file.read_bytes() for name, file in origins.items()}
    if extensions is not None:
        _extend(files, origins, extensions)
    seeds = [name for name in sorted(files) if name.startswith("seeds/") and name.endswith(".csv")]
    faults = [fault for name in seeds for fault in _ragged_rows(files[name], origins[name])]
    if faults:
        raise ExtensionError("\n".join(faults))
    return Composed(files, origins)


def _extend(files: dict[str, bytes], origins: dict[str, Path], extensions: Path) -> None:
    if not extensions.is_dir():
        raise ExtensionError(f"{extensions}: there is no such folder; FUNNELHOUSE_EXTENSIONS names it.")
    shipped = dict(origins)
    by_name = {_named(name): name for name in shipped if _named(name)}
    keys = _seed_keys(files)
    added = [file for file in sorted(project_files(extensions)) if _is_taken(_name(file, extensions))]
    faults = []
    for file in added:
        name, content = _name(file, extensions), file.read_bytes()
        clash = by_name.get(_named(name))
        if name.startswith("seeds/") and clash is not None and clash.endswith(".csv"):
            try:
                files[clash] = _laid_over(files[clash], content, keys.get(Path(clash).stem), file)
            except ExtensionError as fault:
                faults.append(str(fault))
        elif clash is not None or name in shipped:
            taken = clash or name
            faults.append(f"{file}:1: {taken} of Funnelhouse has this name already; choose another one.")
        else:
            files[name], origins[name] = content, file
    try:
        files[_PROJECT] = _with_variables(files[_PROJECT], extensions, [_name(f, extensions) for f in added])
    except ExtensionError as fault:
        faults.append(str(fault))
    if faults:
        raise ExtensionError("\n".join(faults))


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _is_taken(name: str) -> bool:
    first, *rest = PurePosixPath(name).parts
    return first in ADDED_FOLDERS and bool(rest) and not any(part.startswith(".") for part in (first, *rest))


def _named(name: str) -> tuple[str, str] | None:
    """What dbt knows a file by, whatever folder it lies in; None where that is its path."""
    path = PurePosixPath(name)
    kind = {"models": "node", "seeds": "node", "tests": "test"}.get(path.parts[0])
    return (kind, path.stem) if kind and path.suffix in (".sql", ".py", ".csv") else None


def _seed_keys(files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Of each seed the columns of its key, as its test `keyed_by` says them."""
    keys = {}
    for name, content in files.items():
        if name.startswith("seeds/") and name.endswith((".yml", ".yaml")):
            for seed in (yaml.safe_load(content) or {}).get("seeds", []):
                for test in seed.get("data_tests", []):
                    if isinstance(test, dict) and "keyed_by" in test:
                        keys[seed["name"]] = test["keyed_by"]["arguments"]["columns"]
    return keys


def _laid_over(shipped: bytes, added: bytes, key: list[str] | None, file: Path) -> bytes:
    """The rows of a shipped seed and of an extension, whose row holds where both have one of the same key."""
    header, *rows = _rows(shipped)
    own_header, *own_rows = _rows(added) or [[]]
    if own_header != header:
        raise ExtensionError(f"{file}:1: the columns of this seed are {','.join(header)}.")
    if faults := list(_ragged_rows(added, file)):
        raise ExtensionError("\n".join(faults))
    at = [header.index(column) for column in key or header]
    own = {tuple(row[column] for column in at) for row in own_rows}
    kept = [row for row in rows if tuple(row[column] for column in at) not in own]
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([header, *kept, *own_rows])
    return lines.getvalue().encode()


def _rows(content: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]


def _ragged_rows(content: bytes, file: Path) -> Iterable[str]:
    """A sentence for each row of a seed that has not as many values as there are columns."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        yield f"{file}:{line}: this line is no UTF-8."
        return
    header = next(reader, [])
    for row in reader:
        if row and len(row) != len(header):
            counted = f"{len(row)} values for the {len(header)} columns {','.join(header)}"
            yield f"{file}:{reader.line_num}: the row has {counted}."


def shipped_numbers() -> dict[str, Any]:
    """Variables that an extension may set, with the shipped values, which unit tests count on."""
    variables: dict[str, Any] = yaml.safe_load((DBT_PROJECT / _PROJECT).read_bytes()).get("vars", {})
    return {name: value for name, value in variables.items() if name != _ATTRIBUTION_MODELS}


def _with_variables(project: bytes, extensions: Path, added: Iterable[str]) -> bytes:
    """dbt_project.yml with the variables of an extension, and its attribution models listed."""
    said = yaml.safe_load(project)
    variables: dict[str, Any] = said.get("vars", {})
    file = extensions / VARIABLES
    own = _variables(file) if file.exists() else {}
    for name in own:
        if name not in variables:
            line = _line_of(file.read_text(encoding="utf-8"), name)
            raise ExtensionError(f"{file}:{line}: {_PROJECT} has no variable {name}.")
    models = [
        PurePosixPath(name).stem
        for name in added
        if name.startswith(_ATTRIBUTION) and name.endswith((".sql", ".py"))
    ]
    if not own and not models:
        return project
    said["vars"] = {**variables, **own}
    if models:
        listed = said["vars"].get(_ATTRIBUTION_MODELS, [])
        said["vars"][_ATTRIBUTION_MODELS] = [*listed, *(name for name in models if name not in listed)]
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True).encode()


def _variables(file: Path) -> dict[str, Any]:
    try:
        own = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ExtensionError(f"{file}:{line}: this is no YAML: {error.problem}.") from error
    if not isinstance(own, dict):
        raise ExtensionError(f"{file}:1: it lists variables, as `lookback_days: 60`.")
    return own


def _line_of(text: str, word: str) -> int:
    return next((at for at, line in enumerate(text.splitlines(), start=1) if word in line), 1)
