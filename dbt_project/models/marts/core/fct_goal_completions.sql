-- One row per goal and conversion, session or event that completed it.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with goals_matched as (
    select * from {{ ref('int_goals_matched') }}
),

goals as (
    select * from {{ ref('int_goals') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

events_counted as (
    select * from {{ ref('int_events_counted') }}
),

events as (
    select * from {{ ref('int_events_in_work') }}
),

completed as (
    select
        goals_matched.goal_id,
        events_counted.*,
        events.event_id,
        {{ completed_by('events_counted', 'events.event_key') }} as completed_by
    from goals_matched
    inner join events_counted on goals_matched.seq = events_counted.seq
    inner join events on goals_matched.seq = events.seq
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
    numbered.project_id
    || '/'
    || {{ id_part('numbered.goal_id') }}
    || ':'
    || numbered.completed_by as completion_id,
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
