-- One row per person, day, type of event, name and page path: what the rule of a goal could pick there.
with events as (
    select * from {{ ref('int_events') }}
    where kind in ('visit', 'event', 'conversion', 'identify')
),

projects as (
    select * from {{ ref('int_projects') }}
),

page_views as (
    select * from {{ ref('int_page_views') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

reports as (
    select * from {{ ref('int_conversion_reports') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

counted as (
    select
        events.project_id,
        events.name,
        page_views.page_path,
        {{ event_type('events.kind') }} as event_type,
        {{ project_date('events.occurred_us', 'projects.time_zone') }} as event_date,
        coalesce(conversions.person_id, people.person_id) as person_id,
        -- As goals count: reports of a conversion once, page views once in their session.
        coalesce(
            conversions.seq,
            case when events.kind = 'visit' then activities.first_page_view_seq end,
            events.seq
        ) as completed_by
    from events
    inner join projects on events.project_id = projects.project_id
    inner join people on events.seq = people.seq
    left join page_views on events.seq = page_views.seq
    left join reports on events.seq = reports.seq
    left join conversions on reports.conversion_id = conversions.conversion_id
    left join activities on events.seq = activities.seq
    left join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    -- A rejected conversion completes nothing, nor does a bot; but a conversion always counts.
    where
        case
            when reports.seq is not null then coalesce(conversions.state, 'rejected') <> 'rejected'
            else not coalesce(sessions.is_bot, false)
        end
)

select
    project_id,
    person_id,
    event_date,
    event_type,
    name,
    page_path,
    count(*) as events,
    count(distinct completed_by) as completions
from counted
group by project_id, person_id, event_date, event_type, name, page_path
