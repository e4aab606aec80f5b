"""Every mode of a funnel takes the steps that a search through all chains of events finds."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from funnel_sets import EventSet, build, empty_warehouse_of_sets, event_sets, fill
from hypothesis import given, settings
from hypothesis import strategies as st

MODES = ("ordered", "strict", "any_order", "counts")

Event = tuple[int, int, str]
"""Microsecond, position, letter: their order is that of the events."""


@pytest.fixture(scope="module")
def warehouse() -> duckdb.DuckDBPyConnection:
    return empty_warehouse_of_sets()


@settings(max_examples=20, deadline=None)
@given(st.lists(event_sets(), min_size=1, max_size=12))
def test_steps_are_those_of_the_best_chain(
    warehouse: duckdb.DuckDBPyConnection, compiled_models: Path, sets: list[EventSet]
) -> None:
    fill(warehouse, sets, MODES)
    build(warehouse, compiled_models)
    taken: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for mode, unit, step, us, entered_us in warehouse.execute(
        "select funnel_id, unit_id, step_number, occurred_us, entered_us from int_funnel_steps_taken "
        "order by funnel_id, unit_id, step_number"
    ).fetchall():
        taken[mode, unit].append((step, us, entered_us))
    for project, drawn in enumerate(sets):
        for number, unit_events in enumerate(drawn.units):
            unit = f"{project}/{number}"
            events = sorted((us, position, letter) for position, (us, letter) in enumerate(unit_events))
            for mode, chains in (
                ("ordered", _chains(drawn, events)),
                ("strict", _runs(drawn, events)),
                ("any_order", _collections(drawn, events)),
            ):
                best = min(chains, key=lambda chain: (-len(chain), chain), default=[])
                expected = [(step, us, best[0][0]) for step, (us, _, _) in enumerate(best, start=1)]
                assert taken[mode, unit] == expected, mode
            assert taken["counts", unit] == [
                (step, firsts[0], firsts[0])
                for step, rule in enumerate(drawn.steps, start=1)
                if (firsts := [us for us, _, letter in events if letter in rule])
            ]


def _chains(drawn: EventSet, events: list[Event]) -> Iterator[list[Event]]:
    """Every chain of events that takes the first steps in order within the window, the shorter ones too."""
    unfinished: list[list[Event]] = [[]]
    while unfinished:
        chain = unfinished.pop()
        if chain:
            yield chain
        if len(chain) < len(drawn.steps):
            unfinished += [
                [*chain, event]
                for event in events
                if event[2] in drawn.steps[len(chain)]
                and (not chain or (chain[-1] < event and event[0] - chain[0][0] <= drawn.window_us))
            ]


def _runs(drawn: EventSet, events: list[Event]) -> Iterator[list[Event]]:
    """Those of the chains that are runs of neighbours."""
    for chain in _chains(drawn, events):
        first = events.index(chain[0])
        if events[first : first + len(chain)] == chain:
            yield chain


def _collections(drawn: EventSet, events: list[Event]) -> Iterator[list[Event]]:
    """From each event on, those that take a step; an event takes only steps with the first rule that fits."""
    for begin, (begin_us, _, _) in enumerate(events):
        open_steps = list(drawn.steps)
        chosen = []
        for event in events[begin:]:
            rule = next((rule for rule in drawn.steps if event[2] in rule), None)
            if rule in open_steps and event[0] - begin_us <= drawn.window_us:
                open_steps.remove(rule)
                chosen.append(event)
        if chosen and chosen[0] == events[begin]:
            yield chosen
