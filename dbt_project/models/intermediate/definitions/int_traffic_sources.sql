-- One row per source, or medium of one, that a project has defined: its label, if paid for, its click ids.
with read as (
    select
        seq,
        project_id,
        {{ lower_case(trimmed(json_value('body', "'source'"))) }} as source,
        {{ lower_case(trimmed(json_value('body', "'medium'"))) }} as medium,
        {{ json_value('body', "'name'") }} as name,
        {{ json_value('body', "'is_paid'") }} = 'true' as is_paid,
        nullif({{ json_value('body', "'click_id_param'") }}, '') as click_id_param
    from {{ ref('int_definitions') }}
    where kind = 'traffic_source' and not is_deleted
),

numbered as (
    select
        *,
        row_number() over (partition by project_id, source, medium order by seq desc) as recency
    from read
)

select
    project_id,
    source,
    medium,
    name,
    is_paid,
    click_id_param
from numbered
-- Of two that say the same origin, what was put last.
where recency = 1
