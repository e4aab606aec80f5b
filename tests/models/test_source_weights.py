"""Removal effects and Shapley values are what their definitions say, computed here in another way."""

import importlib.util
import math
from collections import Counter
from fractions import Fraction
from itertools import permutations
from types import ModuleType
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.manifest import DBT_PROJECT

Journey = tuple[tuple[int, ...], bool]


def _module() -> ModuleType:
    path = DBT_PROJECT / "models/intermediate/journeys/int_source_weights.py"
    spec = importlib.util.spec_from_file_location("int_source_weights", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


weights: Any = _module()

SOURCES = 4
journeys = st.lists(
    st.tuples(st.lists(st.integers(1, SOURCES), min_size=1, max_size=6).map(tuple), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(journeys)
def test_a_removal_effect_is_the_conversions_lost_by_solving_the_chain_without_the_source(
    journeys: list[Journey],
) -> None:
    transitions = _transitions(journeys)
    everything = _chance(transitions, without=None)
    lost = [
        1 - _chance(transitions, without=source) / everything if everything else Fraction(0)
        for source in range(1, SOURCES + 1)
    ]
    found = weights.removal_effects(SOURCES, [(*step, n) for step, n in transitions.items()])
    assert found == pytest.approx([float(effect) for effect in lost], abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(journeys)
def test_a_shapley_value_is_the_mean_gain_over_all_orders(journeys: list[Journey]) -> None:
    values = [Fraction(0)] * SOURCES
    for order in permutations(range(1, SOURCES + 1)):
        for place, source in enumerate(order):
            gain = _worth(journeys, {*order[: place + 1]}) - _worth(journeys, {*order[:place]})
            values[source - 1] += gain / math.factorial(SOURCES)
    found, errors = weights.shapley_values(SOURCES, _sets(journeys))
    assert found == pytest.approx([float(value) for value in values], abs=1e-12)
    assert errors == [0.0] * SOURCES


def test_removal_effects_of_a_chain_worked_by_hand() -> None:
    # One journey 1 > 2 converts, one of 2 is lost, one of 1 converts. From the start: to 1 in 2 of 3, to 2 in
    # 1 of 3. From 1: half to 2, half to conversion; from 2: half and half. So 2/3 * 3/4 + 1/3 * 1/2 = 2/3.
    journeys: list[Journey] = [((1, 2), True), ((2,), False), ((1,), True)]
    steps = [(*step, n) for step, n in _transitions(journeys).items()]
    # Without 1: 1/3 * 1/2 = 1/6. Without 2: 2/3 * 1/2 = 1/3.
    assert weights.removal_effects(2, steps) == pytest.approx([0.75, 0.5], abs=1e-15)


def test_shapley_values_worked_by_hand() -> None:
    # v(1) = 1, v(2) = 0, v(1, 2) = 2/3: 1 brings (1 + 2/3) / 2, 2 brings (0 + 2/3 - 1) / 2.
    journeys: list[Journey] = [((1, 2), True), ((2,), False), ((1,), True)]
    assert weights.shapley_values(2, _sets(journeys))[0] == pytest.approx([5 / 6, -1 / 6], abs=1e-15)


def test_what_stays_at_a_source_for_long_is_no_matter() -> None:
    # Self-transitions are kept, and change nothing about who comes by.
    long = [(0, 1, 1), (1, 1, 10**9), (1, weights.CONVERSION, 1)]
    assert weights.removal_effects(1, long) == pytest.approx([1.0])


@pytest.mark.parametrize("sources", [1, 300])
def test_nothing_converts_nothing_matters(sources: int) -> None:
    steps = [step for n in range(1, sources + 1) for step in ((0, n, 1), (n, weights.LOST, 1))]
    assert weights.removal_effects(sources, steps) == [0.0] * sources
    assert weights.shapley_values(sources, [([n], 1, 0) for n in range(1, sources + 1)])[0] == [0.0] * sources


def test_sampled_values_lie_within_their_error_of_the_exact_ones() -> None:
    # A dozen sources, for which both are known.
    sets = [
        (sorted({1 + n % 12, 1 + n * n % 12, 1 + n // 7 % 12}), 3 + n % 5, n * 7 % (4 + n % 5))
        for n in range(200)
    ]
    exact, no_errors = weights.shapley_values(12, sets)
    sampled, errors = weights._sampled_values(12, sets)
    assert no_errors == [0.0] * 12
    assert all(
        abs(guess - value) < 4 * error for guess, value, error in zip(sampled, exact, errors, strict=True)
    )
    assert max(errors) < 0.01
    # What all of them bring together is known without sampling.
    assert sum(sampled) == pytest.approx(sum(exact), abs=1e-12)
    assert weights._sampled_values(12, sets) == (sampled, errors)


def test_the_model_keeps_projects_apart_and_rounds_to_twelve_decimals() -> None:
    connection = duckdb.connect()
    connection.execute(
        """
        create table int_journey_sources as from (values
            ('b', 1, 'ads', 3), ('a', 2, 'ads', 1), ('a', 1, 'news', 3), ('none', 1, 'ads', 1),
            ('rare', 1, 'x', 3), ('rare', 1, 'y', 1)
        ) as t (project_id, source_number, source, touches);
        create table int_source_transitions as from (values
            ('a', null, 2, false, 1), ('a', 2, 1, false, 1), ('a', 1, null, true, 1),
            ('a', null, 1, false, 2), ('a', 1, null, false, 2),
            ('b', null, 1, false, 3), ('b', 1, null, true, 3),
            ('none', null, 1, false, 1), ('none', 1, null, false, 1),
            ('rare', null, 1, false, 3), ('rare', 1, 1, false, 1), ('rare', 1, null, true, 3)
        ) as t (project_id, from_number, to_number, is_conversion, transitions);
        create table int_source_sets as from (values
            ('a', '1 2', 1, 1), ('a', '1', 2, 0), ('b', '1', 3, 3), ('none', '1', 1, 0), ('rare', '1', 3, 3)
        ) as t (project_id, source_numbers, journeys, converting_journeys);
        """
    )

    class Dbt:
        """What dbt hands to a model in Python."""

        ref = staticmethod(connection.table)

        @staticmethod
        def config(materialized: str) -> None:
            assert materialized == "table"

    assert weights.model(Dbt, connection).to_pylist() == [
        _row("a", "ads", 333333333333, 166666666667),
        _row("a", "news", 10**12, 166666666667),
        _row("b", "ads", 10**12, 10**12),
        _row("none", "ads", 0, 0),
        # Sources with one number are one, and share its figures by their touches.
        _row("rare", "x", 750000000000, 750000000000),
        _row("rare", "y", 250000000000, 250000000000),
    ]


def _row(project: str, source: str, effect: int, value: int) -> dict[str, Any]:
    return {
        "project_id": project,
        "source": source,
        "removal_effect_pico": effect,
        "shapley_value_pico": value,
        "shapley_error_pico": 0,
    }


def _transitions(journeys: list[Journey]) -> Counter[tuple[int, int]]:
    """Steps from the start (0) over sources to one of the two ends."""
    return Counter(
        step
        for path, converted in journeys
        for step in zip(
            (weights.START, *path),
            (*path, weights.CONVERSION if converted else weights.LOST),
            strict=True,
        )
    )


def _chance(transitions: Counter[tuple[int, int]], without: int | None) -> Fraction:
    """Chance to convert from the start where a source leads nowhere, by elimination in exact fractions."""
    states = sorted({origin for origin, _ in transitions} - {without})
    left = {origin: sum(n for (o, _), n in transitions.items() if o == origin) for origin in states}
    # x(s) = Σ p(s, t) x(t) + p(s, conversion)
    rows = [
        [Fraction(int(s == t)) - Fraction(transitions[s, t], left[s]) for t in states]
        + [Fraction(transitions[s, weights.CONVERSION], left[s])]
        for s in states
    ]
    for pivot in range(len(states)):
        swap = next(r for r in range(pivot, len(states)) if rows[r][pivot])
        rows[pivot], rows[swap] = rows[swap], rows[pivot]
        rows[pivot] = [value / rows[pivot][pivot] for value in rows[pivot]]
        for r in range(len(states)):
            if r != pivot:
                rows[r] = [
                    value - rows[r][pivot] * other for value, other in zip(rows[r], rows[pivot], strict=True)
                ]
    return rows[0][-1]


def _worth(journeys: list[Journey], coalition: set[int]) -> Fraction:
    inside = [converted for path, converted in journeys if set(path) <= coalition]
    return Fraction(sum(inside), len(inside)) if inside else Fraction(0)


def _sets(journeys: list[Journey]) -> list[tuple[list[int], int, int]]:
    counts = Counter(frozenset(path) for path, _ in journeys)
    conversions = Counter(frozenset(path) for path, converted in journeys if converted)
    return [(sorted(members), n, conversions[members]) for members, n in counts.items()]
