-- One row per project and currency with exchange rates to its reporting currency: how many, and whose.
with projects as (
    select * from {{ ref('int_projects') }}
),

rates as (
    select
        *,
        row_number() over (
            partition by rates_of, currency, reporting_currency order by valid_from desc
        ) as recency
    from {{ ref('int_exchange_rates') }}
)

select
    projects.project_id,
    rates.currency,
    projects.reporting_currency,
    count(*) as rates,
    cast(sum(case when rates.is_own then 1 else 0 end) as bigint) as own_rates,
    min(rates.valid_from) as first_rate_date,
    max(rates.valid_from) as last_rate_date,
    max(case when rates.recency = 1 then rates.rate end) as latest_rate
from projects
inner join rates
    on projects.rates_of = rates.rates_of and projects.reporting_currency = rates.reporting_currency
group by projects.project_id, rates.currency, projects.reporting_currency
