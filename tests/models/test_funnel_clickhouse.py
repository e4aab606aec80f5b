"""Ordered funnels get as far as ClickHouse's windowFunnel does, on the same random events."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from funnel_sets import EventSet, build, empty_warehouse_of_sets, event_sets, fill
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHDB = "chdb==4.4.0"
ROUNDS = 4
SETS_PER_ROUND = 60

LEVELS = """
import json, sys, chdb
sets = json.load(sys.stdin)
for drawn in sets:
    conditions = ", ".join(f"letter in ({rule})" for rule in drawn["rules"])
    rows = ", ".join(f"({unit}, {moment}, '{letter}')" for unit, moment, letter in drawn["events"])
    query = (
        f"select unit, windowFunnel({drawn['window']}, 'strict_once')(moment, {conditions}) "
        f"from values('unit UInt32, moment UInt64, letter String', {rows}) group by unit order by unit"
    )
    print(json.dumps([line.split(",") for line in str(chdb.query(query, "CSV")).split()]))
"""
"""A program for chdb's own environment: sets in, for each the level that every unit reaches."""


@pytest.fixture(scope="module")
def chdb_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with chdb, which is 500 MB and used by nothing else."""
    folder = tmp_path_factory.mktemp("chdb")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", CHDB]
    subprocess.run(install, check=True)
    return python


@pytest.mark.slow
def test_ordered_funnels_get_as_far_as_clickhouse(chdb_python: Path, compiled_models: Path) -> None:
    warehouse = empty_warehouse_of_sets()
    compared = 0

    @settings(max_examples=ROUNDS, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(event_sets(max_events=14, max_units=6), min_size=SETS_PER_ROUND, max_size=SETS_PER_ROUND))
    def compare(sets: list[EventSet]) -> None:
        nonlocal compared
        fill(warehouse, sets, ("ordered",))
        build(warehouse, compiled_models)
        ours = dict(
            warehouse.execute("select unit_id, max(step_number) from int_funnel_chains group by 1").fetchall()
        )
        for number, levels in enumerate(_clickhouse_levels(chdb_python, sets)):
            for unit, level in levels.items():
                assert ours.get(f"{number}/{unit}", 0) == level, sets[number]
        compared += len(sets)

    compare()
    assert compared >= 200


def _clickhouse_levels(python: Path, sets: list[EventSet]) -> list[dict[int, int]]:
    """Per set and unit (those with events) the level that chdb finds."""
    asked = [
        {
            "window": drawn.window_us * 2 * len(max(drawn.units, key=len)) + len(max(drawn.units, key=len)),
            "rules": [", ".join(f"'{letter}'" for letter in rule) for rule in drawn.steps],
            "events": _distinct_moments(drawn),
        }
        for drawn in sets
    ]
    answer = subprocess.run(
        [str(python), "-c", LEVELS], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    return [
        {int(unit): int(level) for unit, level in json.loads(line)} for line in answer.stdout.splitlines()
    ]


def _distinct_moments(drawn: EventSet) -> list[tuple[int, int, str]]:
    """Unit, moment and letter. ClickHouse orders equal times by step, we by position: so none are equal.

    With at most n events a unit, microsecond u at position p becomes 2nu + p, and a window w 2nw + n: that
    is still before the next microsecond's first position, and not before the window's last.
    """
    spread = 2 * len(max(drawn.units, key=len))
    return [
        (unit, us * spread + position, letter)
        for unit, events in enumerate(drawn.units)
        for position, (us, letter) in enumerate(events)
    ]
