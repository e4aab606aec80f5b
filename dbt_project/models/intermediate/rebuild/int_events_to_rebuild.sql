-- One row per event that the people to be rebuilt depend on: theirs, and what theirs are connected with.
{% set events, people = ref('int_events_deduplicated'), ref('int_people_to_rebuild') %}
{% set event_people, visits_found = ref('int_event_people_resolved'), ref('int_visits_looked_up') %}
{% set page_views = ref('int_page_views_classified') %}
{% if is_scoped() %}
with theirs as (
    select
        seq,
        project_id,
        visitor_id
    from {{ event_people }}
    where person_id in (select person_id from {{ people }})
),

on_visitors as (
    -- Sessions are cut from all that happened on a visitor.
    select seq from theirs
    union
    select seq from {{ event_people }}
    where (project_id, visitor_id) in (
        select
            project_id,
            visitor_id
        from theirs
    )
),

with_reports as (
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
    select seq from with_reports
    union
    select seq from {{ events }} as events
    where (project_id, {{ order_mark('events') }}) in (
        select
            project_id,
            order_mark
        from marks
    )
),

visits as (
    -- Another person's session, where one of these names it or lies in it, is needed as a whole.
    select
        seq,
        project_id,
        visitor_id,
        case when visitor_id is null then person_id end as lone_person_id
    from {{ event_people }}
    where
        seq in (select seq from with_orders)
        or seq in (
            select page_view_seq from {{ visits_found }}
            where seq in (select seq from with_orders)
        )
)

select seq from visits
union
select seq from {{ event_people }}
where
    (project_id, visitor_id) in (
        select
            project_id,
            visitor_id
        from visits
    )
    or person_id in (select lone_person_id from visits)
union
-- An ad click that an order names makes a touch of its own only where no page view carried it.
select seq from {{ page_views }}
where (project_id, click_id_type, click_id) in (
    select
        project_id,
        click_id_type,
        click_id
    from {{ events }}
    where click_id is not null and seq in (select seq from with_orders)
)
{% else %}
select cast(null as bigint) as seq
where false
{% endif %}
