-- One row per accepted report, as it was sealed.
with sealed as (
    -- From the name at once: engines then leave files closed that end before what is asked for.
    select
        *,
        {{ file_position('filename', 'last') }} as file_last_seq
    from {{ record('events') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
),

quarantined as (
    select * from {{ ref('quarantined_events') }}
)

select
    sealed.seq,
    file_last_seq,

    -- what it is
    event_id,
    project_id,
    dialect,
    dialect_version,
    sender,
    kind,
    sealed.received_us,
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
-- A report is told by both, so that a list of another house's leaves nothing out here.
left join quarantined
    on sealed.seq = quarantined.seq and sealed.received_us is not distinct from quarantined.received_us
where
    sealed.filename not in (select superseded.filename from superseded)
    and quarantined.seq is null
