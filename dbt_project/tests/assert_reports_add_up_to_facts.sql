-- What the reports show is what the facts hold: sessions, conversions and money, by project.
with facts as (
    select
        project_id,
        'sessions' as figure,
        count(*) as total
    from {{ ref('fct_sessions') }}
    where not is_bot
    group by project_id
    union all
    select
        project_id,
        'conversions' as figure,
        count(*) as total
    from {{ ref('fct_conversions') }}
    where state <> 'rejected'
    group by project_id
    union all
    select
        project_id,
        'money' as figure,
        sum(net_amount_minor) as total
    from {{ ref('fct_conversions') }}
    where state <> 'rejected'
    group by project_id
),

reports as (
    select
        project_id,
        'sessions' as figure,
        sum(sessions) as total
    from {{ ref('rpt_sources') }}
    group by project_id
    union all
    select
        project_id,
        'conversions' as figure,
        sum(conversions) as total
    from {{ ref('rpt_sources') }}
    group by project_id
    union all
    select
        project_id,
        'money' as figure,
        sum(net_amount_minor) as total
    from {{ ref('rpt_sources') }}
    group by project_id
    union all
    select
        project_id,
        'sessions' as figure,
        sum(completions) as total
    from {{ ref('rpt_funnel_stages') }}
    where stage = 'clicks'
    group by project_id
    union all
    select
        project_id,
        'conversions' as figure,
        sum(completions) as total
    from {{ ref('rpt_funnel_stages') }}
    where stage = 'conversions'
    group by project_id
    union all
    select
        project_id,
        'money' as figure,
        sum(net_amount_minor) as total
    from {{ ref('rpt_attribution') }}
    group by project_id, model
)

select
    reports.project_id,
    reports.figure,
    reports.total,
    facts.total as fact_total
from reports
left join facts on reports.project_id = facts.project_id and reports.figure = facts.figure
where reports.total <> coalesce(facts.total, 0)
