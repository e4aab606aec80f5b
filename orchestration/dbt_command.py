"""dbt's command inside a build: `dbt build` as a child of this process, and what it says went wrong."""

import json
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from funnelhouse.settings import Settings
from orchestration.disk_space import check_space, reserve_kept, spill_limit
from orchestration.manifest import (
    DBT_EXECUTABLE,
    DBT_PROJECT,
    PARTIAL_PARSE,
    Manifest,
    build_dir,
    dbt_environment,
    parse_dir,
)
from orchestration.warehouse import heal, show_damage

BUILT_TYPES = frozenset({"model", "seed", "test"})
"""What a build makes or tries. Unit tests check the rules, not the data: they run with the tests."""

ENDS_WITHIN_S = 8.0
"""An interrupted dbt may take this long over the query that it is in; then it is killed."""


def build_models(
    settings: Settings, full_refresh: bool, on_node: Callable[[str], None], warn: Callable[[str], None]
) -> list[str]:
    """As `run_dbt`; a warehouse that is damaged, or turns out to be, is set aside and all is built anew.

    `warn` is told so, in a sentence. Raises WarehouseError; DiskFullError when there is not enough space, or
    not any more.
    """
    if healed := heal(settings.warehouse_path):
        warn(healed)
        check_space(settings, is_whole=True)
    failures = run_dbt(settings, full_refresh, on_node)
    if show_damage(failures) and (healed := heal(settings.warehouse_path, is_suspect=True)):
        warn(healed)
        check_space(settings, is_whole=True)
        failures = run_dbt(settings, full_refresh, on_node)
    return failures


def run_dbt(settings: Settings, full_refresh: bool, on_node: Callable[[str], None]) -> list[str]:
    """Build seeds, models and tests in the warehouse; returns a sentence for each that failed.

    `on_node` is called with the name of each when dbt is done with it. The manifest has been loaded: dbt
    begins with what was parsed for it. When this process is interrupted, dbt is ended before the exception
    goes on. Raises DiskFullError when landing's share of the disk is about to be used.
    """
    folder = build_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    # What the last build left says nothing of this one, and its log would grow for ever.
    for name in ("run_results.json", "dbt.log"):
        (folder / name).unlink(missing_ok=True)
    shutil.copyfile(parse_dir(settings) / PARTIAL_PARSE, folder / PARTIAL_PARSE)
    command = [str(DBT_EXECUTABLE), "--log-format", "json", "build", "--exclude", "test_type:unit"]
    command += ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)]
    said: deque[str] = deque(maxlen=3)
    with (
        _child([*command, *(["--full-refresh"] * full_refresh)], _environment(settings)) as process,
        reserve_kept(settings, process.kill),
    ):
        for name in _nodes_done(process, said):
            on_node(name)
    return _failures(results_path(settings), process.returncode, said)


def node_names(manifest: Manifest) -> list[str]:
    """Names of all that a build makes or tries."""
    return [node["name"] for node in manifest["nodes"].values() if node["resource_type"] in BUILT_TYPES]


def built_manifest(settings: Settings) -> Manifest:
    """The project as the last build's dbt found it. Raises FileNotFoundError when none was begun."""
    manifest: Manifest = json.loads((build_dir(settings) / "manifest.json").read_bytes())
    return manifest


def results_path(settings: Settings) -> Path:
    """File where the last build's dbt says how long each node took and what became of it."""
    return build_dir(settings) / "run_results.json"


def model_seconds(settings: Settings) -> dict[str, float]:
    """Seconds that each model and seed of the last build took; empty when dbt didn't get to its end."""
    return {
        name: node["execution_time"]
        for node in _nodes(results_path(settings))
        for kind, name in [_kind_and_name(node)]
        if kind in ("model", "seed")
    }


def test_outcomes(results: Path) -> list[dict[str, Any]]:
    """What became of each test of the last build, as `of`, `name`, `severity`, `passed`, `description`.

    `severity` is `warning` for one that only warns; `description` is what dbt found, behind what a test
    written as a query promises in its first line.
    """
    found = []
    for node in _nodes(results):
        kind, name = _kind_and_name(node)
        if kind != "test":
            continue
        code = (node.get("compiled_code") or "").lstrip()
        promise = code.splitlines()[0].removeprefix("-- ") if code.startswith("-- ") else ""
        said = [promise, node["message"] or ""]
        found.append(
            {
                "of": "dbt",
                "name": name,
                "severity": "warning" if node["status"] == "warn" else "critical",
                "passed": node["status"] == "pass",
                "description": " ".join(part for part in said if part),
            }
        )
    return found


def _environment(settings: Settings) -> dict[str, str]:
    folder = str(build_dir(settings))
    return {
        **os.environ,
        **dbt_environment(settings),
        # The parsed manifest lies in a folder of its own: others read it meanwhile.
        "DBT_TARGET_PATH": folder,
        "DBT_LOG_PATH": folder,
        "FUNNELHOUSE_BUILD_SPILL": spill_limit(settings),
    }


@contextmanager
def _child(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A child that has ended at the end of the block, however that is left."""
    # Standard input is the build lock, which an orphan so goes on holding.
    with subprocess.Popen(  # noqa: S603 (our own command)
        command,
        cwd=DBT_PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            yield process
        except BaseException:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _nodes_done(process: subprocess.Popen[str], said: deque[str]) -> Iterator[str]:
    """Names of nodes as dbt reports them done; errors, and lines that are no event, are added to `said`."""
    done: set[str] = set()
    for line in process.stdout or ():
        try:
            event = json.loads(line)
            message, level = event["info"]["msg"], event["info"]["level"]
        except (ValueError, KeyError, TypeError):
            said.append(line)
            continue
        if level == "error" and message.strip():
            said.append(message)
        node = event["data"].get("node_info") or {}
        node_id = node.get("unique_id", "")
        if node.get("node_finished_at") and node.get("resource_type") in BUILT_TYPES and node_id not in done:
            done.add(node_id)
            yield node["node_name"]


def _failures(results: Path, exit_code: int, said: Iterable[str]) -> list[str]:
    """One sentence per node that failed. Nodes skipped because of it are left out."""
    failures = [
        f"dbt {kind} {name}: {' '.join((node['message'] or node['status']).split())}"
        for node in _nodes(results)
        for kind, name in [_kind_and_name(node)]
        if node["status"] in ("error", "fail", "runtime error", "partial success")
    ]
    if exit_code != 0 and not failures:
        last = " ".join(" ".join(said).split())
        log = results.parent / "dbt.log"
        failures = [f"dbt ended with exit code {exit_code}; {log} says why{f': {last}' * bool(last)}."]
    return failures


def _nodes(results: Path) -> list[dict[str, Any]]:
    try:
        nodes: list[dict[str, Any]] = json.loads(results.read_bytes())["results"]
    except (FileNotFoundError, ValueError):
        # dbt did not get to its end.
        return []
    return nodes


def _kind_and_name(node: Mapping[str, Any]) -> tuple[str, str]:
    """From dbt's unique id, e.g. `model.funnelhouse.fct_sessions`; a generic test's ends in a hash."""
    kind, _, name = node["unique_id"].split(".")[:3]
    return kind, name
