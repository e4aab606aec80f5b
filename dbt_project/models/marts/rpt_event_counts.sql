-- One row per project, day, type of event, name and page path: what the rule of a goal would pick there.
with events as (
    select
        *,
        {{ event_type('kind') }} as event_type,
        {{ url_path('url') }} as page_path
    from {{ ref('int_events') }}
    where kind in ('visit', 'event', 'conversion', 'identify')
),

projects as (
    select * from {{ ref('int_projects') }}
),

reports as (
    select
        conversion_reports.seq,
        conversions.conversion_id,
        conversions.state
    from {{ ref('int_conversion_reports') }} as conversion_reports
    left join {{ ref('int_conversions') }} as conversions
        on conversion_reports.conversion_id = conversions.conversion_id
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
        events.seq,
        events.occurred_us,
        events.event_type,
        events.name,
        events.page_path,
        {{ project_date('events.occurred_us', 'projects.time_zone') }} as event_date,
        -- As goals count: reports of a conversion once, page views once in their session.
        case
            when reports.conversion_id is not null then 'conversion:' || reports.conversion_id
            when events.kind = 'visit' and sessions.session_id is not null
                then 'session:' || sessions.session_id
            else 'event:' || events.event_key
        end as completed_by
    from events
    inner join projects on events.project_id = projects.project_id
    left join reports on events.seq = reports.seq
    left join activities on events.seq = activities.seq
    left join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    -- A rejected conversion completes nothing, nor does a bot; but a conversion always counts.
    where
        case
            when reports.seq is not null then coalesce(reports.state, 'rejected') <> 'rejected'
            else not coalesce(sessions.is_bot, false)
        end
),

numbered as (
    select
        *,
        row_number() over (
            partition by project_id, event_type, name, page_path, completed_by order by occurred_us, seq
        ) as completion_number
    from counted
)

select
    project_id,
    event_date,
    event_type,
    name,
    page_path,
    count(*) as events,
    cast(sum(case when completion_number = 1 then 1 else 0 end) as bigint) as completions
from numbered
group by project_id, event_date, event_type, name, page_path
