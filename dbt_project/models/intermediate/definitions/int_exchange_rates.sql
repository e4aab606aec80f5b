-- One row per currency, reporting currency and span of days: the rate at which money is shown in the latter.
with currencies as (
    select * from {{ ref('currencies') }}
),

reporting as (
    select distinct reporting_currency from {{ ref('int_projects') }}
),

rates as (
    -- Whole billionths: money is never multiplied by a float.
    select
        currency,
        rate_date,
        cast(cast(per_euro as decimal(38, 9)) * 1000000000 as bigint) as per_euro_nano
    from {{ ref('currency_rates') }}
    union all
    select
        'EUR' as currency,
        cast('1999-01-01' as date) as rate_date,
        cast(1000000000 as bigint) as per_euro_nano
),

rated as (
    select distinct currency from rates
),

paired as (
    -- Each day on which either side of a pair has a new rate.
    select
        rates.currency,
        reporting.reporting_currency,
        rates.rate_date,
        rates.per_euro_nano,
        cast(null as bigint) as reporting_per_euro_nano
    from rates
    cross join reporting
    where rates.currency <> reporting.reporting_currency
    union all
    select
        rated.currency,
        rates.currency as reporting_currency,
        rates.rate_date,
        cast(null as bigint) as per_euro_nano,
        rates.per_euro_nano as reporting_per_euro_nano
    from rates
    inner join reporting on rates.currency = reporting.reporting_currency
    inner join rated on rates.currency <> rated.currency
),

dated as (
    select
        currency,
        reporting_currency,
        rate_date,
        max(per_euro_nano) as per_euro_nano,
        max(reporting_per_euro_nano) as reporting_per_euro_nano
    from paired
    group by currency, reporting_currency, rate_date
),

carried as (
    select
        currency,
        reporting_currency,
        rate_date as valid_from,
        lead(rate_date) over (partition by currency, reporting_currency order by rate_date) as valid_until,
        {{ latest_known('per_euro_nano') }} over (
            partition by currency, reporting_currency
            order by rate_date
            rows between unbounded preceding and current row
        ) as per_euro_nano,
        {{ latest_known('reporting_per_euro_nano') }} over (
            partition by currency, reporting_currency
            order by rate_date
            rows between unbounded preceding and current row
        ) as reporting_per_euro_nano
    from dated
)

select
    carried.currency,
    carried.reporting_currency,
    carried.valid_from,
    carried.valid_until,
    carried.reporting_per_euro_nano * coalesce(reporting_units.minor_per_major, 100) as numerator,
    carried.per_euro_nano * coalesce(units.minor_per_major, 100) as denominator
from carried
left join currencies as units on carried.currency = units.currency
left join currencies as reporting_units on carried.reporting_currency = reporting_units.currency
where carried.per_euro_nano is not null and carried.reporting_per_euro_nano is not null
