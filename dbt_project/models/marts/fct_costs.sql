-- One row per project, day, source, medium and campaign: what was spent on ads, as last reported.
with reports as (
    select
        *,
        coalesce(medium, '(none)') as cost_medium
    from {{ ref('stg_raw__costs') }}
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
    select * from numbered
    where recency = 1
)

select
    latest.project_id,
    cast(latest.day as date) as cost_date,
    latest.source,
    latest.cost_medium as medium,
    latest.campaign,
    latest.currency,
    {{ minor_units('latest.amount_text', 'coalesce(currencies.minor_per_major, 100)') }} as amount_minor,
    {{ utc_timestamp('latest.received_us') }} as reported_at
from latest
left join currencies on latest.currency = currencies.currency
