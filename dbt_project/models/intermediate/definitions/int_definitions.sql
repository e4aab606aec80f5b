-- One row per definition put over the API: its latest usable version, which may be its deletion.
with numbered as (
    select
        *,
        count(*) over (partition by project_id, kind, key) as version,
        row_number() over (partition by project_id, kind, key order by seq desc) as recency
    from {{ ref('stg_raw__definitions') }}
    where set_aside_reason is null
)

select
    seq,
    project_id,
    kind,
    key,
    version,
    received_us,
    body,
    body is null as is_deleted
from numbered
where recency = 1
