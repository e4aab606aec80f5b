-- One row per funnel, unit and step that the unit took: each unit enters a funnel once.
with events as (
    select * from {{ ref('int_funnel_events') }}
    where mode = 'counts'
),

numbered as (
    select
        *,
        row_number() over (
            partition by funnel_id, unit_id, step_number order by occurred_us, seq
        ) as event_number
    from events
)

select
    project_id,
    funnel_id,
    unit_id,
    step_number,
    occurred_us,
    entered_us,
    entry_session_id
from {{ ref('int_funnel_chains') }}
union all
select
    project_id,
    funnel_id,
    unit_id,
    step_number,
    occurred_us,
    entered_us,
    entry_session_id
from {{ ref('int_funnel_collections') }}
union all
-- Independent counts: each step is entered by itself, the first time.
select
    project_id,
    funnel_id,
    unit_id,
    step_number,
    occurred_us,
    occurred_us as entered_us,
    session_id as entry_session_id
from numbered
where event_number = 1
