-- One row per count of a field that nothing reads, as it was sealed.
with sealed as (
    select * from {{ record('unread_fields') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,
    project_id,
    received_us,
    {{ cut_to_bytes('name', var('word_bytes')) }} as name,
    occurrences
from sealed
where filename not in (select filename from superseded)
