"""What a build on Spark would take of more events, by the event log of one.

    python -m benchmarks.spark_estimate LOG EVENTS --to 1_000_000_000 --executors 16 --cores 4

The log of a build of so many events is what Spark writes with `spark.eventLog.enabled true` and
`spark.eventLog.compress false`. It says of each task how long it ran, and what it read and wrote; tasks
belong to the table that was being written.

The estimate assumes that tasks take as many times longer as there are more events (what a small table costs
however little there is grows, too, so it is rather too high); that work is spread evenly over all cores and
no table waits for another; that shuffled bytes cross the network once, each executor's at `--network` bytes a
second; that a core is as fast as one of the machine of the log; that the driver's own time, in which no job
runs, stays as it is; and that what is shuffled fits onto the executors' disks.
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

# What stands behind two underscores is a step of the model before them.
_TABLE = re.compile(r"CreateDataSourceTableAsSelectCommand\nArguments: `\w+`\.`\w+`\.`(\w+?)(?:__\w+)?`")
OTHERS = "(checks, publication and others)"


@dataclass
class Cost:
    """Of a table: seconds of tasks, rows that they read and wrote, and bytes that they shuffled and wrote."""

    task_s: float = 0.0
    read_rows: float = 0.0
    shuffle_bytes: float = 0.0
    written_bytes: float = 0.0
    written_rows: float = 0.0

    def times(self, factor: float) -> "Cost":
        """The same of so many times as many events."""
        return Cost(**{each.name: getattr(self, each.name) * factor for each in fields(self)})


@dataclass
class Build:
    """A build by its log: seconds from its first task's job to the last one, and the cost of each table."""

    seconds: float
    busy_s: float
    """Of them, those in which a job ran."""
    tables: dict[str, Cost]


def _said(log: Path) -> Iterator[dict[str, Any]]:
    files = (
        sorted(log.rglob("events_*"), key=lambda file: int(file.name.split("_")[1]))
        if log.is_dir()
        else [log]
    )
    for file in files:
        with file.open() as lines:
            yield from map(json.loads, lines)


def read_log(log: Path) -> Build:
    """What a build cost, by its event log: a file, or the folder of one that rolled. Raises OSError."""
    tables: dict[str, str] = {}
    roots: dict[str, str] = {}
    executions: dict[int, str] = {}
    begun: dict[int, int] = {}
    spans: list[tuple[int, int]] = []
    costs: dict[str, Cost] = defaultdict(Cost)
    for event in _said(log):
        match event["Event"].rpartition(".")[2]:
            case "SparkListenerSQLExecutionStart":
                number = str(event["executionId"])
                roots[number] = str(event.get("rootExecutionId", number))
                if found := _TABLE.search(event["physicalPlanDescription"]):
                    tables[number] = found[1]
            case "SparkListenerJobStart":
                begun[event["Job ID"]] = event["Submission Time"]
                for stage in event["Stage IDs"]:
                    executions[stage] = event["Properties"].get("spark.sql.execution.id", "")
            case "SparkListenerJobEnd":
                spans.append((begun[event["Job ID"]], event["Completion Time"]))
            case "SparkListenerTaskEnd" if metrics := event.get("Task Metrics"):
                number = executions.get(event["Stage ID"], "")
                table = tables.get(number) or tables.get(roots.get(number, ""), OTHERS)
                _add(costs[table], metrics)
    return Build(
        (max(end for _, end in spans) - min(start for start, _ in spans)) / 1000,
        _covered(spans) / 1000,
        dict(costs),
    )


def _add(cost: Cost, metrics: dict[str, Any]) -> None:
    cost.task_s += metrics["Executor Run Time"] / 1000
    cost.read_rows += metrics["Input Metrics"]["Records Read"]
    cost.shuffle_bytes += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
    cost.written_bytes += metrics["Output Metrics"]["Bytes Written"]
    cost.written_rows += metrics["Output Metrics"]["Records Written"]


def _covered(spans: list[tuple[int, int]]) -> int:
    covered, until = 0, 0
    for start, end in sorted(spans):
        covered += max(0, end - max(start, until))
        until = max(until, end)
    return covered


def main() -> None:
    """Print each table's costs, and the estimate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("log", type=Path, help="a file, or the folder of one that rolled")
    parser.add_argument("events", type=int, help="of the build that wrote it")
    parser.add_argument("--to", type=int, default=1_000_000_000, help="events of the estimate")
    parser.add_argument("--executors", type=int, default=16)
    parser.add_argument("--cores", type=int, default=4, help="of each executor")
    parser.add_argument("--network", type=float, default=1.25e9, help="bytes a second of each executor")
    parser.add_argument("--listed", type=int, default=15, help="tables with lines of their own")
    options = parser.parse_args()
    build = read_log(options.log)
    cores, link = options.executors * options.cores, options.executors * options.network
    between_s = build.seconds - build.busy_s
    lines = {}
    for table, cost in build.tables.items():
        to = cost.times(options.to / options.events)
        lines[table] = (cost, to, to.task_s / cores + to.shuffle_bytes / link)
    print(f"{options.events:,} events: {build.seconds:.0f} s, {between_s:.0f} of them without a job.\n")
    titles = ["table", "task s", "rows read", "MB shuffled", "rows written", "MB written"]
    print(f"| {' | '.join(titles)} | s of the estimate |\n|---|{'---:|' * len(titles)}")
    ranked = sorted(lines.items(), key=lambda line: -line[1][2])
    for table, (cost, _, seconds) in ranked[: options.listed]:
        print(_line(table, cost, seconds))
    rest = [line for _, line in ranked[options.listed :]]
    print(_line(f"{len(rest)} others", _sum([cost for cost, _, _ in rest]), sum(line[2] for line in rest)))
    every = [line for _, line in ranked]
    print(_line("all", _sum([cost for cost, _, _ in every]), sum(line[2] for line in every)))
    total = _sum([to for _, to, _ in every])
    work_s = sum(line[2] for line in every)
    print(
        f"\n{options.to:,} events on {options.executors} executors of {options.cores} cores: "
        f"{work_s / 60:.0f} min of tasks and shuffle and {between_s / 60:.0f} of the driver. That is "
        f"{total.task_s / 3600:.0f} core hours, {total.shuffle_bytes / 1e9:,.0f} GB shuffled and "
        f"{total.written_bytes / 1e9:,.0f} GB written."
    )


def _line(name: str, cost: Cost, seconds: float) -> str:
    return (
        f"| {name} | {cost.task_s:.1f} | {cost.read_rows:,.0f} "
        f"| {cost.shuffle_bytes / 1e6:,.0f} | {cost.written_rows:,.0f} | {cost.written_bytes / 1e6:,.0f} "
        f"| {seconds:.1f} |"
    )


def _sum(costs: list[Cost]) -> Cost:
    return Cost(**{each.name: sum(getattr(cost, each.name) for cost in costs) for each in fields(Cost)})


if __name__ == "__main__":
    main()
