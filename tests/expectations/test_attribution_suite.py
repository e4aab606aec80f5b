import duckdb
import pytest

from expectations.attribution import attribution
from expectations.checking import check

SETUP = """
    create table fct_conversions as
    select * from (values
        ('one', 'approved', 'EUR', 1000::bigint),
        ('two', 'pending', 'EUR', 0::bigint),
        ('three', 'rejected', 'EUR', 0::bigint)
    ) t(conversion_id, state, currency, net_amount_minor);

    create table fct_attribution as
    select
        model || '/' || conversion_id || '/' || touch_id as attribution_id, model, conversion_id, touch_id,
        timestamp '2025-06-15 12:00:00' as converted_at, timestamp '2025-06-15 11:00:00' as touched_at,
        source, credit_nano::bigint as credit_nano, 'EUR' as currency,
        credited_amount_minor::bigint as credited_amount_minor
    from (values
        ('last_touch', 'one', 'b', 'google', 1000000000, 1000),
        ('last_touch', 'two', 'b', 'google', 1000000000, 0),
        ('linear', 'one', 'a', '(direct)', 500000000, 500),
        ('linear', 'one', 'b', 'google', 500000000, 500),
        ('linear', 'two', 'b', 'google', 1000000000, 0)
    ) t(model, conversion_id, touch_id, source, credit_nano, credited_amount_minor);
"""


@pytest.fixture
def warehouse(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(SETUP)
    return path


def change(warehouse, sql):
    with duckdb.connect(warehouse) as connection:
        connection.execute(sql)


def failed(warehouse):
    return {o.name: o.severity for o in check(attribution(warehouse)).outcomes if not o.success}


def test_whole_credit_is_as_expected(warehouse):
    assert failed(warehouse) == {}


def test_this_process_may_write_the_warehouse_afterwards(warehouse):
    assert failed(warehouse) == {}
    change(warehouse, "create table publication (build_id varchar)")


def test_marts_without_rows_are_as_expected(warehouse):
    change(warehouse, "delete from fct_conversions; delete from fct_attribution")
    assert failed(warehouse) == {}


@pytest.mark.parametrize(
    ("spoil", "expectation"),
    [
        (
            "update fct_attribution set credit_nano = -500000000 where touch_id = 'a'",
            "credit_lies_between_none_and_all",
        ),
        (
            "update fct_attribution set credit_nano = 1500000000 where touch_id = 'a'",
            "credit_lies_between_none_and_all",
        ),
        ("update fct_attribution set source = null where touch_id = 'a'", "every_credit_has_a_source"),
        ("delete from fct_attribution where touch_id = 'a'", "shares_of_a_conversion_sum_to_all"),
        (
            "update fct_attribution set credit_nano = null where model = 'linear' and conversion_id = 'two'",
            "shares_of_a_conversion_sum_to_all",
        ),
        (
            "delete from fct_attribution where model = 'linear' and conversion_id = 'two'",
            "every_model_credits_the_same_conversions",
        ),
        (
            "delete from fct_attribution where conversion_id = 'two'",
            "what_is_credited_is_what_was_not_rejected",
        ),
        (
            "update fct_conversions set state = 'rejected' where conversion_id = 'two'",
            "what_is_credited_is_what_was_not_rejected",
        ),
        (
            "delete from fct_conversions where conversion_id = 'two'",
            "what_is_credited_is_what_was_not_rejected",
        ),
        (
            "update fct_attribution set credited_amount_minor = 501 where touch_id = 'a'",
            "every_model_credits_the_money_earned",
        ),
        (
            "update fct_attribution set currency = 'USD' where model = 'last_touch'",
            "every_model_credits_the_money_earned",
        ),
        (
            "update fct_attribution set touched_at = converted_at + interval 1 microsecond",
            "no_touch_comes_after_its_conversion",
        ),
    ],
)
def test_the_row_that_it_exists_to_catch_blocks(warehouse, spoil, expectation):
    change(warehouse, spoil)
    result = check(attribution(warehouse))
    assert expectation in {outcome.name for outcome in result.failures}
    assert not result.passed


def test_a_missing_mart_blocks(warehouse):
    change(warehouse, "drop table fct_attribution")
    result = check(attribution(warehouse))
    assert len(result.failures) == len(result.outcomes)
    assert "fct_attribution" in result.failures[0].observed


def test_a_missing_warehouse_blocks_and_is_not_created(tmp_path):
    result = check(attribution(tmp_path / "none.duckdb"))
    assert len(result.failures) == len(result.outcomes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_spoilt", [False, True])
def test_views_over_a_cluster_s_files_are_checked_alike(warehouse, tmp_path, is_spoilt):
    """As orchestration.spark_warehouse makes them."""
    if is_spoilt:
        change(warehouse, "delete from fct_attribution where touch_id = 'a'")
    views = tmp_path / "views.duckdb"
    with duckdb.connect(warehouse) as tables, duckdb.connect(views) as connection:
        for (table,) in tables.execute("show tables").fetchall():
            tables.table(table).write_parquet(f"{tmp_path}/{table}.parquet")
            connection.execute(f"create view {table} as from read_parquet('{tmp_path}/{table}.parquet')")
    assert ("shares_of_a_conversion_sum_to_all" in failed(views)) == is_spoilt
    assert bool(failed(views)) == is_spoilt
