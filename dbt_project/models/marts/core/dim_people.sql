-- One row per person: everyone to whom an event or an identifier belongs.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with events as (
    select * from {{ ref('int_events_in_work') }}
),

event_people as (
    select * from {{ ref('int_event_people') }}
    where not is_void
),

identifiers as (
    select * from {{ ref('dim_identifiers') }}
    where {{ is_among('person_id', ref('int_people_in_work')) }}
),

active as (
    select
        event_people.project_id,
        event_people.person_id,
        {{ utc_timestamp('min(events.occurred_us)') }} as first_seen_at,
        {{ utc_timestamp('max(events.occurred_us)') }} as last_seen_at,
        count(*) as events
    from event_people
    inner join events on event_people.seq = events.seq
    group by event_people.project_id, event_people.person_id
),

identified as (
    select
        project_id,
        person_id,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        count(distinct case when id_type = 'user' then identifier_id end) as users,
        count(distinct case when id_type in ('email', 'phone') then identifier_id end) as hashed_ids,
        count(distinct case when id_type = 'visitor' then identifier_id end) as visitors
    from identifiers
    group by project_id, person_id
),

people as (
    select
        coalesce(active.project_id, identified.project_id) as project_id,
        coalesce(active.person_id, identified.person_id) as person_id,
        -- A shared visitor's times are not this person's: they stand in only where it has no event.
        coalesce(active.first_seen_at, identified.first_seen_at) as first_seen_at,
        coalesce(active.last_seen_at, identified.last_seen_at) as last_seen_at,
        coalesce(active.events, 0) as events,
        coalesce(identified.users, 0) as users,
        coalesce(identified.hashed_ids, 0) as hashed_ids,
        coalesce(identified.visitors, 0) as visitors
    from active
    full join identified
        on active.project_id = identified.project_id and active.person_id = identified.person_id
),

named as (
    select
        *,
        {{ part_matching('person_id', "'^[^/]*/([a-z]+):'", 1) }} as id_type
    from people
)

select
    person_id,
    project_id,
    id_type,
    substring(person_id, length(project_id) + length(id_type) + 3) as id_value,
    id_type in ('user', 'email', 'phone') as is_user_known,
    first_seen_at,
    last_seen_at,
    cast(events as bigint) as events,
    cast(users as bigint) as users,
    cast(hashed_ids as bigint) as hashed_ids,
    cast(visitors as bigint) as visitors
from named
