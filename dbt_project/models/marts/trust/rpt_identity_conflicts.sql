-- One row per id that links nothing, and why: it is junk, no hash, or seen with too many users.
with sightings as (
    select
        project_id,
        id_type,
        id_value,
        'junk' as conflict,
        user_id,
        occurred_us,
        cast(null as bigint) as people
    from {{ ref('int_junk_ids_seen') }}
    where seq in (select seq from {{ ref('int_events') }})
    union all
    select
        project_id,
        id_type,
        id_value,
        conflict,
        user_id,
        occurred_us,
        people
    from {{ ref('int_identity_conflicts') }}
)

select
    project_id,
    id_type,
    id_value,
    conflict,
    count(*) as events,
    -- Users of a visitor are counted after they are merged into people.
    cast(coalesce(max(people), count(distinct user_id)) as bigint) as users,
    {{ utc_timestamp('min(occurred_us)') }} as first_seen_at,
    {{ utc_timestamp('max(occurred_us)') }} as last_seen_at
from sightings
group by project_id, id_type, id_value, conflict
