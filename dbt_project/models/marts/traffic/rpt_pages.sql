-- One row per project, day, page and currency: views of it, conversions on it, and those that it assisted.
with counted as (
    select * from {{ ref('int_pages_counted') }}
),

pages as (
    select * from {{ ref('int_pages') }}
)

select
    counted.project_id,
    counted.report_date,
    counted.page_id,
    pages.name as page_name,
    pages.page_kind,
    counted.currency,
    count(case when counted.figure = 'view' then 1 end) as views,
    count(case when counted.figure = 'conversion' then 1 end) as conversions,
    cast({{ sum_exact(
        "case when counted.figure = 'conversion' then counted.amount_minor else 0 end"
    ) }} as decimal(38, 0)) as net_amount_minor,
    count(case when counted.figure = 'assisted_conversion' then 1 end) as assisted_conversions,
    cast({{ sum_exact(
        "case when counted.figure = 'assisted_conversion' then counted.amount_minor else 0 end"
    ) }} as decimal(38, 0)) as assisted_amount_minor,
    counted.reporting_currency,
    {{ reporting_sum(
        "case when counted.figure = 'conversion' then counted.reporting_amount_minor end",
        "case when counted.figure = 'conversion' then counted.amount_minor else 0 end"
    ) }} as reporting_net_amount_minor,
    {{ reporting_sum(
        "case when counted.figure = 'assisted_conversion' then counted.reporting_amount_minor end",
        "case when counted.figure = 'assisted_conversion' then counted.amount_minor else 0 end"
    ) }} as reporting_assisted_amount_minor
from counted
left join pages on counted.project_id = pages.project_id and counted.page_id = pages.page_id
group by
    counted.project_id,
    counted.report_date,
    counted.page_id,
    pages.name,
    pages.page_kind,
    counted.currency,
    counted.reporting_currency
