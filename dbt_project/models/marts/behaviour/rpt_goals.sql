-- One row per project, day, goal and country: how often it was completed.
with completions as (
    select * from {{ ref('fct_goal_completions') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

placed as (
    select
        completions.*,
        coalesce(conversions.country, sessions.country) as country,
        row_number() over (
            partition by completions.project_id, completions.goal_id, completions.session_id
            order by completions.completed_at, completions.completion_id
        ) as session_completion_number
    from completions
    left join conversions on completions.conversion_id = conversions.conversion_id
    left join sessions on completions.session_id = sessions.session_id
)

select
    project_id,
    completion_date as report_date,
    goal_id,
    country,
    is_micro,
    stage,
    count(*) as completions,
    -- A session that completed it several times counts on the day of the first.
    cast(
        sum(case when session_id is not null and session_completion_number = 1 then 1 else 0 end) as bigint
    ) as sessions,
    count(conversion_id) as conversions
from placed
group by project_id, completion_date, goal_id, country, is_micro, stage
