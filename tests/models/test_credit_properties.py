"""Whatever the touches and the amounts: credit sums to one and money to the cent, in every model."""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from examples import tried
from hypothesis import strategies as st

from orchestration.manifest import DBT_PROJECT, model_names

Amounts = tuple[int, str, int | None]
"""A net amount, its currency, and the amount in the reporting currency, which is USD."""

NANO = 10**9
DAY = 86_400_000_000
MODELS = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]["attribution_models"]

touches = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from("abc"),
            "age_us": st.integers(0, 90 * DAY),
            "is_paid": st.booleans(),
            "is_named": st.booleans(),
        }
    ),
    max_size=12,
)
# In the reporting currency the same where it is the conversion's; null where no rate is known.
amounts = st.one_of(
    st.integers(0, 10**13).map(lambda amount: (amount, "USD", amount)),
    st.tuples(st.integers(0, 10**13), st.just("EUR"), st.none() | st.integers(0, 10**13)),
)
conversions = st.lists(st.tuples(amounts, touches), min_size=1, max_size=6)
weights = st.fixed_dictionaries({source: st.integers(-(10**12), 10**12) for source in "abc"})


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


def test_the_models_are_the_files_of_their_folder(manifest: Any) -> None:
    assert sorted(MODELS) == model_names(manifest, "attribution")
    assert len(MODELS) == 11


@tried(12, 60, conversions, weights)
def test_credit_and_money_are_conserved(
    warehouse: duckdb.DuckDBPyConnection,
    compiled_models: Path,
    amounts_and_touches: list[tuple[Amounts, list[dict[str, Any]]]],
    source_weights: dict[str, int],
) -> None:
    _fill(warehouse, amounts_and_touches, source_weights)
    for model in ("int_conversion_first_touches", *MODELS, "int_credits"):
        warehouse.execute(f"create or replace table {model} as {_sql(compiled_models, model)}")
    shares: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for model in MODELS:
        for conversion_id, touch_id, share in warehouse.execute(f"from {model}").fetchall():
            shares[model, conversion_id][touch_id] = share
    rows = warehouse.execute(
        "select model, conversion_id, touch_id, credit_nano, credited_amount_minor, "
        "reporting_credited_amount_minor from (" + _sql(compiled_models, "fct_attribution") + ")"
    ).fetchall()
    credit: dict[tuple[str, str], int] = defaultdict(int)
    money: dict[tuple[str, str], int] = defaultdict(int)
    reporting: dict[tuple[str, str], int] = defaultdict(int)
    for model, conversion_id, touch_id, nano, minor, reporting_minor in rows:
        credit[model, conversion_id] += nano
        money[model, conversion_id] += minor
        (amount, currency, converted), its_touches = amounts_and_touches[int(conversion_id)]
        assert (touch_id is None) == (not its_touches)
        # Largest remainder: nobody is off by a whole unit. Shares are rounded to twelve decimals first.
        exact = Fraction(shares[model, conversion_id][touch_id]) if its_touches else Fraction(1)
        assert abs(nano - exact * NANO) < 1 + Fraction(len(its_touches), 1000)
        assert abs(minor - amount * Fraction(nano, NANO)) < 1
        assert (reporting_minor is None) == (converted is None)
        if converted is not None:
            reporting[model, conversion_id] += reporting_minor
            assert abs(reporting_minor - converted * Fraction(nano, NANO)) < 1
        assert currency != "USD" or reporting_minor == minor
    expected = {(model, str(n)) for model in MODELS for n in range(len(amounts_and_touches))}
    assert set(credit) == expected
    assert all(nano == NANO for nano in credit.values())
    assert all(minor == amounts_and_touches[int(c)][0][0] for (_, c), minor in money.items())
    assert all(minor == amounts_and_touches[int(c)][0][2] for (_, c), minor in reporting.items())
    assert all(sum(of.values()) == pytest.approx(1, abs=1e-11) for of in shares.values())


def _fill(
    warehouse: duckdb.DuckDBPyConnection,
    amounts_and_touches: list[tuple[Amounts, list[dict[str, Any]]]],
    source_weights: dict[str, int],
) -> None:
    """Conversions, each of a person of its own, with the drawn touches."""
    warehouse.execute(
        """
        create or replace table int_conversions (
            conversion_id varchar, project_id varchar, person_id varchar, state varchar, currency varchar,
            net_amount_minor bigint, reporting_currency varchar, reporting_net_amount_minor bigint,
            occurred_us bigint
        );
        create or replace table int_touches (
            touch_id varchar, seq bigint, person_id varchar, touched_us bigint, source varchar,
            medium varchar, campaign varchar, term varchar, content varchar, channel varchar,
            conversion_id varchar,
            is_paid boolean, is_named boolean
        );
        create or replace table int_source_weights (
            project_id varchar, source varchar, removal_effect_pico bigint, shapley_value_pico bigint
        );
        create or replace table int_channels (
            project_id varchar, source varchar, medium varchar, compared_campaign varchar,
            click_id_type varchar, channel varchar
        );
        create or replace table fct_sessions (
            session_id varchar, person_id varchar, started_at timestamp, is_direct boolean, is_bot boolean
        );
        """
    )
    warehouse.execute(
        "create or replace table int_projects as "
        f"select 'shop' as project_id, 'UTC' as time_zone, {DAY} as half_life_us"
    )
    for source, weight in source_weights.items():
        warehouse.execute(
            "insert into int_source_weights values ('shop', ?, ?, ?)", [source, max(weight, 0), weight]
        )
    for number, ((amount, currency, converted), its_touches) in enumerate(amounts_and_touches):
        warehouse.execute(
            "insert into int_conversions values (?, 'shop', ?, 'approved', ?, ?, 'USD', ?, ?)",
            [str(number), str(number), currency, amount, converted, 90 * DAY],
        )
        for seq, touch in enumerate(its_touches):
            warehouse.execute(
                "insert into int_touches values (?, ?, ?, ?, ?, null, null, null, null, null, ?, ?, ?)",
                [
                    f"{number}-{seq}",
                    seq,
                    str(number),
                    90 * DAY - touch["age_us"],
                    touch["source"],
                    str(number),
                    touch["is_paid"],
                    touch["is_named"],
                ],
            )
    warehouse.execute(
        """
        create or replace table int_conversion_touches as
        select
            *, 'shop' as project_id, seq as touch_seq,
            row_number() over (partition by conversion_id order by touched_us, seq) as touch_number,
            count(*) over (partition by conversion_id) as touch_count,
            max(touched_us) over (partition by conversion_id) as latest_touched_us,
            row_number() over (partition by conversion_id, source order by touched_us, seq)
                as source_touch_number,
            count(*) over (partition by conversion_id, source) as source_touch_count,
            count(distinct source) over (partition by conversion_id) as source_count
        from int_touches;
        create or replace table int_journey_touches as
        select *, true as is_converting, conversion_id as journey_id from int_conversion_touches;
        create or replace table fct_touches as from int_touches;
        create or replace table fct_conversions as
        select
            *, make_timestamp(occurred_us) as occurred_at,
            make_timestamp(occurred_us)::date as conversion_date
        from int_conversions
        """
    )
