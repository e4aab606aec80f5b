-- One row per funnel, unit and step that the unit took: each unit enters a funnel once.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with events as (
    select * from {{ ref('int_funnel_events') }}
    where mode = 'counts'
),

units as (
    select distinct
        project_id,
        funnel_id,
        unit
    from {{ ref('int_funnel_steps') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

numbered as (
    select
        *,
        row_number() over (
            partition by funnel_id, unit_id, step_number order by occurred_us, seq
        ) as event_number
    from events
),

taken as (
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
)

select
    taken.project_id,
    taken.funnel_id,
    taken.unit_id,
    taken.step_number,
    taken.occurred_us,
    taken.entered_us,
    taken.entry_session_id,
    case units.unit when 'session' then sessions.person_id else taken.unit_id end as person_id
from taken
inner join units on taken.project_id = units.project_id and taken.funnel_id = units.funnel_id
left join sessions on taken.entry_session_id = sessions.session_id
