-- One row per event and id of it that links nothing, since it is no hash, or seen with too many users.
{{ config(materialized='incremental', kept_by='seq', replaces='int_work') }}
with crowded_visitors as (
    select * from {{ ref('int_visitor_people') }}
    where is_over_limit
),

sightings as (
    select
        seq,
        project_id,
        id_type,
        id_value,
        conflict,
        user_id,
        occurred_us,
        cast(null as bigint) as people
    from {{ ref('int_hashed_ids') }}
    where conflict is not null
    union all
    -- Only where an event names it: an alias may have, too.
    select
        event_ids.seq,
        event_ids.project_id,
        'visitor' as id_type,
        event_ids.visitor_id as id_value,
        'over_limit' as conflict,
        event_ids.user_id,
        event_ids.occurred_us,
        crowded_visitors.people
    from {{ ref('int_event_ids') }} as event_ids
    inner join crowded_visitors
        on
            event_ids.project_id = crowded_visitors.project_id
            and event_ids.visitor_id = crowded_visitors.visitor_id
)

select * from sightings
