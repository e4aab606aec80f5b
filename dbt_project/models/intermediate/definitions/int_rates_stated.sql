-- One row per project, pair of currencies and day of a rate that the project has added: the latest statement.
with added as (
    select
        project_id,
        seq,
        {{ json_texts(json_part('body', "'rates'")) }} as statement
    from {{ ref('int_definitions') }}
    where kind = 'exchange_rates' and not is_deleted
),

readable as (
    select
        project_id,
        seq,
        case
            when {{ matches_pattern(
                'statement',
                "'^[0-9]{4}-[0-9]{2}-[0-9]{2} [A-Z]{3} [A-Z]{3} [0-9]{1,7}([.][0-9]{1,18})?$'"
            ) }} then statement
        end as statement
    from added
),

named as (
    select
        project_id,
        seq,
        statement,
        cast(substr(statement, 1, 10) as date) as rate_date,
        substr(statement, 12, 3) as base_currency,
        substr(statement, 16, 3) as quote_currency,
        cast(substr(statement, 20) as decimal(38, 18)) as rate
    from readable
    where statement is not null
),

numbered as (
    -- A pair is the same either way round.
    select
        *,
        -- More digits of what is small: all that is computed fits 64 bits.
        cast(case when rate < 1 then 1000000000000000 else 1000000000 end as bigint) as denominator,
        -- Types are narrow, so that products lose no digit.
        case
            when rate < 1 then cast(rate as decimal(19, 18)) * cast(1000000000000000 as decimal(16, 0))
            else cast(rate as decimal(25, 18)) * cast(1000000000 as decimal(10, 0))
        end as numerator,
        row_number() over (
            partition by
                project_id,
                least(base_currency, quote_currency),
                greatest(base_currency, quote_currency),
                rate_date
            order by seq desc, statement asc
        ) as recency
    from named
    where rate between 0.0000002 and 5000000
)

select
    project_id,
    base_currency,
    quote_currency,
    rate_date,
    cast(round(numerator, 0) as bigint) as numerator,
    denominator
from numbered
where recency = 1
