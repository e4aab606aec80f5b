"""Ordered funnels get as far as ClickHouse's windowFunnel does, on the same random events."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from funnel_sets import EventSet, build, empty_warehouse_of_sets, event_sets, fill
from hypothesis import Phase, given, settings

CHDB = "chdb==4.4.0"
SETS = 400

LEVELS = """
import json, sys
import chdb.session
session = chdb.session.Session()
sets = json.load(sys.stdin)
for drawn in sets:
    conditions = ", ".join(f"letter in ({rule})" for rule in drawn["rules"])
    rows = ", ".join(f"({unit}, {moment}, '{letter}')" for unit, moment, letter in drawn["events"])
    query = (
        f"select unit, windowFunnel({drawn['window']}, 'strict_once')(moment, {conditions}) "
        f"from values('unit UInt32, moment UInt64, letter String', {rows}) group by unit order by unit"
    )
    print(json.dumps([line.split(",") for line in str(session.query(query, "CSV")).split()]))
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
    sets = _drawn_sets()
    assert len(sets) >= 200
    warehouse = empty_warehouse_of_sets()
    fill(warehouse, sets, ("ordered",))
    build(warehouse, compiled_models)
    ours = dict(
        warehouse.execute("select unit_id, max(step_number) from int_funnel_chains group by 1").fetchall()
    )
    # Sets of which some get to the end and some do not start.
    assert len(set(ours.values())) == 4
    for number, (drawn, levels) in enumerate(zip(sets, _clickhouse_levels(chdb_python, sets), strict=True)):
        assert {unit: ours.get(f"{number}/{unit}", 0) for unit in levels} == levels, drawn


def _drawn_sets() -> list[EventSet]:
    """Different sets with events: all are compared at once, since each query and process costs its time."""
    sets: set[EventSet] = set()

    @settings(max_examples=SETS, deadline=None, phases=[Phase.generate])
    @given(event_sets(max_events=14, max_units=6))
    def draw(drawn: EventSet) -> None:
        if any(drawn.units):
            sets.add(drawn)

    draw()
    return list(sets)


def _clickhouse_levels(python: Path, sets: list[EventSet]) -> list[dict[int, int]]:
    """Per set and unit (those with events) the level that chdb finds."""
    asked = [
        {
            "window": drawn.window_us * 2 * _most_events(drawn) + _most_events(drawn),
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
    spread = 2 * _most_events(drawn)
    return [
        (unit, us * spread + position, letter)
        for unit, events in enumerate(drawn.units)
        for position, (us, letter) in enumerate(events)
    ]


def _most_events(drawn: EventSet) -> int:
    return max(map(len, drawn.units))
