-- One row per version of a definition, as it was sealed, and why no rule can use it.
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
    body,
    case
        when {{ text_bytes('body') }} > {{ var('definition_bytes') }} then 'too_long'
        when {{ text_bytes('key') }} > {{ var('id_bytes') }} then 'id_too_long'
        when not {{ is_json('body') }} then 'no_json'
    end as set_aside_reason
from sealed
where filename not in (select filename from superseded)
