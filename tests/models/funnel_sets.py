"""Random sets of events and funnels over them, and the tables in which the compiled models look for them."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

LETTERS = "abcd"
ACTIVITY_MODELS = (
    "int_funnel_events",
    "int_funnel_first_chains",
    "int_funnel_links",
    "int_funnel_chains",
    "int_funnel_collections",
    "int_funnel_counts",
    "int_funnel_steps_taken",
)
"""The models from matched events to the steps that were taken, in the order of their dependencies."""


@dataclass(frozen=True)
class EventSet:
    """Steps are the letters that they take. A unit's events are (microsecond, letter), in order of seq."""

    window_us: int
    steps: tuple[str, ...]
    units: tuple[tuple[tuple[int, str], ...], ...]


def event_sets(max_events: int = 9, max_units: int = 4) -> st.SearchStrategy[EventSet]:
    """Small times make ties, few letters repeats; steps overlap and repeat."""
    rule = st.sets(st.sampled_from(LETTERS), min_size=1, max_size=2).map(lambda rule: "".join(sorted(rule)))
    events = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(LETTERS)), max_size=max_events)
    return st.builds(
        EventSet,
        window_us=st.integers(0, 12),
        steps=st.lists(rule, min_size=2, max_size=4).map(tuple),
        units=st.lists(events.map(tuple), min_size=1, max_size=max_units).map(tuple),
    )


def empty_warehouse_of_sets() -> duckdb.DuckDBPyConnection:
    """A database in memory in which compiled models find their inputs by name."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as warehouse; use warehouse.main")
    connection.execute(
        """
        create table int_funnel_steps (
            project_id varchar, funnel_id varchar, funnel_number bigint, mode varchar, unit varchar,
            window_us bigint, step_number bigint, first_step_of_rule bigint, repeat_number bigint
        );
        create table int_funnel_steps_matched (funnel_number bigint, step_number bigint, seq bigint);
        create table int_events_counted (
            seq bigint, project_id varchar, kind varchar, conversion_id varchar, person_id varchar,
            session_id varchar, step_seq bigint, step_us bigint
        );
        create table int_sessions (session_id varchar, person_id varchar);
        """
    )
    return connection


def fill(connection: duckdb.DuckDBPyConnection, sets: list[EventSet], modes: tuple[str, ...]) -> None:
    """Set by set a project named by its number, with a funnel per mode named by it; units are people."""
    steps, matched, events = [], [], []
    for number, drawn in enumerate(sets):
        project = str(number)
        funnels = {mode: number * len(modes) + place for place, mode in enumerate(modes)}
        for mode in modes:
            for step, rule in enumerate(drawn.steps, start=1):
                first = drawn.steps.index(rule) + 1
                repeat = drawn.steps[:step].count(rule)
                steps.append(
                    (project, mode, funnels[mode], mode, "person", drawn.window_us, step, first, repeat)
                )
        for unit, unit_events in enumerate(drawn.units):
            for us, letter in unit_events:
                seq = len(events) + 1
                events.append((seq, project, "event", None, f"{project}/{unit}", None, seq, us))
                for step, rule in enumerate(drawn.steps, start=1):
                    if letter in rule:
                        matched += [(funnels[mode], step, seq) for mode in modes]
    for table, rows in (
        ("int_funnel_steps", steps),
        ("int_funnel_steps_matched", matched),
        ("int_events_counted", events),
    ):
        connection.execute(f"delete from {table}")
        if rows:
            # A row at a time takes a millisecond each.
            arrow = pa.table(
                [list(column) for column in zip(*rows, strict=True)], names=list("abcdefghi")[: len(rows[0])]
            )
            connection.register("arrow", arrow)
            connection.execute(f"insert into {table} select * from arrow")


def build(connection: duckdb.DuckDBPyConnection, compiled_models: Path) -> None:
    """Run the compiled models over what was filled in."""
    for model in ACTIVITY_MODELS:
        # Below a YAML file's name lie the tests that stand in it.
        (path,) = (p for p in compiled_models.rglob(f"{model}.sql") if p.parent.suffix != ".yml")
        connection.execute(f"create or replace table {model} as {path.read_text()}")
