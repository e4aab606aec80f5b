-- One row per identifier and person, from one moment until another: whose it is, and what linked it to them.
-- depends_on: {{ ref('int_people_in_work') }}
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with identifiers as (
    select * from {{ ref('int_identifiers') }}
),

strong_id_people as (
    select * from {{ ref('int_strong_id_people') }}
),

links as (
    select * from {{ ref('int_strong_id_links') }}
),

visitor_people as (
    select * from {{ ref('int_visitor_people') }}
),

links_both_ways as (
    select
        strong_id,
        linked_id,
        linked_by,
        event_id,
        occurred_us,
        seq
    from links
    union all
    select
        linked_id as strong_id,
        strong_id as linked_id,
        linked_by,
        event_id,
        occurred_us,
        seq
    from links
),

first_links as (
    select
        *,
        row_number() over (partition by strong_id order by occurred_us, seq, linked_id) as link_number
    from links_both_ways
),

resolved as (
    select
        identifiers.*,
        coalesce(strong_id_people.person_id, identifiers.identifier_id) as person_id,
        cast(null as bigint) as from_us,
        cast(null as bigint) as until_us,
        -- The id that names the person needs no link.
        case
            when strong_id_people.person_id <> identifiers.identifier_id then first_links.linked_by
        end as linked_by,
        case
            when strong_id_people.person_id <> identifiers.identifier_id then first_links.linked_id
        end as linked_to,
        case
            when strong_id_people.person_id <> identifiers.identifier_id then first_links.event_id
        end as linked_event_id
    from identifiers
    left join strong_id_people on identifiers.identifier_id = strong_id_people.strong_id
    left join first_links
        on identifiers.identifier_id = first_links.strong_id and first_links.link_number = 1
    where identifiers.id_type <> 'visitor'
    union all
    select
        identifiers.*,
        coalesce(visitor_people.person_id, identifiers.identifier_id) as person_id,
        nullif(visitor_people.from_us, 0) as from_us,
        nullif(visitor_people.until_us, {{ end_of_time_us() }}) as until_us,
        visitor_people.linked_by,
        visitor_people.linked_to,
        visitor_people.event_id as linked_event_id
    from identifiers
    left join visitor_people
        on
            identifiers.project_id = visitor_people.project_id
            and identifiers.id_value = visitor_people.visitor_id
    where identifiers.id_type = 'visitor'
)

select
    {{ id_part('identifier_id') }} || coalesce(':' || linked_event_id, '') as identifier_person_id,
    identifier_id,
    project_id,
    id_type,
    id_value,
    person_id,
    {{ utc_timestamp('from_us') }} as valid_from,
    {{ utc_timestamp('until_us') }} as valid_until,
    coalesce(linked_by, 'own') as linked_by,
    linked_to,
    linked_event_id,
    {{ utc_timestamp('first_us') }} as first_seen_at,
    {{ utc_timestamp('last_us') }} as last_seen_at,
    cast(events as bigint) as events
from resolved
