-- One row per version of a definition, as it was sealed.
with sealed as (
    select * from {{ record('definitions') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,
    project_id,
    kind,
    key,
    received_us,
    body
from sealed
where filename not in (select filename from superseded)
