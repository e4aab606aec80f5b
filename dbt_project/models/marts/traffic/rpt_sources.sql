-- One row per project, day, source, medium, campaign, channel and currency: sessions and conversions.
select
    project_id,
    report_date,
    source,
    medium,
    campaign,
    channel,
    currency,
    cast(sum(sessions) as bigint) as sessions,
    cast(round(sum(credit_nano) / 1000000000) as bigint) as conversions,
    cast(round(sum(pending_credit_nano) / 1000000000) as bigint) as pending_conversions,
    cast({{ sum_exact('net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    reporting_currency,
    {{ reporting_sum('reporting_net_amount_minor', 'net_amount_minor') }} as reporting_net_amount_minor
from {{ ref('rpt_traffic') }}
group by project_id, report_date, source, medium, campaign, channel, currency, reporting_currency
