-- One row per project, day, model, goal, source, medium, campaign, channel and currency: its conversions.
with attribution as (
    select * from {{ ref('fct_attribution') }}
),

completions as (
    -- Once per goal and conversion, as fct_goal_completions has it.
    select
        goal_id,
        conversion_id
    from {{ ref('fct_goal_completions') }}
    where conversion_id is not null
)

select
    attribution.project_id,
    attribution.conversion_date as report_date,
    attribution.model,
    completions.goal_id,
    attribution.source,
    attribution.medium,
    attribution.campaign,
    attribution.channel,
    attribution.currency,
    cast(sum(attribution.credit_nano) as decimal(38, 0)) as credit_nano,
    {{ of_nano('sum(attribution.credit_nano)') }} as conversions,
    cast({{ sum_exact('attribution.credited_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    attribution.reporting_currency,
    {{ reporting_sum('attribution.reporting_credited_amount_minor', 'attribution.credited_amount_minor') }}
        as reporting_net_amount_minor
from attribution
inner join completions on attribution.conversion_id = completions.conversion_id
group by
    attribution.project_id,
    attribution.conversion_date,
    attribution.model,
    completions.goal_id,
    attribution.source,
    attribution.medium,
    attribution.campaign,
    attribution.channel,
    attribution.currency,
    attribution.reporting_currency
