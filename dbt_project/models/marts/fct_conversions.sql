-- One row per conversion after deduplication, whatever its state; rejected ones count nowhere.
with conversions as (
    select * from {{ ref('int_conversions') }}
),

projects as (
    select * from {{ ref('int_projects') }}
)

select
    conversions.conversion_id,
    conversions.project_id,
    conversions.person_id,
    conversions.name,
    conversions.goal_id,
    conversions.transaction_id,
    conversions.dialect,
    {{ utc_timestamp('conversions.occurred_us') }} as occurred_at,
    {{ project_date('conversions.occurred_us', 'projects.time_zone') }} as conversion_date,
    conversions.state,
    conversions.status,
    conversions.matched_by,
    conversions.unmatched_reason,
    conversions.has_other_page_kind,
    conversions.session_id,
    conversions.country,
    conversions.currency,
    conversions.amount_minor,
    cast(conversions.refunded_minor as bigint) as refunded_minor,
    cast(conversions.net_amount_minor as bigint) as net_amount_minor,
    conversions.reports,
    conversions.event_id
from conversions
inner join projects on conversions.project_id = projects.project_id
