-- One row per goal and conversion, session or event that completed it.
with goals_matched as (
    select * from {{ ref('int_goals_matched') }}
),

goals as (
    select * from {{ ref('int_goals') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

events as (
    select * from {{ ref('int_events') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

conversion_reports as (
    select * from {{ ref('int_conversion_reports') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

visits_found as (
    select * from {{ ref('int_visits_found') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

completed as (
    select
        events.project_id,
        goals_matched.goal_id,
        events.seq,
        events.event_id,
        events.occurred_us,
        conversion_reports.conversion_id,
        coalesce(conversions.person_id, people.person_id) as person_id,
        coalesce(conversions.session_id, sessions.session_id) as session_id,
        -- Reports of one conversion complete a goal once; so do the page views of one session.
        case
            when conversion_reports.conversion_id is not null then conversion_reports.conversion_id
            when
                events.kind = 'visit' and sessions.session_id is not null
                then 'session:' || sessions.session_id
            else 'event:' || events.event_key
        end as completed_by
    from goals_matched
    inner join events on goals_matched.seq = events.seq
    inner join people on goals_matched.seq = people.seq
    left join conversion_reports on goals_matched.seq = conversion_reports.seq
    left join conversions on conversion_reports.conversion_id = conversions.conversion_id
    left join activities on goals_matched.seq = activities.seq
    left join visits_found on goals_matched.seq = visits_found.seq
    left join activities as found_activity on visits_found.page_view_seq = found_activity.seq
    left join sessions
        on
            coalesce(activities.first_page_view_seq, found_activity.first_page_view_seq)
            = sessions.first_page_view_seq
    -- A rejected conversion completes nothing, nor does a refund or a bot; but a conversion always counts.
    where
        case
            when conversion_reports.conversion_id is not null
                then coalesce(conversions.state, 'rejected') <> 'rejected'
            else not coalesce(sessions.is_bot, false)
        end
),

numbered as (
    select
        *,
        row_number() over (
            partition by project_id, goal_id, completed_by order by occurred_us, seq
        ) as completion_number
    from completed
)

select
    numbered.project_id || '/' || numbered.goal_id || '/' || numbered.completed_by as completion_id,
    numbered.project_id,
    numbered.goal_id,
    numbered.person_id,
    numbered.session_id,
    numbered.conversion_id,
    numbered.event_id,
    {{ utc_timestamp('numbered.occurred_us') }} as completed_at,
    {{ project_date('numbered.occurred_us', 'projects.time_zone') }} as completion_date,
    -- A goal that only a sender names is a goal all the same.
    coalesce(goals.is_micro, false) as is_micro,
    goals.stage
from numbered
inner join projects on numbered.project_id = projects.project_id
left join goals on numbered.project_id = goals.project_id and numbered.goal_id = goals.goal_id
where numbered.completion_number = 1
