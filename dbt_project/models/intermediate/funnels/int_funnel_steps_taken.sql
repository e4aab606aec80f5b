-- One row per funnel, unit and step that the unit took: each unit enters a funnel once.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

taken as (
    select * from {{ ref('int_funnel_chains') }}
    union all
    select * from {{ ref('int_funnel_collections') }}
    union all
    select * from {{ ref('int_funnel_counts') }}
),

entries as (
    -- Reports of one conversion lie in one session.
    select
        step_seq,
        min(session_id) as session_id
    from {{ ref('int_events_counted') }}
    where step_seq in (select entry_seq from taken)
    group by step_seq
)

select
    funnels.project_id,
    funnels.funnel_id,
    taken.unit_id,
    taken.step_number,
    taken.occurred_us,
    taken.entered_us,
    entries.session_id as entry_session_id,
    case funnels.unit when 'session' then sessions.person_id else taken.unit_id end as person_id
from taken
inner join funnels on taken.funnel_number = funnels.funnel_number
inner join entries on taken.entry_seq = entries.step_seq
-- One equation, which engines join by; with a condition on the unit beside it they compare all pairs.
left join sessions on case funnels.unit when 'session' then taken.unit_id end = sessions.session_id
