-- One row per funnel in any order, unit, and number of steps that the unit took within one window.
with steps as (
    select * from {{ ref('int_funnel_steps') }}
    where mode = 'any_order'
),

matched as (
    select * from {{ ref('int_funnel_events') }}
    where funnel_number in (select funnel_number from steps)
),

events as (
    -- An event that several rules pick belongs to the first of them.
    select
        matched.funnel_number,
        matched.unit_id,
        matched.occurred_us,
        matched.seq,
        min(steps.first_step_of_rule) as rule_step
    from matched
    inner join steps
        on matched.funnel_number = steps.funnel_number and matched.step_number = steps.step_number
    group by matched.funnel_number, matched.unit_id, matched.occurred_us, matched.seq
),

numbered as (
    select
        *,
        row_number() over (partition by funnel_number, unit_id, rule_step order by occurred_us, seq)
            as event_number
    from events
),

beginnings as (
    -- Any event may begin a window. The nth step with a rule takes the rule's nth event from there.
    select
        events.funnel_number,
        events.unit_id,
        steps.window_us,
        events.occurred_us,
        events.seq,
        steps.first_step_of_rule as rule_step,
        steps.repeat_number
        + count(case when events.rule_step = steps.first_step_of_rule then events.seq end) over (
            partition by events.funnel_number, events.unit_id, steps.step_number
            order by events.occurred_us, events.seq
            rows between unbounded preceding and 1 preceding
        ) as event_number
    from events
    inner join steps on events.funnel_number = steps.funnel_number
),

taken as (
    select
        beginnings.funnel_number,
        beginnings.unit_id,
        beginnings.occurred_us as entered_us,
        beginnings.seq as entry_seq,
        numbered.occurred_us,
        numbered.seq
    from beginnings
    inner join numbered
        on
            beginnings.funnel_number = numbered.funnel_number
            and beginnings.unit_id = numbered.unit_id
            and beginnings.rule_step = numbered.rule_step
            and beginnings.event_number = numbered.event_number
            and beginnings.occurred_us + beginnings.window_us >= numbered.occurred_us
),

counted as (
    select
        *,
        row_number() over (partition by funnel_number, entry_seq order by occurred_us, seq) as step_number,
        count(*) over (partition by funnel_number, entry_seq) as steps_taken
    from taken
),

ranked as (
    -- The best window has most steps; of those the earliest.
    select
        *,
        dense_rank() over (
            partition by funnel_number, unit_id order by steps_taken desc, entered_us asc, entry_seq asc
        ) as preference
    from counted
)

select
    funnel_number,
    unit_id,
    step_number,
    occurred_us,
    entered_us,
    entry_seq
from ranked
where preference = 1
