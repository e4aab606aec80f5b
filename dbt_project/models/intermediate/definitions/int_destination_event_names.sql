-- One row per destination and event name or goal of ours that it calls otherwise.
with defined as (
    select
        project_id,
        key as destination_id,
        {{ json_value('body', "'event_names'") }} as event_names
    from {{ ref('int_definitions') }}
    where kind = 'destination' and not is_deleted
),

named as (
    select
        *,
        {{ each_json_key('event_names', var('event_names_at_most')) }} as our_name
    from defined
    where {{ is_json('event_names') }}
)

select
    project_id,
    destination_id,
    our_name,
    {{ json_value('event_names', 'our_name') }} as event_name
from named
where {{ json_value('event_names', 'our_name') }} <> ''
