-- One row per change of the strong id that is identified on a visitor.
with event_ids as (
    select * from {{ ref('int_event_ids') }}
    where strong_id is not null
),

events as (
    select * from {{ ref('int_events_in_work') }}
),

visits_found as (
    -- A visit that the sender named itself, not one that we looked up by the visitor.
    select * from {{ ref('int_visits_found') }}
    where is_named
),

page_views as (
    select * from {{ ref('int_page_views_in_work') }}
    where visitor_id is not null
),

aliases as (
    select * from {{ ref('int_aliases') }}
),

seen_on_visitor as (
    select
        project_id,
        visitor_id,
        strong_id,
        occurred_us,
        seq,
        event_id,
        'same_event' as linked_by
    from event_ids
    where visitor_id is not null
    union all
    -- Who names a visit owns its visitor.
    select
        event_ids.project_id,
        page_views.visitor_id,
        event_ids.strong_id,
        event_ids.occurred_us,
        event_ids.seq,
        event_ids.event_id,
        'visit' as linked_by
    from event_ids
    inner join visits_found on event_ids.seq = visits_found.seq
    inner join page_views on visits_found.page_view_seq = page_views.seq
    where page_views.visitor_id is distinct from event_ids.visitor_id
),

ordered as (
    -- The reports of one order count as one event: a status that changes later identifies nobody anew.
    select
        seen_on_visitor.*,
        row_number() over (
            partition by
                seen_on_visitor.project_id,
                seen_on_visitor.visitor_id,
                events.dialect,
                {{ order_key('events') }}
            order by seen_on_visitor.occurred_us, seen_on_visitor.seq
        ) as report_number
    from seen_on_visitor
    inner join events on seen_on_visitor.seq = events.seq
),

identified as (
    select
        project_id,
        visitor_id,
        strong_id,
        occurred_us,
        seq,
        event_id,
        linked_by
    from ordered
    where report_number = 1
    union all
    -- The previous id of an alias may be a visitor's.
    select
        project_id,
        previous_id as visitor_id,
        {{ identifier_id('user', 'user_id') }} as strong_id,
        occurred_us,
        seq,
        event_id,
        'alias' as linked_by
    from aliases
),

compared as (
    select
        *,
        lag(strong_id) over (
            partition by project_id, visitor_id order by occurred_us, seq, linked_by
        ) as previous_strong_id
    from identified
)

select
    project_id,
    visitor_id,
    strong_id,
    occurred_us as from_us,
    seq as from_seq,
    event_id,
    linked_by
from compared
where strong_id is distinct from previous_strong_id
