-- One row per accepted report, as it was sealed.
with sealed as (
    select * from {{ source('raw', 'events') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,

    -- what it is
    event_id,
    project_id,
    dialect,
    dialect_version,
    sender,
    kind,
    received_us,
    occurred_us,
    name,
    goal_id,

    -- identifiers
    hit_id,
    session_id,
    visitor_id,
    user_id,
    previous_id,
    click_id,
    click_id_type,
    alias_type,
    alias_value,

    -- web
    url,
    referrer,
    page_id,
    page_kind,
    country,
    user_agent,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,

    -- money and conversion
    amount_text,
    amount_unit,
    currency,
    transaction_id,
    status,
    forwardable,

    -- JSON
    experiments,
    properties,
    payload
from sealed
where filename not in (select filename from superseded)
