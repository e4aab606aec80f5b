-- One row per project, day, landing page and currency: sessions that began there, what they led to and cost.
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

costs as (
    select * from {{ ref('fct_costs') }}
),

landings as (
    -- Of each campaign's cost of a day: where its sessions of that day began.
    select
        costs.project_id,
        costs.cost_date,
        costs.source,
        costs.medium,
        costs.campaign,
        costs.currency,
        costs.amount_minor,
        costs.reporting_currency,
        costs.reporting_amount_minor,
        coalesce(sessions.page_path, '(none)') as page_path,
        -- Without a session all of it is one line.
        greatest(count(sessions.session_id), 1) as weight
    from costs
    left join sessions
        on
            costs.project_id = sessions.project_id
            and costs.cost_date = sessions.session_date
            and costs.source = sessions.source
            and costs.medium = sessions.medium
            and costs.campaign is not distinct from sessions.campaign
    group by
        costs.project_id,
        costs.cost_date,
        costs.source,
        costs.medium,
        costs.campaign,
        costs.currency,
        costs.amount_minor,
        costs.reporting_currency,
        costs.reporting_amount_minor,
        sessions.page_path
),

weighed as (
    select
        *,
        sum(weight) over (
            partition by project_id, cost_date, source, medium, campaign, currency
        ) as weight_sum
    from landings
),

floored as (
    -- What was paid back is shared as what was paid, and what it is worth in another currency by itself.
    select
        *,
        {{ quota('abs(amount_minor)', 'weight', 'weight_sum', 'decimal(38, 0)') }} as floor_minor,
        {{ quota_remainder('abs(amount_minor)', 'weight', 'weight_sum') }} as remainder,
        {{ quota('abs(reporting_amount_minor)', 'weight', 'weight_sum', 'decimal(38, 0)') }}
            as reporting_floor_minor,
        {{ quota_remainder('abs(reporting_amount_minor)', 'weight', 'weight_sum') }} as reporting_remainder
    from weighed
),

ranked as (
    select
        *,
        abs(amount_minor) - cast(
            {{ sum_exact('floor_minor') }} over (
                partition by project_id, cost_date, source, medium, campaign, currency
            ) as decimal(38, 0)
        ) as left_over,
        row_number() over (
            partition by project_id, cost_date, source, medium, campaign, currency
            order by remainder desc, page_path asc nulls last
        ) as remainder_rank,
        abs(reporting_amount_minor) - cast(
            {{ sum_exact('reporting_floor_minor') }} over (
                partition by project_id, cost_date, source, medium, campaign, currency
            ) as decimal(38, 0)
        ) as reporting_left_over,
        row_number() over (
            partition by project_id, cost_date, source, medium, campaign, currency
            order by reporting_remainder desc, page_path asc nulls last
        ) as reporting_remainder_rank
    from floored
),

shared as (
    select
        project_id,
        cost_date as report_date,
        page_path,
        currency,
        cast(sum(
            case when amount_minor < 0 then -1 else 1 end
            * (floor_minor + case when remainder_rank <= left_over then 1 else 0 end)
        ) as decimal(38, 0)) as shared_cost_minor,
        reporting_currency,
        cast(sum(
            case when reporting_amount_minor < 0 then -1 else 1 end
            * (
                reporting_floor_minor
                + case when reporting_remainder_rank <= reporting_left_over then 1 else 0 end
            )
        ) as decimal(38, 0)) as reporting_shared_cost_minor
    from ranked
    group by project_id, cost_date, page_path, currency, reporting_currency
),

figures as (
    select
        sessions.project_id,
        sessions.session_date as report_date,
        sessions.page_path,
        projects.reporting_currency as currency,
        1 as sessions,
        cast(null as string) as session_id,
        cast(null as string) as conversion_id,
        cast(null as string) as state,
        0 as net_amount_minor,
        cast(null as decimal(38, 0)) as shared_cost_minor,
        projects.reporting_currency,
        cast(null as bigint) as reporting_net_amount_minor,
        cast(null as decimal(38, 0)) as reporting_shared_cost_minor
    from sessions
    inner join projects on sessions.project_id = projects.project_id
    union all
    -- On the day of the session that led to it; a conversion without one stands by itself.
    select
        conversions.project_id,
        coalesce(sessions.session_date, conversions.conversion_date) as report_date,
        coalesce(sessions.page_path, '(none)') as page_path,
        conversions.currency,
        0 as sessions,
        sessions.session_id,
        conversions.conversion_id,
        conversions.state,
        conversions.net_amount_minor,
        cast(null as decimal(38, 0)) as shared_cost_minor,
        conversions.reporting_currency,
        conversions.reporting_net_amount_minor,
        cast(null as decimal(38, 0)) as reporting_shared_cost_minor
    from conversions
    left join sessions on conversions.session_id = sessions.session_id
    union all
    select
        project_id,
        report_date,
        page_path,
        currency,
        0 as sessions,
        cast(null as string) as session_id,
        cast(null as string) as conversion_id,
        cast(null as string) as state,
        0 as net_amount_minor,
        shared_cost_minor,
        reporting_currency,
        cast(null as bigint) as reporting_net_amount_minor,
        reporting_shared_cost_minor
    from shared
)

select
    project_id,
    report_date,
    page_path as landing_page,
    currency,
    cast(sum(sessions) as bigint) as sessions,
    count(distinct session_id) as converting_sessions,
    count(conversion_id) as conversions,
    cast(sum(case when state = 'pending' then 1 else 0 end) as bigint) as pending_conversions,
    cast({{ sum_exact('net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    cast({{ sum_exact('shared_cost_minor') }} as decimal(38, 0)) as shared_cost_minor,
    reporting_currency,
    {{ reporting_sum('reporting_net_amount_minor', 'net_amount_minor') }} as reporting_net_amount_minor,
    cast({{ sum_exact('reporting_shared_cost_minor') }} as decimal(38, 0)) as reporting_shared_cost_minor
from figures
group by project_id, report_date, page_path, currency, reporting_currency
