"""Ordered funnels beside ClickHouse's windowFunnel on a million events; prints a markdown table.

Run it with `python -m benchmarks.funnels data/dbt/build/compiled/funnelhouse/models`, after any build in
`data`. The models that it compiled run in DuckDB; chdb, which is ClickHouse as a library, runs in an
environment of its own, made for it. Both get the same Parquet file and take turns; the levels that people
reach must be equal, one by one. Ours then find more than levels: which events took the steps, hence days,
sources and times. Both use one thread, and processor seconds are compared, since those of the wall depend on
who else is at work.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

CHDB = "chdb==4.4.0"
MODELS = ("int_funnel_events", "int_funnel_first_chains", "int_funnel_links", "int_funnel_chains")
DAY_US = 24 * 3600 * 1_000_000
WINDOW_US = 14 * DAY_US
SPAN_US = 90 * DAY_US

EVENTS = """
copy (
    -- Most people have a few events, few have very many. Times are distinct, so that ties need no rule.
    select
        n + 1 as seq,
        cast(floor(power({people}, (hash(n * 7 + {seed}) % 1000003) / 1000003)) as bigint) as person,
        1767225600000000 + n * ({span_us} // {events})
            + cast(hash(n * 13 + {seed}) % ({span_us} // {events}) as bigint) as occurred_us,
        case
            when hash(n * 17 + {seed}) % 100 < 60 then 1
            when hash(n * 17 + {seed}) % 100 < 80 then 2
            when hash(n * 17 + {seed}) % 100 < 92 then 3
            else 4
        end as step_number
    from range({events}) as t(n)
) to '{path}' (format parquet)
"""

INPUTS = """
create table int_funnel_steps as
select
    cast(1 as bigint) as funnel_number, 'ordered' as mode, 'person' as unit,
    cast({window} as bigint) as window_us, n as step_number
from range(1, 5) as t(n);
create table int_funnel_steps_matched as
select cast(1 as bigint) as funnel_number, cast(step_number as bigint) as step_number, seq
from read_parquet('{path}');
create table int_events_counted as
select
    seq, 'event' as kind, cast(null as varchar) as conversion_id, 'shop/' || person as person_id,
    cast(null as varchar) as session_id, seq as step_seq, occurred_us as step_us
from read_parquet('{path}');
"""

IN_CHDB = """
import json, resource, sys, time, chdb
path, window, out = sys.argv[1:]
query = (
    f"select person, windowFunnel({window}, 'strict_once')(toUInt64(occurred_us), "
    "step_number = 1, step_number = 2, step_number = 3, step_number = 4) as level "
    f"from file('{path}', Parquet) group by person having level > 0 settings max_threads = 1"
)
def clocks():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.perf_counter()
started = clocks()
answer = chdb.query(query, "CSV")
print(json.dumps([now - then for now, then in zip(clocks(), started)]))
open(out, "w").write(str(answer))
"""


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("compiled", type=Path, help="folder compiled/funnelhouse/models of a build")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chdb-python", type=Path, help="Python with chdb; else an environment is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.parquet"
        duckdb.sql(EVENTS.format(path=events, span_us=SPAN_US, **vars(options)))
        python = options.chdb_python or _chdb_environment(Path(folder))
        print("| round | people in the funnel | ours s (wall) | chdb s (wall) | ours ÷ chdb |")
        print("|---:|---:|---:|---:|---:|")
        for number in range(1, options.rounds + 1):
            ours, our_s, our_wall_s = _ours(events, options.compiled)
            theirs, their_s, their_wall_s = _chdb(events, python, Path(folder) / "levels.csv")
            if ours != theirs:
                different = {p for p in ours.keys() | theirs.keys() if ours.get(p) != theirs.get(p)}
                raise SystemExit(f"{len(different)} people reach another step, {min(different)} for one.")
            print(
                f"| {number} | {len(ours):,} | {our_s:.2f} ({our_wall_s:.2f}) "
                f"| {their_s:.2f} ({their_wall_s:.2f}) | {our_s / their_s:.1f} |"
            )


def _ours(events: Path, compiled: Path) -> tuple[dict[int, int], float, float]:
    """Level by person, and the seconds of processors and of the wall that the models took."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse; use warehouse.main; set threads = 1")
        connection.execute(INPUTS.format(path=events, window=WINDOW_US))
        started, wall_started = _processor_seconds(), time.perf_counter()
        for model in MODELS:
            sql = (compiled / "intermediate" / "funnels" / f"{model}.sql").read_text()
            connection.execute(f"create table {model} as {sql}")
        seconds, wall_s = _processor_seconds() - started, time.perf_counter() - wall_started
        levels = connection.execute(
            "select unit_id, max(step_number) from int_funnel_chains group by unit_id"
        ).fetchall()
    return {int(unit.removeprefix("shop/")): level for unit, level in levels}, seconds, wall_s


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _chdb(events: Path, python: Path, out: Path) -> tuple[dict[int, int], float, float]:
    """Level by person, and the seconds of processors and of the wall that the query took."""
    command = [str(python), "-c", IN_CHDB, str(events), str(WINDOW_US), str(out)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, wall_s = json.loads(answer.stdout)
    rows = (line.split(",") for line in out.read_text().splitlines())
    return {int(person): int(level) for person, level in rows}, seconds, wall_s


def _chdb_environment(folder: Path) -> Path:
    """Python of an environment with chdb, which is half a gigabyte and used by nothing else."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "chdb")], check=True)
    python = folder / "chdb" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", CHDB]
    subprocess.run(install, check=True)
    return python


if __name__ == "__main__":
    main()
