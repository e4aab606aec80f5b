"""Deploying: unit tests run in a warehouse of their own, and then builds use what was edited.

What is refused is said in sentences that begin with the file and line where it was written.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import duckdb

from funnelhouse.settings import Settings
from orchestration.build_lock import BuildRunningError, build_lock
from orchestration.dbt_command import (
    FAILED,
    SEED_TESTS,
    nodes_of,
    results_path,
    run_command,
    warm_dbt,
)
from orchestration.deployment import DEPLOY_LOCK, Deployment, prepare, remove_old, said_anew, use
from orchestration.extensions import Composed, ExtensionError, compose, shipped_numbers
from orchestration.manifest import DbtProjectError, Manifest, one_at_a_time
from record.contract import RAW_TABLES
from record.sealed_files import EMPTY_FILE
from record.sealing import write_empty

_FILE = re.compile(r"\b(?:(?:models|macros|seeds|tests|analyses)/[\w./-]+[.]\w+|dbt_project[.]yml)")
# Not in capitals: so DuckDB counts the lines of what was compiled.
_LINE = re.compile(r"\b[Ll]ine:? (\d+)\b")
_OF_COMPILED = re.compile(r"LINE \d+: (.*)")
_QUOTED = re.compile(r"'([^'\s]+)'|\"([^\"\s]+)\"|`([^`\s]+)`")

MOST_SAID = 500
"""Characters of what dbt says of one fault."""

_MADE = ("resource_type:seed", "resource_type:model", SEED_TESTS)

_SHARES = 2
"""Processes that share the unit tests: hundreds of short queries, which keep dbt busy, not DuckDB."""


class DeployError(Exception):
    """What was edited can't be deployed. Each line of the message says where and why."""


def deploy(settings: Settings) -> Deployment:
    """Test the working tree, with extensions, and let builds that begin from now on use it.

    What was tested before is not tested again. Raises DeployError; what was deployed stays in use then.
    """
    settings.home_dir.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(settings.home_dir / DEPLOY_LOCK):
        deployment = _prepared(settings)
        if not deployment.is_tested:
            failures = _failures_of_tests(settings, deployment)
            if failures:
                _tidy_up(settings)
                raise DeployError("\n".join(failures))
            deployment = said_anew(replace(deployment, is_tested=True))
        use(settings, deployment)
        _tidy_up(settings)
    return deployment


def _prepared(settings: Settings) -> Deployment:
    try:
        return prepare(settings)
    except ExtensionError as refused:
        raise DeployError(str(refused)) from refused
    except DbtProjectError as refused:
        raise DeployError(
            _where(str(refused).partition("\n")[2], compose(settings.extensions_dir))
        ) from refused


def _tidy_up(settings: Settings) -> None:
    # A build that runs uses what may be old; the next build tidies up after itself.
    with suppress(BuildRunningError), build_lock(settings.build_lock_path, is_inherited=False):
        remove_old(settings)


def _failures_of_tests(settings: Settings, deployment: Deployment) -> list[str]:
    """Make everything of an empty record, with the tests of seeds, then run the unit tests; a sentence for
    what failed."""
    with _empty_home(settings) as empty:
        if failures := _failures_of(empty, deployment, "build", [*_MADE, "--full-refresh"]):
            return failures
        names = sorted(test["name"] for test in deployment.manifest()["unit_tests"].values())
        shares = [share for number in range(_SHARES) if (share := names[number::_SHARES])]
        homes = [settings.isolated(empty.home_dir / str(number)) for number in range(len(shares))]
        for home in homes:
            home.home_dir.mkdir()
            shutil.copyfile(empty.warehouse_path, home.warehouse_path)
        with ThreadPoolExecutor(_SHARES) as threads:
            ran = threads.map(
                lambda home, share: _failures_of(home, deployment, "test", share), homes, shares
            )
            return list(dict.fromkeys(failure for failures in ran for failure in failures))


def _failures_of(home: Settings, deployment: Deployment, command: str, selected: Sequence[str]) -> list[str]:
    """Run a command of dbt in a trial home; a sentence for each place of what failed."""
    arguments = [command, "--select", *selected, "--indirect-selection", "empty"]
    # Unit tests work their examples with the shipped numbers, whatever an extension sets.
    arguments += ["--vars", json.dumps(shipped_numbers())]
    with warm_dbt(home, deployment) as child:
        said = run_command(home, child, arguments, lambda _: None)
    if not said:
        return []
    project, manifest = compose(home.extensions_dir), deployment.manifest()
    failed = [node for node in nodes_of(results_path(home)) if node["status"] in FAILED]
    # Each unit test of a broken model says the same.
    places: dict[str, str] = {}
    for node in failed:
        place, sentence = _failure(node, manifest, project, home)
        places.setdefault(place, f"{place}: {sentence}")
    return list(places.values()) or said


@contextmanager
def _empty_home(settings: Settings) -> Iterator[Settings]:
    folder = settings.deployed_dir / f".tests.{os.getpid()}.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        empty = settings.isolated(folder)
        for table in RAW_TABLES:
            write_empty(empty.raw_dir / table / EMPTY_FILE, table, empty.raw_dir)
        yield empty
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _failure(
    node: Mapping[str, Any], manifest: Manifest, project: Composed, empty: Settings
) -> tuple[str, str]:
    """The file and line in which a node that failed is written, and what dbt said of it."""
    entry = manifest["nodes"].get(node["unique_id"]) or manifest["unit_tests"][node["unique_id"]]
    message = str(node["message"] or node["status"])
    attached = manifest["nodes"].get(entry.get("attached_node") or "")
    if attached is not None:
        # A test of a seed is about its rows.
        name, words = attached["original_file_path"], _values_found(node, empty)
        message = f"{entry['name']}: {message}"
    elif entry["resource_type"] == "unit_test" and node["status"] != "fail":
        # It could not run: what is broken is the model.
        name, words = manifest["nodes"][entry["depends_on"]["nodes"][0]]["original_file_path"], []
    elif entry["resource_type"] == "unit_test":
        name, words = entry["original_file_path"], [entry["name"]]
        message = f"unit test {entry['name']}: {message}"
    else:
        name, words = entry["original_file_path"], []
    text = project.files.get(name, b"").decode(errors="replace")
    return f"{project.origins.get(name, name)}:{_line(text, message, words)}", _one_line(message)


def _values_found(node: Mapping[str, Any], empty: Settings) -> list[str]:
    """The first row that a failing test found, as texts."""
    try:
        with duckdb.connect(str(empty.warehouse_path), read_only=True) as warehouse:
            found = warehouse.execute(f"from ({node['compiled_code']}) limit 1").fetchone()
    except (duckdb.Error, KeyError):
        return []
    return [str(value) for value in found or () if value is not None]


def _where(message: str, project: Composed) -> str:
    """What dbt said of a project that it can't parse, behind the file and line that it is about."""
    found = _FILE.search(message)
    said = _one_line(message).removeprefix("Encountered an error: ")
    if found is None:
        return said
    text = project.files.get(found[0], b"").decode(errors="replace")
    return f"{project.origins.get(found[0], found[0])}:{_line(text, message)}: {said}"


def _line(text: str, message: str, words: Iterable[str] = ()) -> int:
    """The line of a file that a message is about, as well as it can be told; else the first."""
    lines = text.splitlines()
    if words := list(words):
        return _line_with(lines, words) or _line_with(lines, words[:1]) or 1
    if (numbered := _LINE.search(message)) is not None:
        return int(numbered[1])
    if (compiled := _OF_COMPILED.search(message)) is not None:
        found = _line_with(lines, [compiled[1].strip(" .")])
        if found:
            return found
    for quoted in _QUOTED.finditer(message):
        found = _line_with(lines, [next(filter(None, quoted.groups()))])
        if found:
            return found
    return 1


def _line_with(lines: list[str], words: list[str]) -> int | None:
    at = [number for number, line in enumerate(lines, start=1) if all(word in line for word in words)]
    return at[0] if at else None


def _one_line(message: str) -> str:
    said = " ".join(message.split())
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]} …"
