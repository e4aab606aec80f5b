-- One row per conversion, with the state and amount that its reports leave it in, before refunds.
with reports as (
    select
        *,
        -- Once a server reports a conversion, browsers supply only visitor, session and hit.
        sender = 'server' or max(case when sender = 'server' then 1 else 0 end) over (
            partition by conversion_id
        ) = 0 as is_deciding
    from {{ ref('int_conversion_reports') }}
),

deciding as (
    select
        *,
        row_number() over (partition by conversion_id order by occurred_us, seq) as report_number
    from reports
    where is_deciding
),

states as (
    select
        conversion_id,
        state,
        status,
        row_number() over (partition by conversion_id order by occurred_us desc, seq desc) as recency
    from deciding
    where state <> 'refunded'
),

amounts as (
    -- A report without an amount keeps the last one given.
    select
        conversion_id,
        amount_minor,
        currency,
        row_number() over (partition by conversion_id order by occurred_us desc, seq desc) as recency
    from deciding
    where state <> 'refunded' and amount_minor is not null
),

counts as (
    select
        conversion_id,
        count(*) as reports
    from reports
    group by conversion_id
),

countries as (
    select
        conversion_id,
        country,
        row_number() over (partition by conversion_id order by occurred_us, seq) as country_number
    from reports
    where country is not null
)

select
    deciding.conversion_id,
    deciding.seq,
    deciding.project_id,
    deciding.event_id,
    deciding.dialect,
    deciding.occurred_us,
    deciding.name,
    deciding.goal_id,
    deciding.transaction_id,
    countries.country,
    coalesce(states.state, 'approved') as state,
    states.status,
    amounts.amount_minor,
    coalesce(amounts.currency, deciding.currency) as currency,
    counts.reports
from deciding
inner join counts on deciding.conversion_id = counts.conversion_id
left join states on deciding.conversion_id = states.conversion_id and states.recency = 1
left join amounts on deciding.conversion_id = amounts.conversion_id and amounts.recency = 1
left join countries on deciding.conversion_id = countries.conversion_id and countries.country_number = 1
where deciding.report_number = 1
