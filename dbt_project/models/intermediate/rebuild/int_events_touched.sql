-- One row per event of which something may differ from the last publication, because another one changed.
{% set events, changed = ref('int_events_deduplicated'), ref('int_events_to_resolve') %}
{% set visits_found, redefined = ref('int_visits_looked_up'), ref('int_events_redefined') %}
{% set event_ids, strong_id_people = ref('int_event_ids'), ref('int_strong_id_people') %}
{% if is_scoped() %}
with visitors as (
    select distinct
        project_id,
        visitor_id
    from {{ events }}
    where visitor_id is not null and seq in (select seq from {{ changed }})
),

lone_people as (
    -- What happened on no visitor is in its person's sessions: whose it was, and whose it is now.
    select person_id from {{ as_before('int_event_people_resolved') }}
    where visitor_id is null and seq in (select seq from {{ changed }})
    union
    select coalesce(strong_id_people.person_id, event_ids.strong_id, event_ids.lone_person_id) as person_id
    from {{ event_ids }} as event_ids
    left join {{ strong_id_people }} as strong_id_people on event_ids.strong_id = strong_id_people.strong_id
    where event_ids.visitor_id is null and event_ids.seq in (select seq from {{ changed }})
),

on_visitors as (
    -- Sessions are cut from all that happened on a visitor, or to a person on none.
    select seq from {{ changed }}
    union
    select seq from {{ redefined }}
    union
    select seq from {{ as_before('int_event_people_resolved') }}
    where (project_id, visitor_id) in (
        select
            project_id,
            visitor_id
        from visitors
    )
    union
    select seq from {{ as_before('int_event_people_resolved') }}
    where visitor_id is null and person_id in (select person_id from lone_people)
),

with_reports as (
    -- What names a visit there takes its session and its touches.
    select seq from on_visitors
    union
    select seq from {{ visits_found }}
    where page_view_seq in (select seq from on_visitors)
),

marks as (
    select distinct
        project_id,
        {{ order_mark('events') }} as order_mark
    from {{ events }} as events
    where {{ order_mark('events') }} is not null and seq in (select seq from with_reports)
),

with_orders as (
    -- Reports and refunds of one order decide together what it is, whose, and what it is worth.
    select seq from with_reports
    union
    select seq from {{ events }} as events
    where (project_id, {{ order_mark('events') }}) in (
        select
            project_id,
            order_mark
        from marks
    )
)

select seq from with_orders
union
-- A touch that an order names is in no other journey of its person.
select page_view_seq as seq from {{ visits_found }}
where page_view_seq is not null and seq in (select seq from with_orders)
{% else %}
select cast(null as bigint) as seq
where false
{% endif %}
