"""dbt's command inside a build: `dbt build` as a child of this process, and what it says went wrong."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from funnelhouse.settings import CHECKOUT, Settings
from orchestration.deployment import Deployment
from orchestration.disk_space import check_space, reserve_kept, spill_limit
from orchestration.incremental import seeds_are_loaded
from orchestration.manifest import Manifest, build_dir, dbt_environment
from orchestration.spark_warehouse import is_on_spark, spark_environment, tables_dir, write_warehouse
from orchestration.warehouse import heal, show_damage

TESTED_FOLDERS = ("models/marts/", "tests/")
"""Whose tests every build runs: what is published, and the promises about it. Keys of what lies before can't
fail for the data's sake once the code is tested; all tests run with the project's own.
"""

SEEDS = "seeds/"

RESULTS = "run_results.json"

FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
"""Statuses of nodes by which a build fails."""

ENDS_WITHIN_S = 8.0
"""An interrupted dbt may take this long over the query that it is in; then it is killed."""


class DbtProcess:
    """dbt as a child of this process: it imports itself, reads the parsed project, and waits to be told."""

    def __init__(self, settings: Settings, deployment: Deployment) -> None:
        self.deployment = deployment
        self._folder = build_dir(settings)
        self._folder.mkdir(parents=True, exist_ok=True)
        read, self._tell = os.pipe()
        command = [
            sys.executable,
            "-m",
            "orchestration.dbt_process",
            str(deployment.partial_parse),
            str(deployment.project),
            str(read),
        ]
        # Standard input is the build lock, which an orphan so goes on holding.
        self.process = subprocess.Popen(  # noqa: S603 (our own command)
            command,
            cwd=CHECKOUT,
            env={**os.environ, **_environment(settings, deployment)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[read],
        )
        os.close(read)

    def tell(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        """Let it begin, once."""
        command = {"arguments": arguments, "environment": environment, "results": str(self._folder / RESULTS)}
        with os.fdopen(self._tell, "w") as pipe, suppress(BrokenPipeError):
            # One that died before it was told says why, and with which exit code.
            pipe.write(json.dumps(command) + "\n")
        self._tell = -1

    @property
    def is_waiting(self) -> bool:
        """Whether it has not been told to begin."""
        return self._tell >= 0

    def interrupt(self) -> None:
        """Tell it to end, and make it when it doesn't soon."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def end(self) -> None:
        """Wait until it has ended; one that waits, and so has touched nothing, is ended at once."""
        if self.is_waiting:
            self.process.kill()
            os.close(self._tell)
            self._tell = -1
        self.process.__exit__(None, None, None)


@contextmanager
def warm_dbt(settings: Settings, deployment: Deployment) -> Iterator[DbtProcess]:
    """A child that gets ready while this process does other things; it has ended at the end of the block."""
    child = DbtProcess(settings, deployment)
    try:
        yield child
    finally:
        child.end()


class Modelling:
    """The models of one build, made by dbt in a thread from `begin` on. `warnings` are sentences.

    What the build is otherwise busy with meanwhile, such as checking what landed, may stop it.
    """

    def __init__(
        self,
        settings: Settings,
        deployment: Deployment,
        full_refresh: bool,
        on_node: Callable[[str], None],
        warm: DbtProcess | None = None,
        build_id: str = "",
    ) -> None:
        """On Spark, tables are written for `build_id`."""
        self.warnings: list[str] = []
        self._settings = settings
        self._deployment = deployment
        self._full_refresh = full_refresh
        self._on_node = on_node
        self._warm = warm
        self._build_id = build_id
        self._child: DbtProcess | None = None
        self._is_stopped = False
        self._changing = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dbt")
        self._failures: Future[list[str]] | None = None

    def begin(self) -> None:
        """Start; once more does nothing."""
        if self._failures is None:
            self._failures = self._thread.submit(self._build)

    def failures(self) -> list[str]:
        """Wait until it has ended; a sentence for each model, seed and test that failed.

        Raises DbtProjectError, WarehouseError, and DiskFullError when space is short or becomes so.
        """
        self.begin()
        return self._failures.result() if self._failures else []

    def stop(self) -> None:
        """End what still runs: dbt is told to, and made to when it doesn't soon."""
        with self._changing:
            self._is_stopped = True
            running = self._child if self._failures and not self._failures.done() else None
        if running is not None:
            running.interrupt()
        self._thread.shutdown()

    def _build(self) -> list[str]:
        """A warehouse that is damaged, or turns out to be, is set aside and all is built anew."""
        if is_on_spark(self._settings):
            return self._build_on_spark()
        self._heal(is_suspect=False)
        told = self._settings, self._deployment, self._full_refresh, self._on_node
        failures = run_dbt(*told, self._warm, self._watch)
        if not self._is_stopped and show_damage(failures) and self._heal(is_suspect=True):
            failures = run_dbt(*told, on_child=self._watch)
        return failures

    def _build_on_spark(self) -> list[str]:
        manifest = self._deployment.manifest()
        tables = tables_dir(self._settings, self._build_id)
        tables.mkdir(parents=True)
        # dbt parses by itself here: what was parsed is of the other engine.
        arguments = [*_selection(are_seeds_loaded=False), "--target", "spark", "--no-partial-parse"]
        environment = spark_environment(self._settings, self._build_id, manifest)
        with nullcontext(self._warm) if self._warm else warm_dbt(self._settings, self._deployment) as child:
            self._watch(child)
            failures = run_command(self._settings, child, arguments, self._on_node, environment)
        if not failures:
            write_warehouse(tables, manifest)
        return failures

    def _heal(self, is_suspect: bool) -> bool:
        healed = heal(self._settings.warehouse_path, is_suspect)
        if healed is not None:
            self.warnings.append(healed)
            check_space(self._settings, is_whole=True)
        return healed is not None

    def _watch(self, child: DbtProcess) -> None:
        with self._changing:
            self._child = child
            if self._is_stopped:
                child.process.kill()


def run_dbt(
    settings: Settings,
    deployment: Deployment,
    full_refresh: bool,
    on_node: Callable[[str], None],
    warm: DbtProcess | None = None,
    on_child: Callable[[DbtProcess], None] = lambda _: None,
) -> list[str]:
    """Build seeds, models and tests in the warehouse; returns a sentence for each that failed.

    `on_node` is called with the name of each when dbt is done with it. It is done by `warm` where that still
    waits; `on_child` is given the one that does.
    When this is interrupted, dbt is ended before the exception goes on. Raises DiskFullError when landing's
    share of the disk is about to be used.
    """
    folder = build_dir(settings)
    # What the last build left says nothing of this one, and its log would grow for ever.
    for name in (RESULTS, "dbt.log"):
        (folder / name).unlink(missing_ok=True)
    are_loaded = not full_refresh and seeds_are_loaded(settings.warehouse_path, deployment.fingerprint)
    arguments = [*_selection(are_loaded), *(["--full-refresh"] * full_refresh)]
    with nullcontext(warm) if warm and warm.is_waiting else warm_dbt(settings, deployment) as child:
        on_child(child)
        for node in node_names(deployment.manifest(), of_seeds=True) if are_loaded else ():
            on_node(node)
        return run_command(settings, child, arguments, on_node)


def run_command(
    settings: Settings,
    child: DbtProcess,
    arguments: list[str],
    on_node: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Let a dbt that waits run one command to its end; as `run_dbt`. `environment` is told it besides."""
    project = str(child.deployment.project)
    said: deque[str] = deque(maxlen=3)
    with _interruptible(child), reserve_kept(settings, child.process.kill):
        spill = {"FUNNELHOUSE_BUILD_SPILL": spill_limit(settings)}
        told = {**spill, **(environment or {})}
        child.tell([*arguments, "--project-dir", project, "--profiles-dir", project], told)
        for node in _nodes_done(child.process, said):
            on_node(node)
        exit_code = child.process.wait()
    return _failures(results_path(settings), exit_code, said)


def node_names(manifest: Manifest, of_seeds: bool = False) -> list[str]:
    """Names of all that a build makes or tries; or of its seeds and their tests only."""
    return [
        node["name"]
        for node in manifest["nodes"].values()
        if node["original_file_path"].startswith(SEEDS)
        or (
            not of_seeds
            and (node["resource_type"] == "model" or node["original_file_path"].startswith(TESTED_FOLDERS))
        )
    ]


def _selection(are_seeds_loaded: bool) -> list[str]:
    """The command of a build, with what it makes and tries."""
    seeds = [] if are_seeds_loaded else ["resource_type:seed", _tests_in(SEEDS)]
    tests = (_tests_in(folder) for folder in TESTED_FOLDERS)
    # Only the tests that are named, none because its model is.
    return ["build", "--select", "resource_type:model", *seeds, *tests, "--indirect-selection", "empty"]


def _tests_in(folder: str) -> str:
    return f"path:{folder.rstrip('/')},resource_type:test"


SEED_TESTS = _tests_in(SEEDS)
"""Selects the tests of seeds."""


def results_path(settings: Settings) -> Path:
    """File where the last build's dbt says how long each node took and what became of it."""
    return build_dir(settings) / RESULTS


def model_seconds(settings: Settings) -> dict[str, float]:
    """Seconds that each model and seed of the last build took; empty when dbt didn't get to its end."""
    return {
        name: node["execution_time"]
        for node in nodes_of(results_path(settings))
        for kind, name in [_kind_and_name(node)]
        if kind in ("model", "seed")
    }


def test_outcomes(results: Path) -> list[dict[str, Any]]:
    """What became of each test of the last build, as `of`, `name`, `severity`, `passed`, `description`.

    `severity` is `warning` for one that only warns; `description` is what dbt found, behind what a test
    written as a query promises in its first line.
    """
    found = []
    for node in nodes_of(results):
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


def _environment(settings: Settings, deployment: Deployment) -> dict[str, str]:
    folder = str(build_dir(settings))
    paths = {"DBT_TARGET_PATH": folder, "DBT_LOG_PATH": folder}
    return {**dbt_environment(settings, deployment.fingerprint), **paths}


@contextmanager
def _interruptible(child: DbtProcess) -> Iterator[None]:
    """A child is told to end when the block raises, and made to when it doesn't soon."""
    try:
        yield
    except BaseException:
        child.interrupt()
        raise


def _nodes_done(process: subprocess.Popen[str], said: deque[str]) -> Iterator[str]:
    """Names of nodes as dbt reports them done; errors, and lines of anybody else, are added to `said`."""
    for line in process.stdout or ():
        try:
            [(what, text)] = json.loads(line).items()
        except (ValueError, AttributeError):
            said.append(line)
            continue
        if what == "done":
            yield text
        else:
            said.append(text)


def _failures(results: Path, exit_code: int, said: Iterable[str]) -> list[str]:
    """One sentence per node that failed. Nodes skipped because of it are left out."""
    failures = [
        f"dbt {kind} {name}: {' '.join((node['message'] or node['status']).split())}"
        for node in nodes_of(results)
        for kind, name in [_kind_and_name(node)]
        if node["status"] in FAILED
    ]
    if exit_code != 0 and not failures:
        last = " ".join(" ".join(said).split())
        log = results.parent / "dbt.log"
        failures = [f"dbt ended with exit code {exit_code}; {log} says why{f': {last}' * bool(last)}."]
    return failures


def nodes_of(results: Path) -> list[dict[str, Any]]:
    """What became of each node, as dbt wrote it down; empty when it didn't get to its end."""
    try:
        nodes: list[dict[str, Any]] = json.loads(results.read_bytes())["results"]
    except (FileNotFoundError, ValueError):
        return []
    return nodes


def _kind_and_name(node: Mapping[str, Any]) -> tuple[str, str]:
    """From dbt's unique id, e.g. `model.funnelhouse.fct_sessions`; a generic test's ends in a hash."""
    kind, _, name = node["unique_id"].split(".")[:3]
    return kind, name
