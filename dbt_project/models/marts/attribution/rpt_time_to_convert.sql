-- One row per project, day, days and touches to the conversion, and currency: conversions and money.
with paths as (
    select
        *,
        {{ whole_days('way_us') }} as days_to_convert
    from {{ ref('int_conversion_paths') }}
)

select
    project_id,
    conversion_date as report_date,
    days_to_convert,
    touches,
    currency,
    count(*) as conversions,
    cast({{ sum_exact('net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    reporting_currency,
    {{ reporting_sum('reporting_net_amount_minor', 'net_amount_minor') }} as reporting_net_amount_minor
from paths
group by project_id, conversion_date, days_to_convert, touches, currency, reporting_currency
