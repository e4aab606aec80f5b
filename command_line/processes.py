"""The system's processes: started together, watched, and ended together without leaving one behind."""

import base64
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import click
import httpx

from command_line.house_lock import MARK, HouseRunningError, house_lock
from forwarding.outbox.installation import is_dev_home
from funnelhouse.last_build import LastBuild, read_last_build
from funnelhouse.settings import CHECKOUT, Settings
from orchestration.build_lock import BuildRunningError, build_lock
from orchestration.deployment import deployed_or_first, said_difference
from orchestration.extensions import ExtensionError
from orchestration.history import prune_history
from orchestration.instance import end_lost_runs, make_tables, open_instance, write_workspace
from orchestration.manifest import DbtProjectError
from record.secrets import SecretKey

END_WITHIN_S = 10.0
"""How long a process may take to end when asked; then its whole group is killed."""

FAILURES_SAID = 20
"""Sentences of a failed build that the terminal shows."""

_PR_SET_PDEATHSIG = 1

KILLED_WITHIN_S = 2.0
"""How long to wait for the killed ones: without a parent, they show until the system reaps them."""


class ProcessesError(Exception):
    """A process ended, or did not get ready in time. The message names it."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, leader of a process group of its own."""

    name: str
    process: subprocess.Popen[bytes]


class Processes:
    """A context in which child processes run; leaving it, however, ends all of them and their children.

    Each child leads a process group of its own: Ctrl-C in the terminal reaches only this process, which then
    ends the children in the reverse order of their start. On Linux they are asked to end as well when this
    process is killed.
    """

    def __init__(self, settings: Settings, mark: str = "") -> None:
        """`mark` is what the children carry in their environment, for `house_lock` to know them by."""
        self._settings = settings
        self._environment = {**os.environ, **_environment(settings), MARK: mark}
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.end()

    def start(self, name: str, command: Sequence[str], log: Path | None = None) -> None:
        """Start a process; what it prints goes to `log` (appended) or, without one, where ours goes."""
        with _signals_deferred(), log.open("ab") if log is not None else nullcontext() as output:
            process = subprocess.Popen(  # noqa: S603 (our own commands)
                list(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                start_new_session=True,
                preexec_fn=_ending_with_parent(),
            )
            self._children.append(Child(name, process))

    def serve(self, log: Path | None = None) -> None:
        """Start the ingest and the read server, and return when both answer. Raises ProcessesError."""
        for name in ("ingest", "read"):
            self.start(name, [sys.executable, "-m", "command_line", "serve", name], log)
        settings = self._settings
        self.wait_until_ready("ingest", f"{settings.address(settings.ingest_port)}/ingest/ready")
        self.wait_until_ready("read", f"{settings.address(settings.read_port)}/read/live")

    def wait_until_ready(self, name: str, url: str, within_s: float = 60.0) -> None:
        """Return when `url` answers 200. Raises ProcessesError when it doesn't, or when any process ends."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.check()
            try:
                if httpx.get(url, timeout=2.0, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise ProcessesError(f"{name} did not answer at {url} within {within_s:.0f} seconds.")

    def check(self) -> None:
        """Raise ProcessesError when a process has ended."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise ProcessesError(f"{child.name} ended with exit code {code}.")

    def watch(self, look: Callable[[], None] = lambda: None) -> None:
        """Wait until a process ends, which raises ProcessesError; interrupted by what a signal raises.

        Calls `look` every half second.
        """
        while True:
            self.check()
            look()
            time.sleep(0.5)

    def end(self) -> None:
        """Ask every process to end, latest first; after ten seconds kill what is left of their groups."""
        with _signals_deferred():
            for child in reversed(self._children):
                _signal_group(child, signal.SIGTERM)
            self._wait_until_gone(END_WITHIN_S)
            for child in self._children:
                _signal_group(child, signal.SIGKILL)
            self._wait_until_gone(KILLED_WITHIN_S)
            self._children.clear()

    def _wait_until_gone(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and any(map(_group_lives, self._children)):
            time.sleep(0.05)


def up(settings: Settings) -> None:
    """Run ingest, read, Dagster's scheduler, its web page, and forwarding until Ctrl-C or SIGTERM.

    Then end them all.

    Raises `click.ClickException` when this home is up already, and, after ending the others, when one of them
    ends by itself or the dbt project can't be parsed.
    """
    try:
        with (
            sigterm_as_interrupt(),
            suppress(KeyboardInterrupt),
            house_lock(settings.house_lock_path, END_WITHIN_S) as (mark, orphans),
        ):
            if orphans:
                click.echo(f"Ended {orphans} processes that a killed `funnelhouse up` had left behind.")
            _run_all(settings, mark)
    except (ProcessesError, DbtProjectError, ExtensionError, HouseRunningError) as wrong:
        raise click.ClickException(str(wrong)) from None


def _run_all(settings: Settings, mark: str) -> None:
    with Processes(settings, mark) as processes:
        # First of all, for what is sent meanwhile is lost to senders who do not repeat it.
        processes.serve()
        tidy_up(settings)
        # Before a build asks for it, so that a mistake in the SQL is seen here and at once.
        deployed_or_first(settings)
        if (differs := said_difference(settings)) is not None:
            click.echo(differs)
        dagster, logs = start_dagster(processes, settings)
        if not is_dev_home(settings):
            start_forwarding(processes)
        click.echo(f"ingest   {settings.address(settings.ingest_port)}   (OpenAPI: /ingest/openapi.json)")
        click.echo(f"read     {settings.address(settings.read_port)}   (OpenAPI: /read/openapi.json)")
        click.echo(f"dagster  {dagster}   (logs in {logs})")
        click.echo("Ctrl-C ends everything.")
        processes.watch(BuildNews(settings.last_build_path).look)


def tidy_up(settings: Settings) -> None:
    """Make Dagster's tables where they are missing, end the runs of processes that are gone, and prune.

    For a moment in which nothing builds but perhaps the command line, to which the history is left then.
    """
    make_tables(settings)
    with (
        suppress(BuildRunningError),
        build_lock(settings.build_lock_path),
        open_instance(settings) as instance,
    ):
        end_lost_runs(settings, instance, lost_after_s=0)
        prune_history(settings, instance)


class BuildNews:
    """Says on the terminal when a build failed, and why, and when builds are well again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: LastBuild | None = None

    def look(self) -> None:
        """Look at what became of the last build, whoever started it; one that was said is not said again."""
        last = read_last_build(self._path)
        before, self._said = self._said, last
        if last is None or last == before:
            return
        at = datetime.fromtimestamp(last.ended_us / 1_000_000, UTC)
        if last.outcome == "failed":
            again = before is not None and before.failures == last.failures
            click.echo(
                f"{at:%Y-%m-%d %H:%M} UTC  A build failed after {last.seconds:.0f} s"
                + (", for the same reasons." if again else "; readers still see the last publication.")
            )
            for failure in () if again else last.failures[:FAILURES_SAID]:
                click.echo(f"    {failure}")
        elif before is not None and before.outcome == "failed":
            click.echo(f"{at:%Y-%m-%d %H:%M} UTC  Builds are well again: published as {last.build_id}.")


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, which ends a service, do what Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def start_dagster(processes: Processes, settings: Settings) -> tuple[str, Path]:
    """Start the scheduler and the web page; returns the page's address, which answers, and the logs' folder.

    One code server loads the definitions once for both. Raises ProcessesError.
    """
    logs = settings.home_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    address = settings.address(settings.dagster_port)
    code_port = str(_free_port())
    code = ["--workspace", str(write_workspace(settings, int(code_port)))]
    python = [sys.executable, "-m"]
    processes.start(
        "dagster code server",
        [
            *[*python, "dagster", "code-server", "start", "--host", "127.0.0.1", "--port", code_port],
            *["--module-name", "orchestration.definitions", "--use-python-environment-entry-point"],
            *["--working-directory", str(CHECKOUT), "--log-level", "warning"],
        ],
        logs / "dagster-code.log",
    )
    processes.start(
        "dagster scheduler",
        [*python, "dagster._daemon", "run", "--log-level", "warning", *code],
        logs / "dagster-scheduler.log",
    )
    processes.start(
        "dagster web page",
        [
            *[*python, "dagster_webserver", *code, "--dagster-log-level", "warning"],
            *["--host", settings.host, "--port", str(settings.dagster_port)],
        ],
        logs / "dagster-web.log",
    )
    processes.wait_until_ready("dagster", f"{address}/server_info")
    return address, logs


def start_forwarding(processes: Processes, log: Path | None = None) -> None:
    """Start what tells destinations; it makes nothing and needs next to nothing while there are none."""
    processes.start("forward", [sys.executable, "-m", "command_line", "forward"], log)


def _environment(settings: Settings) -> dict[str, str]:
    """Variables that give a child these very settings; the home is absolute, whatever its folder is."""
    given = {f"FUNNELHOUSE_{name.upper()}": getattr(settings, name) for name in Settings.model_fields}
    return {
        **{
            name: ",".join(map(_written, value)) if isinstance(value, tuple) else str(value)
            for name, value in given.items()
        },
        "FUNNELHOUSE_HOME": str(settings.home_dir),
        "DAGSTER_HOME": str(settings.dagster_home),
        "DO_NOT_TRACK": "1",
        # A folder of the current one that is called like a package of ours is not that package.
        "PYTHONSAFEPATH": "1",
    }


def _written(value: object) -> str:
    """One of a setting's values, as the setting takes it."""
    if isinstance(value, SecretKey):
        return f"{value.key_id}:{base64.b64encode(value.key).decode()}"
    return str(value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ending_with_parent() -> Callable[[], None] | None:
    """What a new child does first: ask the system to be ended when its parent is killed. Linux alone can.

    The system means the thread that started the child: of any other than the main thread, that would be soon.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            # It was killed before the system knew.
            os._exit(1)

    return ask


def _signal_group(child: Child, number: signal.Signals) -> None:
    """Signal the child and what it started; a group without processes is left in peace."""
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)


def _group_lives(child: Child) -> bool:
    # Reaps the leader first: a process that has ended keeps its group until then.
    child.process.poll()
    try:
        os.killpg(child.process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is done: between them a child would be forgotten."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: arrived.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for arrival in arrived:
            signal.raise_signal(arrival)
