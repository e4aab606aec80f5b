-- One row per id that links nothing, and why: it is junk, no hash, or seen with too many users.
with junk_ids_seen as (
    select * from {{ ref('int_junk_ids_seen') }}
),

hashed_ids as (
    select * from {{ ref('int_hashed_ids') }}
    where conflict is not null
),

crowded_visitors as (
    select * from {{ ref('int_visitor_people') }}
    where is_over_limit
),

visitors as (
    select * from {{ ref('int_identifiers') }}
    where id_type = 'visitor'
),

sightings as (
    select
        project_id,
        id_type,
        id_value,
        'junk' as conflict,
        user_id,
        occurred_us
    from junk_ids_seen
    union all
    select
        project_id,
        id_type,
        id_value,
        conflict,
        user_id,
        occurred_us
    from hashed_ids
),

conflicts as (
    select
        project_id,
        id_type,
        id_value,
        conflict,
        count(*) as events,
        count(distinct user_id) as users,
        min(occurred_us) as first_us,
        max(occurred_us) as last_us
    from sightings
    group by project_id, id_type, id_value, conflict
    union all
    select
        crowded_visitors.project_id,
        'visitor' as id_type,
        crowded_visitors.visitor_id as id_value,
        'over_limit' as conflict,
        visitors.events,
        crowded_visitors.people as users,
        visitors.first_us,
        visitors.last_us
    from crowded_visitors
    -- Only an alias may have named it as a visitor.
    inner join visitors
        on
            crowded_visitors.project_id = visitors.project_id
            and crowded_visitors.visitor_id = visitors.id_value
)

select
    project_id,
    id_type,
    id_value,
    conflict,
    cast(events as bigint) as events,
    cast(users as bigint) as users,
    {{ utc_timestamp('first_us') }} as first_seen_at,
    {{ utc_timestamp('last_us') }} as last_seen_at
from conflicts
