"""What must hold for credit before anybody sees it: whole, placed in time, and worth what was earned."""

from pathlib import Path

from expectations.checking import Expectation, Suite, no_rows

NANO = 1_000_000_000


def attribution(warehouse_path: Path) -> Suite:
    """Suite over `fct_attribution` and the conversions that it credits, in the build's warehouse."""
    return Suite(
        name="attribution",
        database=warehouse_path,
        batches={"credits": "select * from fct_attribution"},
        expectations=EXPECTATIONS,
    )


EXPECTATIONS = (
    Expectation(
        name="credit_lies_between_none_and_all",
        severity="critical",
        of="credits",
        type="expect_column_values_to_be_between",
        arguments={"column": "credit_nano", "min_value": 0, "max_value": NANO},
    ),
    Expectation(
        name="every_credit_has_a_source",
        severity="critical",
        of="credits",
        type="expect_column_values_to_not_be_null",
        arguments={"column": "source"},
    ),
    no_rows(
        "shares_of_a_conversion_sum_to_all",
        "critical",
        "credits",
        f"""
        select model, conversion_id, sum(credit_nano) as credit_nano from {{batch}}
        group by model, conversion_id
        having sum(credit_nano) is distinct from {NANO}
        order by model, conversion_id
        """,  # noqa: S608
    ),
    no_rows(
        "every_model_credits_the_same_conversions",
        "critical",
        "credits",
        """
        select conversion_id, count(distinct model) as models from {batch}
        group by conversion_id
        having count(distinct model) <> (select count(distinct model) from {batch})
        order by conversion_id
        """,
    ),
    no_rows(
        "what_is_credited_is_what_was_not_rejected",
        "critical",
        "credits",
        """
        select coalesce(credited.conversion_id, counted.conversion_id) as conversion_id, counted.state
        from (select distinct conversion_id from {batch}) credited
        full join fct_conversions counted on credited.conversion_id = counted.conversion_id
        where (counted.state is distinct from 'rejected' and credited.conversion_id is null)
            or (counted.state is not distinct from 'rejected' and credited.conversion_id is not null)
            or counted.conversion_id is null
        order by 1
        """,
    ),
    no_rows(
        "every_model_credits_the_money_earned",
        "critical",
        "credits",
        """
        with models as (select distinct model from {batch}),
        credited as (
            select model, currency, sum(credited_amount_minor) as amount_minor from {batch}
            group by model, currency
        ),
        earned as (
            select model, currency, sum(net_amount_minor) as amount_minor
            from fct_conversions, models
            where state <> 'rejected'
            group by model, currency
        )
        select
            coalesce(credited.model, earned.model) as model,
            coalesce(credited.currency, earned.currency) as currency,
            credited.amount_minor as credited_minor,
            earned.amount_minor as earned_minor
        from credited full join earned using (model, currency)
        where coalesce(credited.amount_minor, 0) <> coalesce(earned.amount_minor, 0)
        order by 1, 2
        """,
    ),
    no_rows(
        "no_touch_comes_after_its_conversion",
        "critical",
        "credits",
        """
        select attribution_id, touched_at, converted_at from {batch}
        where touched_at > converted_at
        order by attribution_id
        """,
    ),
)
