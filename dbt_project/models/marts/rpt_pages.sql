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
    cast(sum(counted.views) as bigint) as views,
    cast(sum(counted.conversions) as bigint) as conversions,
    cast(sum(counted.net_amount_minor) as bigint) as net_amount_minor,
    cast(sum(counted.assisted_conversions) as bigint) as assisted_conversions,
    cast(sum(counted.assisted_amount_minor) as bigint) as assisted_amount_minor
from counted
left join pages on counted.project_id = pages.project_id and counted.page_id = pages.page_id
group by
    counted.project_id,
    counted.report_date,
    counted.page_id,
    pages.name,
    pages.page_kind,
    counted.currency
