-- One row per project, day, source, medium, campaign, channel and currency: ad spend beside credit.
with figures as (
    -- Sessions have no currency: they stand in the project's own.
    select
        project_id,
        report_date,
        source,
        medium,
        campaign,
        channel,
        currency,
        sessions,
        credit_nano,
        net_amount_minor,
        cast(null as bigint) as cost_minor,
        reporting_currency,
        reporting_net_amount_minor,
        cast(null as bigint) as reporting_cost_minor
    from {{ ref('rpt_traffic') }}
    union all
    select
        project_id,
        cost_date as report_date,
        source,
        medium,
        campaign,
        channel,
        currency,
        0 as sessions,
        0 as credit_nano,
        0 as net_amount_minor,
        amount_minor as cost_minor,
        reporting_currency,
        cast(null as bigint) as reporting_net_amount_minor,
        reporting_amount_minor as reporting_cost_minor
    from {{ ref('fct_costs') }}
),

summed as (
    select
        project_id,
        report_date,
        source,
        medium,
        campaign,
        channel,
        currency,
        cast(sum(sessions) as bigint) as sessions,
        cast(sum(credit_nano) as decimal(38, 0)) as credit_nano,
        cast({{ sum_exact('net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
        cast({{ sum_exact('cost_minor') }} as decimal(38, 0)) as cost_minor,
        reporting_currency,
        {{ reporting_sum('reporting_net_amount_minor', 'net_amount_minor') }} as reporting_net_amount_minor,
        cast({{ sum_exact('reporting_cost_minor') }} as decimal(38, 0)) as reporting_cost_minor
    from figures
    group by project_id, report_date, source, medium, campaign, channel, currency, reporting_currency
),

counted as (
    select
        *,
        {{ sum_exact("case when credit_nano > 0 or cost_minor is not null then 1 else 0 end") }} over (
            partition by project_id, report_date, source, medium, campaign, channel
        ) as money_currencies
    from summed
),

comparable as (
    -- Spend in one currency and conversions in another don't compare.
    select
        *,
        case when money_currencies = 1 then cost_minor end as comparable_cost_minor,
        case when money_currencies = 1 then reporting_cost_minor end as comparable_reporting_cost_minor
    from counted
)

select
    project_id,
    report_date,
    source,
    medium,
    campaign,
    channel,
    currency,
    sessions,
    credit_nano,
    {{ of_nano('credit_nano') }} as conversions,
    net_amount_minor,
    cost_minor,
    case
        when credit_nano > 0
            then {{ converted('comparable_cost_minor', 1000000000, 'credit_nano') }}
    end as cost_per_conversion_minor,
    {{ ratio('net_amount_minor', 'comparable_cost_minor') }} as roas,
    cast({{ ratio('net_amount_minor', 'comparable_cost_minor') }} - 1 as decimal(34, 4)) as roi,
    reporting_currency,
    reporting_net_amount_minor,
    reporting_cost_minor,
    case
        when credit_nano > 0
            then {{ converted('comparable_reporting_cost_minor', 1000000000, 'credit_nano') }}
    end as reporting_cost_per_conversion_minor
from comparable
