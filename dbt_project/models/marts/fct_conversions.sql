-- One row per conversion after deduplication, whatever its state; rejected ones count nowhere.
select
    conversion_id,
    project_id,
    person_id,
    name,
    goal_id,
    transaction_id,
    dialect,
    {{ utc_timestamp('occurred_us') }} as occurred_at,
    {{ project_date('occurred_us') }} as conversion_date,
    state,
    status,
    matched_by,
    session_id,
    country,
    currency,
    amount_minor,
    cast(refunded_minor as bigint) as refunded_minor,
    cast(net_amount_minor as bigint) as net_amount_minor,
    reports,
    event_id
from {{ ref('int_conversions') }}
