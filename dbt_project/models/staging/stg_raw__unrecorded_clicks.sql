-- One row per count of clicks on a link that were not recorded, as it was sealed.
with sealed as (
    select * from {{ record('unrecorded_clicks') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,
    project_id,
    received_us,
    {{ cut_to_bytes('link_id', var('word_bytes')) }} as link_id,
    reason,
    occurrences
from sealed
where filename not in (select filename from superseded)
