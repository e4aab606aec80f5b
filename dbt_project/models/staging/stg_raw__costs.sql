-- One row per report of ad spend, as it was sealed.
with sealed as (
    select * from {{ record('costs') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,
    project_id,
    received_us,
    day,

    -- what was paid
    source,
    medium,
    campaign,

    -- money
    amount_text,
    currency
from sealed
where filename not in (select filename from superseded)
