-- One row per project, day, model, source, medium, campaign, channel and currency: credit and money.
select
    project_id,
    conversion_date as report_date,
    model,
    source,
    medium,
    campaign,
    channel,
    currency,
    cast(sum(credit_nano) as decimal(38, 0)) as credit_nano,
    {{ of_nano('sum(credit_nano)') }} as conversions,
    cast({{ sum_exact('credited_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    reporting_currency,
    {{ reporting_sum('reporting_credited_amount_minor', 'credited_amount_minor') }}
        as reporting_net_amount_minor
from {{ ref('fct_attribution') }}
group by project_id, conversion_date, model, source, medium, campaign, channel, currency, reporting_currency
