"""Seconds and memory of builds of synthetic traffic: from nothing, and after a few more events have arrived.

Run it with `python -m benchmarks.builds 1000000 10000000`. Each size gets a home of its own with traffic made
by a seed (`benchmarks.traffic`; kept with `--folder`, and then used again), is built from nothing, and built
again after `--extra` more events have arrived. A build is a process of its own, as
`funnelhouse build` is. What seconds are worth on this machine at this hour is said by a plain scan and sort
of the same files, in the same run and with a build's memory. Memory is the sum over the build's processes,
sampled.

The settings of the environment hold: `FUNNELHOUSE_ENGINE=spark` measures builds on Spark. Each of them is
a full one, so `--extra 0` is enough.

With `--destinations` each project has three destinations besides: a webhook, Meta and Google.

With `--tiny` it measures what a build costs however little there is: of 1,000 events, from the command line,
beside what importing Dagster, dbt and Great Expectations takes. Processor seconds are those of all processes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.traffic import generate, generate_more
from funnelhouse.collector import collect_seldom
from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.outcome import PUBLISH_STEP

SAMPLE_S = 0.2
TINY_EVENTS = 1000
FEW_EVENTS = 100
IMPORTS = "import dagster, dbt.cli.main, great_expectations"
SLOWEST = 10
SEED = 1


@dataclass(frozen=True)
class Measured:
    """One build: wall seconds in all, the seconds of its steps and models, and its memory's peak in MB."""

    seconds: float
    steps: dict[str, float]
    models: dict[str, float]
    peak_mb: int


def build(home: Path) -> Measured:
    """Build a home in a process of its own. Raises SystemExit when that publishes nothing."""
    started = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.builds", "--build", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process, _peak_memory(process.pid) as peak:
        said, _ = process.communicate()
    seconds = time.monotonic() - started
    report: dict[str, Any] = json.loads(said.splitlines()[-1]) if said else {"failures": ["it died"]}
    if report["failures"]:
        raise SystemExit("\n".join(report["failures"]))
    return Measured(seconds, report["seconds"], report["models"], peak[0] // 1_000_000)


def scan_and_sort_seconds(home: Path) -> float:
    """Seconds of DuckDB for one sort of all events by visitor and time, every column but the payload kept."""
    files = str(home / "raw" / "events" / "*" / "*.parquet")
    with tempfile.TemporaryDirectory(dir=home) as folder:
        started = time.monotonic()
        with duckdb.connect(f"{folder}/sorted.duckdb", config={"memory_limit": "4GB"}) as connection:
            connection.execute(
                "create table sorted as select * exclude (payload) from read_parquet(?) "
                "order by visitor_id, occurred_us, seq",
                [files],
            )
        return time.monotonic() - started


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Samples a process and its descendants until left; yields a list of one, the highest sum in bytes."""
    peak, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            peak[0] = max(peak[0], sum(_resident_bytes(one) for one in _tree(pid)))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        ended.set()
        sampler.join()


def _tree(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return pids


def _resident_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def _print_builds(events: int, scan_s: float, builds: dict[str, Measured]) -> None:
    steps = list(next(iter(builds.values())).steps)
    print(f"\n{events:,} events; one scan and sort of them {scan_s:.1f} s\n")
    print(f"| build | together s | ÷ scan and sort | without publication s | {' | '.join(steps)} | peak MB |")
    print(f"|---|{'---:|' * (len(steps) + 4)}")
    for name, one in builds.items():
        by_step = " | ".join(f"{one.steps[step]:.1f}" for step in steps)
        unpublished = one.seconds - one.steps[PUBLISH_STEP]
        print(
            f"| {name} | {one.seconds:.1f} | {one.seconds / scan_s:.1f} | {unpublished:.1f} | {by_step} "
            f"| {one.peak_mb:,} |"
        )
    for name, one in builds.items():
        slowest = sorted(one.models.items(), key=lambda model: -model[1])[:SLOWEST]
        print(f"\n{name}, slowest models: " + ", ".join(f"{model} {took:.1f}" for model, took in slowest))
    sys.stdout.flush()


def _measure(events: int, extra: int, home: Path, has_destinations: bool) -> None:
    if not (home / "traffic").exists():
        generate(home, events, SEED, has_destinations)
    scan_s = scan_and_sort_seconds(home)
    for file in home.glob("warehouse.duckdb*"):
        file.unlink()
    # A kept home would go on building with the models that were deployed into it first.
    shutil.rmtree(home / "deployed", ignore_errors=True)
    builds = {"from nothing": build(home)}
    if extra:
        generate_more(home, extra)
        builds[f"{extra:,} more"] = build(home)
    _print_builds(events, scan_s, builds)


def _measure_tiny(home: Path) -> None:
    generate(home, TINY_EVENTS, SEED)
    environment = {**os.environ, "FUNNELHOUSE_HOME": str(home)}
    command = [sys.executable, "-m", "command_line", "build"]
    _seconds(
        [sys.executable, "-c", IMPORTS], environment
    )  # what was never read from disk before is no measure
    taken = {
        "the three imports": _seconds([sys.executable, "-c", IMPORTS], environment),
        "from nothing": _seconds(command, environment),
        "nothing new, all the same": _seconds([*command, "--full-refresh"], environment),
        "nothing new": _seconds(command, environment),
    }
    generate_more(home, FEW_EVENTS)
    taken[f"{FEW_EVENTS} more"] = _seconds(command, environment)
    imports_s, _ = taken["the three imports"]
    print(f"\n{TINY_EVENTS:,} events, from the command line\n")
    print("| | wall s | ÷ imports | processor s |\n|---|---:|---:|---:|")
    for name, (wall, processor) in taken.items():
        print(f"| {name} | {wall:.1f} | {wall / imports_s:.1f} | {processor:.1f} |")


def _seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall seconds of a command, and the processor seconds of it and its children. Raises when it fails."""
    before, started = os.times(), time.monotonic()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def _build_here(home: Path) -> None:
    collect_seldom()
    report = run_build(Settings().isolated(home))
    failures = report.failures or (() if report.published else ("not published",))
    print(json.dumps({"failures": failures, "seconds": report.seconds, "models": report.model_seconds}))


def main() -> None:
    """Measure each size and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("events", type=int, nargs="*", help="sizes to measure")
    parser.add_argument("--extra", type=int, default=10_000, help="events that arrive after the first build")
    parser.add_argument("--destinations", action="store_true", help="define three destinations a project")
    parser.add_argument("--folder", type=Path, help="where homes are kept; else they are deleted")
    parser.add_argument("--build", type=Path, metavar="HOME", help="only build, and print the report as JSON")
    parser.add_argument("--tiny", action="store_true", help="measure a home of 1,000 events, too")
    arguments = parser.parse_args()
    if arguments.build:
        _build_here(arguments.build)
        return
    if arguments.tiny:
        with tempfile.TemporaryDirectory() as folder:
            _measure_tiny(Path(folder) / "tiny")
    for events in arguments.events:
        with tempfile.TemporaryDirectory() as folder:
            home = (arguments.folder or Path(folder)) / f"events-{events}"
            _measure(events, arguments.extra, home, arguments.destinations)


if __name__ == "__main__":
    main()
