-- One row per key that any event ever had: the first event with it.
{{ config(materialized='incremental', kept_by='seq', replaces='new') }}
with firsts as (
    select
        project_id,
        key_type,
        key_number,
        min(seq) as seq
    from {{ ref('int_event_keys') }}
    group by project_id, key_type, key_number
)

select
    firsts.project_id,
    firsts.key_type,
    firsts.key_number,
    firsts.seq
from firsts
{% if is_incremental_build() %}
where
    not exists (
        select 1
        from {{ as_before('int_known_keys') }} as earlier
        where
            earlier.project_id = firsts.project_id
            and earlier.key_type = firsts.key_type
            and earlier.key_number = firsts.key_number
            and not {{ is_new('earlier.seq') }}
    )
{% endif %}
