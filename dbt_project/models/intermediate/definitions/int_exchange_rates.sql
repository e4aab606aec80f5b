-- One row per owner of rates, currency, reporting currency and span of days: the rate that amounts take.
{% set most = 9000000000000000000 %}
with currencies as (
    select * from {{ ref('currencies') }}
),

stated as (
    select * from {{ ref('int_rates_stated') }}
),

reporting as (
    select distinct
        rates_of,
        reporting_currency
    from {{ ref('int_projects') }}
),

owners as (
    select distinct rates_of from reporting
),

shipped as (
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

per_euro as (
    select
        owners.rates_of,
        shipped.currency,
        shipped.rate_date,
        shipped.per_euro_nano,
        false as is_own
    from shipped
    cross join owners
    union all
    select
        project_id as rates_of,
        quote_currency as currency,
        rate_date,
        cast({{ converted('1000000000', 'numerator', 'denominator') }} as bigint) as per_euro_nano,
        true as is_own
    from stated
    where base_currency = 'EUR'
    union all
    select
        project_id as rates_of,
        base_currency as currency,
        rate_date,
        cast({{ converted('1000000000', 'denominator', 'numerator') }} as bigint) as per_euro_nano,
        true as is_own
    from stated
    where quote_currency = 'EUR'
),

numbered as (
    select
        *,
        row_number() over (
            partition by rates_of, currency, rate_date order by case when is_own then 0 else 1 end
        ) as precedence
    from per_euro
),

rates as (
    -- Of one day the project's own goes before the seed's.
    select * from numbered
    where precedence = 1
),

rated as (
    select distinct
        rates_of,
        currency
    from rates
),

direct as (
    -- What is stated between two currencies is exact, either way round.
    select
        project_id as rates_of,
        base_currency as currency,
        quote_currency as reporting_currency,
        rate_date,
        numerator as reporting_units,
        denominator as units
    from stated
    union all
    select
        project_id as rates_of,
        quote_currency as currency,
        base_currency as reporting_currency,
        rate_date,
        denominator as reporting_units,
        numerator as units
    from stated
),

paired as (
    -- Each day on which either side of a pair has a new rate to the euro, or the pair one of its own.
    select
        rates.rates_of,
        rates.currency,
        reporting.reporting_currency,
        rates.rate_date,
        rates.per_euro_nano,
        rates.is_own,
        cast(null as bigint) as reporting_per_euro_nano,
        cast(null as boolean) as reporting_is_own,
        cast(null as bigint) as units,
        cast(null as bigint) as reporting_units
    from rates
    inner join reporting on rates.rates_of = reporting.rates_of
    where rates.currency <> reporting.reporting_currency
    union all
    select
        rates.rates_of,
        rated.currency,
        rates.currency as reporting_currency,
        rates.rate_date,
        cast(null as bigint) as per_euro_nano,
        cast(null as boolean) as is_own,
        rates.per_euro_nano as reporting_per_euro_nano,
        rates.is_own as reporting_is_own,
        cast(null as bigint) as units,
        cast(null as bigint) as reporting_units
    from rates
    inner join reporting
        on rates.rates_of = reporting.rates_of and rates.currency = reporting.reporting_currency
    inner join rated on rates.rates_of = rated.rates_of and rates.currency <> rated.currency
    union all
    select
        direct.rates_of,
        direct.currency,
        direct.reporting_currency,
        direct.rate_date,
        cast(null as bigint) as per_euro_nano,
        cast(null as boolean) as is_own,
        cast(null as bigint) as reporting_per_euro_nano,
        cast(null as boolean) as reporting_is_own,
        direct.units,
        direct.reporting_units
    from direct
    inner join reporting
        on direct.rates_of = reporting.rates_of and direct.reporting_currency = reporting.reporting_currency
),

dated as (
    select
        rates_of,
        currency,
        reporting_currency,
        rate_date,
        max(per_euro_nano) as per_euro_nano,
        max(is_own) as is_own,
        max(reporting_per_euro_nano) as reporting_per_euro_nano,
        max(reporting_is_own) as reporting_is_own,
        max(units) as units,
        max(reporting_units) as reporting_units
    from paired
    group by rates_of, currency, reporting_currency, rate_date
),

carried as (
    select
        rates_of,
        currency,
        reporting_currency,
        rate_date,
        {% for column in ['per_euro_nano', 'is_own', 'reporting_per_euro_nano', 'reporting_is_own'] %}
        {{ latest_known(column) }} over (
            partition by rates_of, currency, reporting_currency
            order by rate_date
            rows between unbounded preceding and current row
        ) as {{ column }},
        {% endfor %}
        units,
        reporting_units
    from dated
),

chosen as (
    select
        rates_of,
        currency,
        reporting_currency,
        rate_date,
        coalesce(units, per_euro_nano) as units,
        coalesce(reporting_units, reporting_per_euro_nano) as reporting_units,
        units is not null or coalesce(is_own, false) or coalesce(reporting_is_own, false) as is_own
    from carried
),

measured as (
    select
        chosen.*,
        cast(chosen.units as decimal(38, 0)) * coalesce(minor.minor_per_major, 100) as units_minor,
        cast(chosen.reporting_units as decimal(38, 0)) * coalesce(reporting_minor.minor_per_major, 100)
            as reporting_units_minor
    from chosen
    left join currencies as minor on chosen.currency = minor.currency
    left join currencies as reporting_minor on chosen.reporting_currency = reporting_minor.currency
),

usable as (
    -- At others the largest amount that is taken, of ten digits, would not fit 64 bits: no rate is so high.
    select * from measured
    where
        units_minor <= {{ most }}
        and reporting_units_minor <= {{ most }}
        and reporting_units_minor < cast(units as decimal(38, 0)) * 900000000
)

select
    rates_of,
    currency,
    reporting_currency,
    rate_date as valid_from,
    lead(rate_date) over (
        partition by rates_of, currency, reporting_currency order by rate_date
    ) as valid_until,
    cast(reporting_units_minor as bigint) as numerator,
    cast(units_minor as bigint) as denominator,
    {{ of_nano(converted('1000000000', 'reporting_units', 'units')) }} as rate,
    is_own
from usable
