-- One row per page view or browser event that lies in a session; the session is named by its first page view.
with events as (
    select * from {{ ref('int_events_in_work') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

activities as (
    -- Page views open sessions, other browser events extend them, server events do neither.
    select
        events.seq,
        events.project_id,
        events.occurred_us,
        events.session_id,
        projects.session_gap_us,
        events.kind = 'visit' as is_page_view,
        people.person_id,
        people.visitor_id,
        coalesce(people.visitor_id, people.person_id) as device,
        coalesce(events.session_id, '') as sender_session
    from events
    inner join people on events.seq = people.seq
    inner join projects on events.project_id = projects.project_id
    where
        events.kind = 'visit'
        or (events.sender = 'browser' and events.kind in ('event', 'conversion', 'identify'))
),

gaps as (
    select
        *,
        occurred_us - lag(occurred_us) over (
            partition by project_id, device, sender_session order by occurred_us, seq
        ) as idle_us,
        lag(person_id) over (
            partition by project_id, device, sender_session order by occurred_us, seq
        ) as previous_person_id
    from activities
),

opened as (
    select
        *,
        case
            when idle_us is null then 1
            when person_id <> previous_person_id then 1
            when session_id is null and idle_us > session_gap_us then 1
            -- A session that the sender named goes on until the sender names another, or for a day.
            when idle_us > {{ hours_us(var('sender_session_idle_hours')) }} then 1
            else 0
        end as opens_run
    from gaps
),

in_runs as (
    -- A run is named by what opened it: one number, which sorts sooner than what it stands for.
    select
        *,
        {{ latest_known('case when opens_run = 1 then seq end') }} over (
            partition by project_id, device, sender_session order by occurred_us, seq
            rows between unbounded preceding and current row
        ) as run_seq
    from opened
),

named as (
    select
        *,
        first_value(case when is_page_view then seq end) over (
            partition by run_seq
            order by case when is_page_view then 0 else 1 end, occurred_us, seq
            rows between unbounded preceding and current row
        ) as first_page_view_seq
    from in_runs
)

select
    seq,
    project_id,
    person_id,
    visitor_id,
    session_id,
    occurred_us,
    is_page_view,
    first_page_view_seq
from named
where first_page_view_seq is not null
