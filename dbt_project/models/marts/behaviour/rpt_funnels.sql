-- One row per project, funnel, day of entry, source, channel and step: who came to it, took it, and when.
with steps as (
    select * from {{ ref('int_funnel_steps') }}
),

steps_taken as (
    select * from {{ ref('int_funnel_steps_taken') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

placed as (
    select
        steps_taken.project_id,
        steps_taken.funnel_id,
        steps_taken.step_number,
        {{ project_date('steps_taken.entered_us', 'projects.time_zone') }} as entry_date,
        case
            when sessions.session_id is null then '(unattributed)'
            else sessions.source
        end as source,
        coalesce(sessions.channel, 'Unassigned') as channel,
        {{ quota('steps_taken.occurred_us - steps_taken.entered_us', 1, 1000000) }} as seconds
    from steps_taken
    inner join projects on steps_taken.project_id = projects.project_id
    left join sessions on steps_taken.entry_session_id = sessions.session_id
),

measured as (
    -- The smallest time within which at least half, and nine tenths, of the units got there.
    select
        project_id,
        funnel_id,
        entry_date,
        source,
        channel,
        step_number,
        count(*) as completed,
        cast(percentile_disc(0.5) within group (order by seconds) as bigint) as median_seconds,
        cast(percentile_disc(0.9) within group (order by seconds) as bigint) as p90_seconds
    from placed
    group by project_id, funnel_id, entry_date, source, channel, step_number
),

entries as (
    select distinct
        project_id,
        funnel_id,
        entry_date,
        source,
        channel
    from placed
),

filled as (
    -- A step that nobody took is a row too.
    select
        entries.project_id,
        entries.funnel_id,
        entries.entry_date,
        entries.source,
        entries.channel,
        steps.funnel_name,
        steps.mode,
        steps.unit,
        steps.step_number,
        steps.step_name,
        coalesce(measured.completed, 0) as completed,
        measured.median_seconds,
        measured.p90_seconds
    from entries
    inner join steps on entries.project_id = steps.project_id and entries.funnel_id = steps.funnel_id
    left join measured
        on
            entries.project_id = measured.project_id
            and entries.funnel_id = measured.funnel_id
            and entries.entry_date = measured.entry_date
            and entries.source = measured.source
            and entries.channel = measured.channel
            and steps.step_number = measured.step_number
),

entered as (
    select
        *,
        -- Independent counts lead from no step to the next.
        case when mode <> 'counts' then coalesce(
            lag(completed) over (
                partition by project_id, funnel_id, entry_date, source, channel order by step_number
            ),
            completed
        ) end as entered
    from filled
)

select
    project_id,
    funnel_id,
    funnel_name,
    mode,
    unit,
    entry_date,
    source,
    channel,
    step_number,
    -- In any order the nth step is the nth that was taken, whichever.
    case when mode <> 'any_order' then step_name end as step_name,
    cast(entered as bigint) as entered,
    cast(completed as bigint) as completed,
    cast(entered - completed as bigint) as dropped_off,
    case when mode <> 'counts' then median_seconds end as median_seconds,
    case when mode <> 'counts' then p90_seconds end as p90_seconds
from entered
