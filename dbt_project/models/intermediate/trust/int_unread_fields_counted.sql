-- One row per project, day of arrival and name of a field that nothing reads: how often it came.
with counts as (
    select * from {{ ref('stg_raw__unread_fields') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

dated as (
    select
        counts.*,
        -- A project of which nothing was ever accepted has no settings.
        {{ project_date('counts.received_us', "coalesce(projects.time_zone, 'UTC')") }} as received_date
    from counts
    left join projects on counts.project_id = projects.project_id
),

by_name as (
    select
        project_id,
        received_date,
        name,
        min(seq) as first_seq,
        sum(occurrences) as occurrences
    from dated
    group by project_id, received_date, name
),

numbered as (
    -- Each ingest process tells as many names apart as there may be in all.
    select
        *,
        row_number() over (
            partition by project_id, received_date
            order by case when name is null then 1 else 0 end, first_seq, name
        ) as name_number
    from by_name
),

told_apart as (
    select
        project_id,
        received_date,
        case when name is not null and name_number <= {{ var('unread_names') }} then name else 'others' end
            as name,
        occurrences
    from numbered
)

select
    project_id,
    received_date,
    name,
    cast(sum(occurrences) as bigint) as occurrences
from told_apart
group by project_id, received_date, name
