-- One row per project, day, source, medium and campaign: what was spent on ads, as last reported.
with reports as (
    select
        *,
        coalesce(medium, '(none)') as cost_medium
    from {{ ref('stg_raw__costs') }}
    where set_aside_reason is null
),

currencies as (
    select * from {{ ref('currencies') }}
),

numbered as (
    -- The currency is no part of the key: a report in another one replaces too.
    select
        *,
        row_number() over (
            partition by project_id, day, source, cost_medium, campaign order by seq desc
        ) as recency
    from reports
),

latest as (
    select
        numbered.project_id,
        numbered.source,
        numbered.cost_medium,
        numbered.campaign,
        numbered.currency,
        numbered.received_us,
        cast(numbered.day as date) as cost_date,
        {{ minor_units('numbered.amount_text', 'coalesce(currencies.minor_per_major, 100)') }} as amount_minor
    from numbered
    left join currencies on numbered.currency = currencies.currency
    where numbered.recency = 1
),

projects as (
    select * from {{ ref('int_projects') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
)

select
    latest.project_id,
    latest.cost_date,
    latest.source,
    latest.cost_medium as medium,
    latest.campaign,
    latest.currency,
    latest.amount_minor,
    projects.reporting_currency,
    cast({{ reporting_minor(
        'latest.amount_minor', 'latest.currency', 'projects.reporting_currency', 'rates'
    ) }} as bigint) as reporting_amount_minor,
    {{ utc_timestamp('latest.received_us') }} as reported_at
from latest
inner join projects on latest.project_id = projects.project_id
left join rates
    on
        latest.currency = rates.currency
        and projects.reporting_currency = rates.reporting_currency
        and latest.cost_date >= rates.valid_from
        and (rates.valid_until is null or latest.cost_date < rates.valid_until)
