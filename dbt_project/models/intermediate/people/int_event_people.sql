-- One row per event: the visitor and the person that it belongs to.
with event_ids as (
    select * from {{ ref('int_event_ids') }}
),

strong_id_people as (
    select * from {{ ref('int_strong_id_people') }}
),

visitor_people as (
    select * from {{ ref('int_visitor_people') }}
),

visits_found as (
    -- A visit that the sender named itself, not one that we looked up by the visitor.
    select * from {{ ref('int_visits_found') }}
    where is_named
),

anonymous as (
    select
        project_id,
        visitor_id,
        occurred_us,
        seq
    from event_ids
    where strong_id is null and visitor_id is not null
),

timeline as (
    -- Spans follow each other without a gap, so an event lies in the last that has begun. Not joined by their
    -- bounds: whoever signs in by turns would have as many spans as events.
    select
        project_id,
        visitor_id,
        from_us as occurred_us,
        from_seq as seq,
        true as is_span,
        person_id,
        is_over_limit
    from visitor_people
    where (project_id, visitor_id) in (
        select
            project_id,
            visitor_id
        from anonymous
    )
    union all
    select
        project_id,
        visitor_id,
        occurred_us,
        seq,
        false as is_span,
        cast(null as string) as person_id,
        cast(null as boolean) as is_over_limit
    from anonymous
),

carried as (
    select
        seq,
        is_span,
        {{ latest_known('person_id') }} over (
            partition by project_id, visitor_id order by occurred_us asc, seq asc, is_span desc
            rows between unbounded preceding and current row
        ) as person_id,
        {{ latest_known('is_over_limit') }} over (
            partition by project_id, visitor_id order by occurred_us asc, seq asc, is_span desc
            rows between unbounded preceding and current row
        ) as is_over_limit
    from timeline
),

owned as (
    -- Whose the visitor of an anonymous event was at that moment.
    select
        seq,
        person_id,
        is_over_limit
    from carried
    where not is_span and person_id is not null
),

resolved as (
    -- Who it names, else whose its visitor was at that moment.
    select
        event_ids.seq,
        event_ids.project_id,
        event_ids.visitor_id,
        event_ids.strong_id,
        coalesce(
            strong_id_people.person_id,
            event_ids.strong_id,
            owned.person_id,
            {{ identifier_id('visitor', 'event_ids.visitor_id', 'event_ids.project_id') }},
            event_ids.lone_person_id
        ) as person_id,
        event_ids.strong_id is not null or coalesce(not owned.is_over_limit, false) as is_user_known,
        event_ids.is_void
    from event_ids
    left join strong_id_people on event_ids.strong_id = strong_id_people.strong_id
    left join owned on event_ids.seq = owned.seq
)

select
    report.seq,
    report.project_id,
    coalesce(visit.visitor_id, report.visitor_id) as visitor_id,
    -- Who it names, else whoever made the visit that it names.
    case
        when report.strong_id is null and visit.seq is not null then visit.person_id
        else report.person_id
    end as person_id,
    case
        when report.strong_id is null and visit.seq is not null then visit.is_user_known
        else report.is_user_known
    end as is_user_known,
    report.is_void
from resolved as report
left join visits_found on report.seq = visits_found.seq
left join resolved as visit on visits_found.page_view_seq = visit.seq
