"""dbt's command inside a build: `dbt build` as a child of this process, and what it says went wrong."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource
from packaging.version import Version

from funnelhouse.settings import Settings
from orchestration.disk_space import check_space, reserve_kept, spill_limit
from orchestration.manifest import DBT_EXECUTABLE, DBT_PROJECT, build_dir, dbt_environment
from orchestration.warehouse import heal, show_damage


class DbtCommand(DbtCliResource):
    """dagster_dbt's command without two things that it does before each call.

    Asking the executable for its version takes seconds and looks up the newest one on the network; making
    an adapter in this process takes seconds more, and only reading column metadata back would need it.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Any) -> Any:  # noqa: ARG002 (dagster_dbt's signature)
        return None


def dbt_command() -> DbtCommand:
    """The command over this checkout's project, with the dbt of this environment."""
    return DbtCommand(
        project_dir=str(DBT_PROJECT), profiles_dir=str(DBT_PROJECT), dbt_executable=str(DBT_EXECUTABLE)
    )


def run_dbt(
    settings: Settings, dbt: DbtCommand, context: dg.AssetExecutionContext, full_refresh: bool
) -> Iterator[Any]:
    """Build seeds, models and tests; yields Dagster's events as dbt finishes each.

    A warehouse that is damaged, or turns out to be, is set aside and built whole: the step is then repeated,
    once. Raises `dagster.Failure`, in words, when any node failed or dbt could not run; WarehouseError;
    DiskFullError when there is not enough space, or not any more.
    """
    if healed := heal(settings.warehouse_path):
        context.log.warning(healed)
        check_space(settings, is_whole=True)
    results = results_path(settings)
    results.unlink(missing_ok=True)
    # Unit tests check the rules, not the data: they run with the tests.
    command = ["build", "--exclude", "test_type:unit", *(["--full-refresh"] * full_refresh)]
    with _environment({**dbt_environment(settings), "FUNNELHOUSE_BUILD_SPILL": spill_limit(settings)}):
        invocation = dbt.cli(command, context=context, target_path=results.parent, raise_on_error=False)
    with reserve_kept(settings, invocation.process.kill):
        yield from invocation.stream()
        exit_code = invocation.process.wait()
    failures = _failures(results, exit_code)
    is_suspect = context.retry_number == 0 and show_damage(failures)
    if is_suspect and (healed := heal(settings.warehouse_path, is_suspect)):
        context.log.warning(healed)
        raise dg.RetryRequested(max_retries=1)
    if failures:
        # A failing test fails again: trying once more would only cost minutes.
        raise dg.Failure(description="\n".join(failures), allow_retries=False)


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


def _failures(results: Path, exit_code: int) -> list[str]:
    """One sentence per node that failed. Nodes skipped because of it are left out."""
    failures = [
        f"dbt {kind} {name}: {' '.join((node['message'] or node['status']).split())}"
        for node in _nodes(results)
        for kind, name in [_kind_and_name(node)]
        if node["status"] in ("error", "fail", "runtime error", "partial success")
    ]
    if exit_code != 0 and not failures:
        failures = [f"dbt ended with exit code {exit_code}; {results.parent / 'dbt.log'} says why."]
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


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process: a child started meanwhile inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
