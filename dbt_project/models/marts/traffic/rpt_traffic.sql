-- One row per project, day, origin, country, landing page, device and currency: sessions, conversions, money.
with projects as (
    select * from {{ ref('int_projects') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

attribution as (
    select * from {{ ref('fct_attribution') }}
    where model = '{{ var("default_model") }}'
),

touches as (
    select * from {{ ref('fct_touches') }}
),

figures as (
    select
        sessions.project_id,
        sessions.session_date as report_date,
        sessions.source,
        sessions.medium,
        sessions.campaign,
        sessions.term,
        sessions.content,
        sessions.channel,
        sessions.country,
        sessions.landing_page,
        sessions.device,
        projects.reporting_currency as currency,
        1 as sessions,
        0 as credit_nano,
        0 as pending_credit_nano,
        0 as net_amount_minor,
        projects.reporting_currency,
        0 as reporting_net_amount_minor
    from sessions
    inner join projects on sessions.project_id = projects.project_id
    where not sessions.is_bot
    union all
    select
        attribution.project_id,
        attribution.conversion_date as report_date,
        attribution.source,
        attribution.medium,
        attribution.campaign,
        attribution.term,
        attribution.content,
        attribution.channel,
        conversions.country,
        -- Where the credited touch landed, on the device that converted.
        touches.landing_page,
        sessions.device,
        attribution.currency,
        0 as sessions,
        attribution.credit_nano,
        case when attribution.state = 'pending' then attribution.credit_nano else 0 end
            as pending_credit_nano,
        attribution.credited_amount_minor as net_amount_minor,
        attribution.reporting_currency,
        attribution.reporting_credited_amount_minor as reporting_net_amount_minor
    from attribution
    inner join conversions on attribution.conversion_id = conversions.conversion_id
    left join touches on attribution.touch_id = touches.touch_id
    left join sessions on conversions.session_id = sessions.session_id
)

select
    project_id,
    report_date,
    source,
    medium,
    campaign,
    term,
    content,
    channel,
    country,
    landing_page,
    device,
    currency,
    cast(sum(sessions) as bigint) as sessions,
    cast(sum(credit_nano) as decimal(38, 0)) as credit_nano,
    cast(sum(pending_credit_nano) as decimal(38, 0)) as pending_credit_nano,
    cast({{ sum_exact('net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    reporting_currency,
    {{ reporting_sum('reporting_net_amount_minor', 'net_amount_minor') }} as reporting_net_amount_minor
from figures
group by
    project_id,
    report_date,
    source,
    medium,
    campaign,
    term,
    content,
    channel,
    country,
    landing_page,
    device,
    currency,
    reporting_currency
