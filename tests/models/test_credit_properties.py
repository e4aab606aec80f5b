"""Whatever the shares and the amounts: credit sums to one and money to the cent, in every model."""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NANO = 10**9
MODELS = ("last_touch", "first_touch", "linear")

shares = st.lists(st.integers(1, 10**6), min_size=1, max_size=12)
conversions = st.lists(st.tuples(st.integers(0, 10**13), shares), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def warehouse(compiled_models: Path) -> duckdb.DuckDBPyConnection:
    """An empty database in which the compiled models find their inputs by name."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as warehouse; use warehouse.main")
    return connection


def _sql(folder: Path, model: str) -> str:
    # Below a YAML file's name lie the tests that stand in it.
    (path,) = (path for path in folder.rglob(f"{model}.sql") if path.parent.suffix != ".yml")
    return path.read_text()


@settings(max_examples=60, deadline=None)
@given(conversions)
def test_credit_and_money_are_conserved(
    warehouse: duckdb.DuckDBPyConnection,
    compiled_models: Path,
    amounts_and_weights: list[tuple[int, list[int]]],
) -> None:
    _fill(warehouse, amounts_and_weights)
    warehouse.execute("create or replace table int_credits as " + _sql(compiled_models, "int_credits"))
    rows = warehouse.execute(
        "select model, conversion_id, touch_id, credit_nano, credited_amount_minor from ("
        + _sql(compiled_models, "fct_attribution")
        + ")"
    ).fetchall()
    credit: dict[tuple[str, str], int] = defaultdict(int)
    money: dict[tuple[str, str], int] = defaultdict(int)
    for model, conversion_id, touch_id, nano, minor in rows:
        credit[model, conversion_id] += nano
        money[model, conversion_id] += minor
        if model == "linear":
            amount, weights = amounts_and_weights[int(conversion_id)]
            exact = Fraction(weights[int(touch_id.split("-")[1])], sum(weights))
            # Largest remainder: nobody is off by a whole unit. Weights are rounded to twelve decimals first.
            assert abs(nano - exact * NANO) < 1 + Fraction(len(weights), 1000)
            assert abs(minor - amount * Fraction(nano, NANO)) < 1
    expected = {(model, str(n)) for model in MODELS for n in range(len(amounts_and_weights))}
    assert set(credit) == expected
    assert all(nano == NANO for nano in credit.values())
    assert all(minor == amounts_and_weights[int(c)][0] for (_, c), minor in money.items())


def _fill(warehouse: duckdb.DuckDBPyConnection, amounts_and_weights: list[tuple[int, list[int]]]) -> None:
    """Conversions whose touches claim the drawn weights in `linear`, the ends in the other models."""
    warehouse.execute(
        """
        create or replace table int_conversions (
            conversion_id varchar, project_id varchar, person_id varchar, state varchar, currency varchar,
            net_amount_minor bigint, occurred_us bigint
        );
        create or replace table int_conversion_touches (
            conversion_id varchar, touch_id varchar, touched_us bigint, touch_number bigint, share double
        );
        create or replace table int_touches (
            touch_id varchar, touched_us bigint, source varchar, medium varchar, campaign varchar,
            term varchar, content varchar
        );
        create or replace table int_projects as select 'shop' as project_id, 'UTC' as time_zone;
        create or replace table int_sessions (
            session_id varchar, person_id varchar, started_us bigint, is_direct boolean, is_bot boolean
        );
        """
    )
    for number, (amount, weights) in enumerate(amounts_and_weights):
        warehouse.execute(
            "insert into int_conversions values (?, 'shop', 'p', 'approved', 'USD', ?, 99)",
            [str(number), amount],
        )
        for touch, weight in enumerate(weights):
            touch_id = f"{number}-{touch}"
            warehouse.execute(
                "insert into int_conversion_touches values (?, ?, ?, ?, ?)",
                [str(number), touch_id, touch, touch + 1, weight / sum(weights)],
            )
            warehouse.execute(
                "insert into int_touches values (?, ?, 'news', null, null, null, null)", [touch_id, touch]
            )
    warehouse.execute(
        """
        create or replace table linear as
        select conversion_id, touch_id, share from int_conversion_touches;
        create or replace table first_touch as
        select conversion_id, touch_id, 1.0::double as share from int_conversion_touches
        where touch_number = 1;
        create or replace table last_touch as
        select conversion_id, touch_id, 1.0::double as share from int_conversion_touches
        where (conversion_id, touch_number) in (
            select conversion_id, max(touch_number) from int_conversion_touches group by conversion_id
        );
        """
    )
