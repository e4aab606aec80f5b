# One row per project and source of its journeys: its removal effect and its Shapley value, in whole 10⁻¹².
"""The algebra behind `markov` and `shapley`, over counts that SQL made.

Removal effects are exact: one inverse of a matrix per project. Shapley values are exact up to 12 sources;
above that they are the mean over 1,000 random orders of the sources and their reverses, drawn with a fixed
seed, with the standard error of that mean. Sources that share a number (the rarest of very many) are one
source here, and share its figures by their touches.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

EXACT_SOURCES = 12
SAMPLED_ORDERS = 1000
SEED = 5
PICO = 10**12

Transition = tuple[int, int, int]
"""From a source's number, to another's, how often."""

SourceSet = tuple[Sequence[int], int, int]
"""Numbers of the sources, journeys that have exactly these, how many of them converted."""

START, CONVERSION, LOST = 0, -1, -2
"""What stands in transitions for the start and the two ends; sources are numbered from 1."""


def model(dbt: Any, session: Any) -> pa.Table:  # noqa: ARG001 (dbt's signature)
    """The table, one project after the other."""
    dbt.config(materialized="table")
    sources = _rows(dbt.ref("int_journey_sources"), "project_id", "source", "source_number", "touches")
    transitions = _rows(
        dbt.ref("int_source_transitions"),
        *("project_id", "from_number", "to_number", "is_conversion", "transitions"),
    )
    sets = _rows(
        dbt.ref("int_source_sets"), "project_id", "source_numbers", "journeys", "converting_journeys"
    )
    transitions_of, sets_of = _by_project(transitions), _by_project(sets)
    rows: list[dict[str, Any]] = []
    for project, its_sources in _by_project(sources).items():
        touches: Counter[int] = Counter()
        for _, number, count in its_sources:
            touches[number] += count
        effects = removal_effects(len(touches), [as_transition(*row) for row in transitions_of[project]])
        values, errors = shapley_values(
            len(touches),
            sorted(([int(n) for n in numbers.split()], j, c) for numbers, j, c in sets_of[project]),
        )
        rows += [
            {
                "project_id": project,
                "source": source,
                "removal_effect_pico": round(effects[number - 1] * PICO * count / touches[number]),
                "shapley_value_pico": round(values[number - 1] * PICO * count / touches[number]),
                "shapley_error_pico": round(errors[number - 1] * PICO * count / touches[number]),
            }
            for source, number, count in sorted(its_sources)
        ]
    texts, numbers = ("project_id", "source"), ("removal_effect", "shapley_value", "shapley_error")
    schema = pa.schema(
        [(name, pa.string()) for name in texts] + [(f"{name}_pico", pa.int64()) for name in numbers]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _rows(table: Any, *columns: str) -> list[Any]:
    """Columns of a table, which is a relation of DuckDB or a frame of Spark."""
    chosen = table.select(*columns)
    return list(chosen.fetchall() if hasattr(chosen, "fetchall") else chosen.collect())


def removal_effects(sources: int, transitions: Iterable[Transition]) -> list[float]:
    """How much of all conversions is lost when a source is taken out, by source number, each in [0, 1].

    Whoever reaches the source is lost. So a source's effect is the chance to come by it at least once, times
    the chance to convert from there, divided by the chance to convert at all; 0 where nothing converts.
    """
    counts = np.zeros((sources + 1, sources + 1))
    converting, leaving = np.zeros(sources + 1), np.zeros(sources + 1)
    for origin, target, count in transitions:
        leaving[origin] += count
        if target == CONVERSION:
            converting[origin] += count
        elif target != LOST:
            counts[origin, target] += count
    if not converting.any():
        return [0.0] * sources
    chances = np.maximum(leaving, 1)
    # How often one that is at a place will be at another: the fundamental matrix of the chain.
    visits = np.linalg.inv(np.identity(sources + 1) - counts / chances[:, np.newaxis])
    converts = visits @ (converting / chances)
    # Expected visits from the start, by those once there, are the chance of any visit.
    effects = visits[START] / visits.diagonal() * converts / converts[START]
    return [float(effect) for effect in np.clip(effects[1:], 0.0, 1.0)]


def shapley_values(sources: int, sets: Sequence[SourceSet]) -> tuple[list[float], list[float]]:
    """Shapley values by source number, and the standard error of each: 0 where they are exact.

    The game is worth v(S) = the conversion rate of the journeys whose sources all lie in S, 0 where there are
    none.
    """
    if sources <= EXACT_SOURCES:
        return _exact_values(sources, sets), [0.0] * sources
    return _sampled_values(sources, sets)


def _exact_values(sources: int, sets: Sequence[SourceSet]) -> list[float]:
    coalitions = 1 << sources
    journeys, conversions = np.zeros(coalitions, np.int64), np.zeros(coalitions, np.int64)
    for members, count, converted in sets:
        coalition = sum(1 << (number - 1) for number in members)
        journeys[coalition] += count
        conversions[coalition] += converted
    # From counts of exactly these sources to counts of these and any fewer, one source after the other.
    for source in range(sources):
        for counts in (journeys, conversions):
            halves = counts.reshape(-1, 2, 1 << source)
            halves[:, 1] += halves[:, 0]
    worth = conversions / np.maximum(journeys, 1)
    sizes = np.array([coalition.bit_count() for coalition in range(coalitions)])
    orders = np.array([1 / (sources * math.comb(sources - 1, size)) for size in range(sources)])
    values = []
    for source in range(sources):
        without = np.flatnonzero(np.arange(coalitions) >> source & 1 == 0)
        gains = worth[without | 1 << source] - worth[without]
        # fsum does not depend on the order of its terms.
        values.append(math.fsum(gains * orders[sizes[without]]))
    return values


def _sampled_values(sources: int, sets: Sequence[SourceSet]) -> tuple[list[float], list[float]]:
    # The nth members of all sets that have so many, the largest sets first: maxima are taken of long columns.
    largest_first = sorted(sets, key=lambda of: -len(of[0]))
    columns = [
        np.array([numbers[n] - 1 for numbers, _, _ in largest_first if len(numbers) > n])
        for n in range(len(largest_first[0][0]))
    ]
    journeys = np.array([float(count) for _, count, _ in largest_first])
    conversions = np.array([float(converted) for _, _, converted in largest_first])
    random = np.random.default_rng(SEED)
    total, squares = np.zeros(sources), np.zeros(sources)
    for _ in range(SAMPLED_ORDERS):
        order = random.permutation(sources)
        gains = np.zeros(sources)
        for joining in (order, order[::-1]):
            place = np.empty(sources, np.int64)
            place[joining] = np.arange(sources)
            # A set counts from the moment when the last of its sources has joined.
            complete = place[columns[0]]
            for column in columns[1:]:
                np.maximum(complete[: len(column)], place[column], out=complete[: len(column)])
            seen = np.cumsum(np.bincount(complete, journeys, sources))
            converted = np.cumsum(np.bincount(complete, conversions, sources))
            gains[joining] += np.diff(converted / np.maximum(seen, 1), prepend=0.0) / 2
        total += gains
        squares += gains**2
    mean = total / SAMPLED_ORDERS
    variance = np.maximum(squares / SAMPLED_ORDERS - mean**2, 0.0)
    error = np.sqrt(variance / (SAMPLED_ORDERS - 1))
    return mean.tolist(), error.tolist()


def as_transition(origin: int | None, target: int | None, is_conversion: bool, count: int) -> Transition:
    """A row of `int_source_transitions`, without its project."""
    end = CONVERSION if is_conversion else LOST
    return START if origin is None else origin, end if target is None else target, count


def _by_project(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by their first value, without it."""
    ordered = sorted(rows, key=itemgetter(0))
    return {project: [row[1:] for row in of] for project, of in groupby(ordered, itemgetter(0))}
