-- One row per thing that could not be accepted, as it was sealed, without what was sent.
with sealed as (
    select * from {{ record('rejected') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,
    project_id,
    {{ cut_to_bytes('path', var('id_bytes')) }} as path,
    received_us,
    {{ cut_to_bytes('reason', var('id_bytes')) }} as reason,
    sender
from sealed
where filename not in (select filename from superseded)
