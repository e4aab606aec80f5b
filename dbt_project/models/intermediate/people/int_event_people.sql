-- One row per event: the visitor and the person that it belongs to.
with events as (
    select * from {{ ref('int_events') }}
),

visits_found as (
    -- A visit that the sender named itself, not one that we looked up by the visitor.
    select * from {{ ref('int_visits_found') }}
    where matched_by in ('hit', 'session')
),

page_views as (
    select * from {{ ref('int_page_views') }}
),

placed as (
    select
        events.project_id,
        events.seq,
        events.event_id,
        events.occurred_us,
        events.session_id,
        events.user_id,
        coalesce(page_views.visitor_id, events.visitor_id) as visitor_id,
        visits_found.page_view_seq
    from events
    left join visits_found on events.seq = visits_found.seq
    left join page_views on visits_found.page_view_seq = page_views.seq
),

identified as (
    -- An anonymous event goes to the user last identified on its visitor before it, else first after it.
    -- With one user on the visitor both are that user: the login counts retroactively.
    select
        *,
        coalesce(
            user_id,
            last_value(user_id ignore nulls) over (
                partition by project_id, visitor_id
                order by occurred_us, seq
                rows between unbounded preceding and current row
            ),
            first_value(user_id ignore nulls) over (
                partition by project_id, visitor_id
                order by occurred_us, seq
                rows between current row and unbounded following
            )
        ) as owner_id
    from placed
    where visitor_id is not null
    union all
    select
        *,
        user_id as owner_id
    from placed
    where visitor_id is null
),

resolved as (
    select
        *,
        project_id || '/' || case
            when owner_id is not null then 'user:' || owner_id
            when visitor_id is not null then 'visitor:' || visitor_id
            when session_id is not null then 'session:' || session_id
            else 'event:' || event_id
        end as person_id
    from identified
)

select
    report.seq,
    report.project_id,
    report.visitor_id,
    -- Who the sender names, else whoever made the visit that it names.
    case
        when report.user_id is null then coalesce(visit.person_id, report.person_id)
        else report.person_id
    end as person_id,
    report.owner_id is not null as is_user_known
from resolved as report
left join resolved as visit on report.page_view_seq = visit.seq
