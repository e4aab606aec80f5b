-- One row per event and step that it may take in order, with the event that would take the next step.
with events as (
    select * from {{ ref('int_funnel_events') }}
),

legs as (
    -- A leg leads from a step to the next: an event departs on its step's leg and arrives on the one before.
    select
        *,
        step_number as leg,
        1 as departs
    from events
    where mode = 'ordered'
    union all
    select
        *,
        step_number - 1 as leg,
        0 as departs
    from events
    where mode = 'ordered' and step_number > 1
),

ordered_links as (
    -- The next arrival: the last one seen on the way back from the end, which engines do in one pass.
    -- An event departs after it arrives, so it is not its own next one: one event takes one step.
    select
        *,
        last_value(case when departs = 0 then seq end ignore nulls) over (
            partition by funnel_id, unit_id, leg
            order by occurred_us desc, seq desc, departs desc
            rows between unbounded preceding and 1 preceding
        ) as next_seq
    from legs
),

strict_acts as (
    select distinct
        funnel_id,
        unit_id,
        occurred_us,
        seq
    from events
    where mode = 'strict'
),

strict_sequence as (
    select
        *,
        lead(seq) over (partition by funnel_id, unit_id order by occurred_us, seq) as next_seq
    from strict_acts
)

select
    project_id,
    funnel_id,
    unit_id,
    session_id,
    window_us,
    step_number,
    occurred_us,
    seq,
    next_seq
from ordered_links
where departs = 1
union all
select
    events.project_id,
    events.funnel_id,
    events.unit_id,
    events.session_id,
    events.window_us,
    events.step_number,
    events.occurred_us,
    events.seq,
    strict_sequence.next_seq
from events
inner join strict_sequence
    on events.funnel_id = strict_sequence.funnel_id and events.seq = strict_sequence.seq
where events.mode = 'strict' and events.step_number is not null
