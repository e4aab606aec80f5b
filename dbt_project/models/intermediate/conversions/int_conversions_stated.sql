-- One row per conversion, with the state and amount that its reports leave it in, before refunds.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
),

states as (
    select * from {{ ref('int_conversion_states') }}
    where report_set = 'all'
),

pages as (
    select * from {{ ref('int_conversion_pages') }}
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
    where is_deciding and country is not null
)

select
    states.conversion_id,
    states.seq,
    first_report.project_id,
    first_report.event_id,
    first_report.dialect,
    first_report.occurred_us,
    first_report.name,
    first_report.goal_id,
    first_report.transaction_id,
    pages.page_id,
    countries.country,
    states.state,
    states.status,
    states.is_status_unknown,
    states.amount_minor,
    states.currency,
    states.is_default_payout,
    states.has_server_report,
    counts.reports
from states
inner join reports as first_report on states.seq = first_report.seq
inner join counts on states.conversion_id = counts.conversion_id
left join pages on states.conversion_id = pages.conversion_id
left join countries on states.conversion_id = countries.conversion_id and countries.country_number = 1
