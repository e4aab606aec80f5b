-- One row per project, day, link and reason: how many clicks led on and were not recorded.
with counts as (
    select * from {{ ref('stg_raw__unrecorded_clicks') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

dated as (
    select
        counts.*,
        {{ project_date('counts.received_us', "coalesce(projects.time_zone, 'UTC')") }} as click_date
    from counts
    left join projects on counts.project_id = projects.project_id
)

select
    project_id,
    click_date,
    link_id,
    reason,
    cast(sum(occurrences) as bigint) as occurrences
from dated
group by project_id, click_date, link_id, reason
