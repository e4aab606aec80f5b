-- One row per funnel of independent counts, unit and step that the unit took: each the first time.
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1 and mode = 'counts'
),

taking as (
    select
        matched.funnel_number,
        matched.step_number,
        case funnels.unit when 'session' then events.session_id else events.person_id end as unit_id,
        events.step_us as occurred_us,
        events.step_seq as seq
    from {{ ref('int_funnel_steps_matched') }} as matched
    inner join funnels on matched.funnel_number = funnels.funnel_number
    inner join {{ ref('int_events_counted') }} as events on matched.seq = events.seq
)

select
    funnel_number,
    unit_id,
    step_number,
    min(occurred_us) as occurred_us,
    -- Each step is entered by itself.
    min(occurred_us) as entered_us,
    min_by(seq, {{ moment('occurred_us', 'seq') }}) as entry_seq
from taking
where unit_id is not null
group by funnel_number, unit_id, step_number
