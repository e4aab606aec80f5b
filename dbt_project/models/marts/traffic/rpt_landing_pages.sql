-- One row per project, day, landing page and currency: sessions that began there, conversions they led to.
with sessions as (
    select
        *,
        coalesce(landing_page, '(none)') as page_path
    from {{ ref('fct_sessions') }}
    where not is_bot
),

projects as (
    select * from {{ ref('int_projects') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
    where state <> 'rejected'
),

landed as (
    select
        sessions.project_id,
        sessions.session_date as report_date,
        sessions.page_path,
        projects.reporting_currency as currency,
        sessions.session_id,
        cast(null as varchar) as conversion_id,
        cast(null as varchar) as state,
        0 as net_amount_minor
    from sessions
    inner join projects on sessions.project_id = projects.project_id
),

converted as (
    -- On the day of the session that led to it; a conversion without one stands by itself.
    select
        conversions.project_id,
        coalesce(sessions.session_date, conversions.conversion_date) as report_date,
        coalesce(sessions.page_path, '(none)') as page_path,
        conversions.currency,
        sessions.session_id,
        conversions.conversion_id,
        conversions.state,
        conversions.net_amount_minor
    from conversions
    left join sessions on conversions.session_id = sessions.session_id
),

figures as (
    select * from landed
    union all
    select * from converted
)

select
    project_id,
    report_date,
    page_path as landing_page,
    currency,
    cast(sum(case when conversion_id is null then 1 else 0 end) as bigint) as sessions,
    count(distinct case when conversion_id is not null then session_id end) as converting_sessions,
    count(conversion_id) as conversions,
    cast(sum(case when state = 'pending' then 1 else 0 end) as bigint) as pending_conversions,
    cast(sum(net_amount_minor) as decimal(38, 0)) as net_amount_minor
from figures
group by project_id, report_date, page_path, currency
