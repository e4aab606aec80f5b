-- One row per funnel, event and step that it may take; in strict funnels also per event that takes none.
with steps as (
    select * from {{ ref('int_funnel_steps') }}
),

funnels as (
    select * from steps
    where step_number = 1
),

matched as (
    select * from {{ ref('int_funnel_steps_matched') }}
),

events as (
    select * from {{ ref('int_events_counted') }}
),

taking as (
    -- Distinct, because several reports are one conversion.
    select distinct
        matched.project_id,
        matched.funnel_id,
        matched.step_number,
        events.person_id,
        events.session_id,
        events.step_us,
        events.step_seq
    from matched
    inner join events on matched.seq = events.seq
),

passing as (
    select distinct
        funnels.project_id,
        funnels.funnel_id,
        events.person_id,
        events.session_id,
        events.step_us,
        events.step_seq
    from funnels
    inner join events on funnels.project_id = events.project_id
    left join taking
        on
            funnels.project_id = taking.project_id
            and funnels.funnel_id = taking.funnel_id
            and events.step_seq = taking.step_seq
    where
        funnels.mode = 'strict'
        and events.kind in ('visit', 'event', 'conversion')
        and taking.step_seq is null
),

combined as (
    select * from taking
    union all
    select
        project_id,
        funnel_id,
        cast(null as bigint) as step_number,
        person_id,
        session_id,
        step_us,
        step_seq
    from passing
)

select
    combined.project_id,
    combined.funnel_id,
    funnels.mode,
    funnels.window_us,
    case funnels.unit when 'session' then combined.session_id else combined.person_id end as unit_id,
    combined.session_id,
    combined.step_number,
    combined.step_us as occurred_us,
    combined.step_seq as seq
from combined
inner join funnels
    on combined.project_id = funnels.project_id and combined.funnel_id = funnels.funnel_id
-- What lies in no session is in no funnel that counts sessions.
where funnels.unit = 'person' or combined.session_id is not null
