-- One row per id that links nothing, and why: it is junk, no hash, or seen with too many users.
{% set identifiers = ['visitor_id', 'user_id', 'previous_id', 'hit_id', 'session_id', 'click_id'] %}
with events as (
    select * from {{ ref('int_events') }}
),

reports as (
    -- What the sender said, before junk was left out.
    select
        reports.*,
        events.occurred_us as believed_us,
        events.user_id as known_user_id
    from {{ ref('stg_raw__events') }} as reports
    inner join events on reports.seq = events.seq
    where events.has_junk_id
),

junk as (
    select * from {{ ref('junk_ids') }}
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

said as (
    {% for identifier in identifiers %}
    select
        project_id,
        '{{ identifier[:-3] }}' as id_type,
        lower(trim({{ identifier }})) as id_value,
        known_user_id as user_id,
        believed_us as occurred_us
    from reports
    where {{ identifier }} is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

sightings as (
    select
        said.project_id,
        said.id_type,
        said.id_value,
        'junk' as conflict,
        said.user_id,
        said.occurred_us
    from said
    left join junk on said.id_value = junk.junk_id
    where junk.junk_id is not null or said.id_value = ''
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
