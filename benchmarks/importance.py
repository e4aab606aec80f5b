"""What sources are worth, beside other tools, on the demo's journeys as a build published them.

Run `make demo DATA=journeys ONCE=1`, then `python -m benchmarks.importance`; it prints markdown tables.
Removal effects are compared with ChannelAttribution's simulation, `linear_sources` with shapley-attribution's
simplified model. Both are installed into a temporary environment only (ChannelAttribution's licence is the
GPL) and read the file that the demo read.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from command_line.demo.journeys import data_file
from funnelhouse.settings import Settings
from orchestration.manifest import DBT_PROJECT, build_dir

# ChannelAttribution imports matplotlib and does not say so.
TOOLS = ("ChannelAttribution==2.2.5", "matplotlib==3.11.1", "shapley-attribution==2.1.0")

WITHIN = 0.03
LARGE = 0.05
"""Shares of sources with more than this part of the touches must differ by less than 3 % of themselves."""

THEIRS = """
import json, sys, time
import pandas as pd
from ChannelAttribution import markov_model
from shapley_attribution import SimplifiedShapleyAttribution

rows = pd.read_csv(sys.argv[1])
started = time.perf_counter()
simulated = markov_model(
    rows, "path", "total_conversions", var_null="total_null", out_more=True, verbose=False, flg_pro=False
)
seconds = {"ChannelAttribution: count and simulate": time.perf_counter() - started}
effects = simulated["removal_effects"] if isinstance(simulated, dict) else simulated[2]

journeys = [row.path.split(" > ") for row in rows.itertuples() for _ in range(row.total_conversions)]
started = time.perf_counter()
model = SimplifiedShapleyAttribution(normalize=False).fit(journeys)
seconds["shapley-attribution: simplified model"] = time.perf_counter() - started
print(json.dumps({
    "seconds": seconds,
    "effects": dict(zip(effects.iloc[:, 0], map(float, effects.iloc[:, 1]))),
    "simplified": {source: float(score) for source, score in model.attribution_.items()},
}))
"""


def main() -> None:
    """Print both comparisons and the seconds; exits with 1 where a difference is larger than it may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Settings().home_dir / "demo", help="the demo's home")
    home = Settings(home=parser.parse_args().home)
    if not home.warehouse_path.exists():
        raise SystemExit(f"no demo was built in {home.home_dir}: run `make demo DATA=journeys ONCE=1`")
    theirs = _theirs()
    seconds = _our_seconds(home) | theirs["seconds"]
    agreed = _compare_effects(home, theirs["effects"])
    agreed &= _compare_linear_sources(home, theirs["simplified"])
    print("\n| step | seconds |\n|---|---:|")
    for step, taken in seconds.items():
        print(f"| {step} | {taken:.2f} |")
    if not agreed:
        raise SystemExit("a difference is larger than it may be")


def _compare_effects(home: Settings, effects: dict[str, float]) -> bool:
    """Shares of the removal effects by source, largest first; whether those of large sources agree."""
    rows = _published(
        home, "select source, touches, removal_effect_share from rpt_channel_importance order by 2 desc"
    )
    touches = sum(row[1] for row in rows)
    agreed = True
    print("| source | touches | share of removal effects | ChannelAttribution | difference |")
    print("|---|---:|---:|---:|---:|")
    for source, its_touches, share in rows:
        simulated = effects[source] / sum(effects.values())
        difference = simulated / float(share) - 1
        agreed &= abs(difference) < WITHIN or its_touches / touches <= LARGE
        print(f"| {source} | {its_touches:,} | {share:.4f} | {simulated:.4f} | {difference:+.1%} |")
    return agreed


def _compare_linear_sources(home: Settings, simplified: dict[str, float]) -> bool:
    """Conversions by source in `linear_sources`; whether they are the simplified model's to the millionth."""
    rows = _published(
        home,
        "select source, sum(conversions) from rpt_attribution where model = 'linear_sources' "
        "group by source order by 2 desc",
    )
    print("\n| source | linear_sources | shapley-attribution |\n|---|---:|---:|")
    for source, conversions in rows:
        print(f"| {source} | {conversions:.3f} | {simplified[source]:.3f} |")
    return len(rows) == len(simplified) and all(
        abs(float(conversions) - simplified[source]) < 1e-5 for source, conversions in rows
    )


def _published(home: Settings, query: str) -> list[tuple[Any, ...]]:
    path = home.published_dir / "current" / "marts.duckdb"
    with duckdb.connect(str(path.resolve()), read_only=True) as marts:
        return marts.execute(query).fetchall()


def _our_seconds(home: Settings) -> dict[str, float]:
    """Seconds of each step, run again on the demo's warehouse: counting as SQL, then the algebra."""
    models = DBT_PROJECT / "models/intermediate/journeys"
    spec = importlib.util.spec_from_file_location("weights", models / "int_source_weights.py")
    assert spec is not None and spec.loader is not None
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    compiled = build_dir(home) / "compiled/funnelhouse/models/intermediate/journeys"
    seconds: dict[str, float] = {}
    with duckdb.connect() as database:
        database.execute(f"attach '{home.warehouse_path}' as warehouse (read_only)")
        for model, step in (
            ("int_source_transitions", "count transitions (SQL)"),
            ("int_source_sets", "count sets of sources (SQL)"),
        ):
            sql = (compiled / f"{model}.sql").read_text()
            seconds[step] = _seconds(partial(_read, database, sql))
        read = "select {} from warehouse.main.{}"
        counted = database.execute(read.format("count(*)", "int_journey_sources")).fetchall()
        transitions = [
            weights.as_transition(*row)
            for row in database.execute(
                read.format("from_number, to_number, is_conversion, transitions", "int_source_transitions")
            ).fetchall()
        ]
        sets = [
            ([int(number) for number in members.split()], journeys, converting)
            for members, journeys, converting in database.execute(
                read.format("source_numbers, journeys, converting_journeys", "int_source_sets")
            ).fetchall()
        ]
    seconds["solve the chain"] = _seconds(lambda: weights.removal_effects(counted[0][0], transitions))
    seconds["exact Shapley values"] = _seconds(lambda: weights.shapley_values(counted[0][0], sets))
    return seconds


def _read(database: duckdb.DuckDBPyConnection, sql: str) -> None:
    database.execute(sql).fetchall()


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _theirs() -> Any:
    """What the tools say of the demo's file, from an environment that is deleted at the end."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "environment" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *TOOLS], check=True)
        said = subprocess.check_output([python, "-c", THEIRS, data_file()], text=True)
    # ChannelAttribution prints a banner first.
    return json.loads(said.splitlines()[-1])


if __name__ == "__main__":
    main()
