-- One row per conversion, with the state and amount that its reports leave it in, before refunds.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
),

order_events as (
    select * from {{ ref('int_order_events') }}
),

pages as (
    select * from {{ ref('int_conversion_pages') }}
),

defaults as (
    select * from {{ ref('int_conversion_defaults') }}
),

deciding as (
    -- A report that it was refunded says nothing else: without another there is no conversion.
    select
        *,
        row_number() over (partition by conversion_id order by occurred_us, seq) as report_number
    from reports
    where is_deciding and state <> 'refunded'
),

said as (
    select
        conversion_id,
        seq,
        occurred_us,
        state,
        status,
        is_status_unknown,
        amount_minor,
        currency
    from deciding
    union all
    -- What became of an order says nothing where no report made it one.
    select
        conversion_id,
        seq,
        occurred_us,
        state,
        cast(null as varchar) as status,
        false as is_status_unknown,
        amount_minor,
        currency
    from order_events
),

states as (
    select
        *,
        row_number() over (partition by conversion_id order by occurred_us desc, seq desc) as recency
    from said
    where state is not null
),

amounts as (
    -- A report without an amount keeps the last one given.
    select
        conversion_id,
        amount_minor,
        currency,
        row_number() over (partition by conversion_id order by occurred_us desc, seq desc) as recency
    from said
    where amount_minor is not null
),

counts as (
    select
        conversion_id,
        count(*) as reports,
        max(case when sender = 'server' and state <> 'refunded' then 1 else 0 end) = 1 as has_server_report
    from reports
    group by conversion_id
),

countries as (
    select
        conversion_id,
        country,
        row_number() over (partition by conversion_id order by occurred_us, seq) as country_number
    from reports
    where is_deciding and country is not null
)

select
    first_report.conversion_id,
    first_report.seq,
    first_report.project_id,
    first_report.event_id,
    first_report.dialect,
    first_report.occurred_us,
    first_report.name,
    first_report.goal_id,
    first_report.transaction_id,
    pages.page_id,
    countries.country,
    last_report.state,
    last_report.status,
    last_report.is_status_unknown,
    -- Only where no report ever gave an amount does a default count.
    coalesce(amounts.amount_minor, defaults.amount_minor) as amount_minor,
    coalesce(amounts.currency, defaults.currency, first_report.currency) as currency,
    amounts.amount_minor is null and defaults.amount_minor is not null as is_default_payout,
    counts.has_server_report,
    counts.reports
from deciding as first_report
inner join states as last_report
    on first_report.conversion_id = last_report.conversion_id and last_report.recency = 1
inner join counts on first_report.conversion_id = counts.conversion_id
left join amounts on first_report.conversion_id = amounts.conversion_id and amounts.recency = 1
left join pages on first_report.conversion_id = pages.conversion_id
left join defaults on first_report.conversion_id = defaults.conversion_id
left join countries on first_report.conversion_id = countries.conversion_id and countries.country_number = 1
where first_report.report_number = 1
