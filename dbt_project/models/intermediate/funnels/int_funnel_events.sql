-- One row per funnel, event and step that it may take; in strict funnels also per other event of these units.
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

acting as (
    -- Only in a strict funnel does it matter what stands between steps, and only for who takes any.
    select distinct
        taking.project_id,
        taking.funnel_id,
        funnels.unit,
        case funnels.unit when 'session' then taking.session_id else taking.person_id end as unit_id
    from taking
    inner join funnels on taking.project_id = funnels.project_id and taking.funnel_id = funnels.funnel_id
    where funnels.mode = 'strict'
),

acts as (
    select
        acting.project_id,
        acting.funnel_id,
        events.person_id,
        events.session_id,
        events.step_us,
        events.step_seq,
        events.kind
    from acting
    inner join events on acting.project_id = events.project_id and acting.unit_id = events.person_id
    where acting.unit = 'person'
    union all
    select
        acting.project_id,
        acting.funnel_id,
        events.person_id,
        events.session_id,
        events.step_us,
        events.step_seq,
        events.kind
    from acting
    inner join events on acting.project_id = events.project_id and acting.unit_id = events.session_id
    where acting.unit = 'session'
),

passing as (
    select distinct
        acts.project_id,
        acts.funnel_id,
        acts.person_id,
        acts.session_id,
        acts.step_us,
        acts.step_seq
    from acts
    left join taking
        on
            acts.project_id = taking.project_id
            and acts.funnel_id = taking.funnel_id
            and acts.step_seq = taking.step_seq
    where acts.kind in ('visit', 'event', 'conversion') and taking.step_seq is null
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
