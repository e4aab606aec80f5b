-- One row per project, day, source, medium, campaign and currency: sessions, conversions by default model.
with projects as (
    select * from {{ ref('int_projects') }}
),

figures as (
    select
        sessions.project_id,
        sessions.session_date as report_date,
        sessions.source,
        sessions.medium,
        sessions.campaign,
        projects.reporting_currency as currency,
        1 as sessions,
        0 as credit_nano,
        0 as pending_credit_nano,
        0 as net_amount_minor
    from {{ ref('fct_sessions') }} as sessions
    inner join projects on sessions.project_id = projects.project_id
    where not sessions.is_bot
    union all
    select
        project_id,
        conversion_date as report_date,
        source,
        medium,
        campaign,
        currency,
        0 as sessions,
        credit_nano,
        case when state = 'pending' then credit_nano else 0 end as pending_credit_nano,
        credited_amount_minor as net_amount_minor
    from {{ ref('fct_attribution') }}
    where model = '{{ var("default_model") }}'
)

select
    project_id,
    report_date,
    source,
    medium,
    campaign,
    currency,
    cast(sum(sessions) as bigint) as sessions,
    cast(round(sum(credit_nano) / 1000000000) as bigint) as conversions,
    cast(round(sum(pending_credit_nano) / 1000000000) as bigint) as pending_conversions,
    cast(sum(net_amount_minor) as bigint) as net_amount_minor
from figures
group by project_id, report_date, source, medium, campaign, currency
