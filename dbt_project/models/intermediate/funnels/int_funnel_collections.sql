-- One row per funnel in any order, unit, and number of steps that the unit took within one window.
with steps as (
    select * from {{ ref('int_funnel_steps') }}
    where mode = 'any_order'
),

matched as (
    select * from {{ ref('int_funnel_events') }}
    where mode = 'any_order'
),

events as (
    -- An event that several rules pick belongs to the first of them.
    select
        matched.project_id,
        matched.funnel_id,
        matched.unit_id,
        matched.session_id,
        matched.window_us,
        matched.occurred_us,
        matched.seq,
        min(steps.first_step_of_rule) as rule_step
    from matched
    inner join steps
        on
            matched.project_id = steps.project_id
            and matched.funnel_id = steps.funnel_id
            and matched.step_number = steps.step_number
    group by
        matched.project_id, matched.funnel_id, matched.unit_id, matched.session_id, matched.window_us,
        matched.occurred_us, matched.seq
),

numbered as (
    select
        *,
        row_number() over (partition by funnel_id, unit_id, rule_step order by occurred_us, seq)
            as event_number
    from events
),

beginnings as (
    -- Any event may begin a window. The nth step with a rule takes the rule's nth event from there.
    select
        events.project_id,
        events.funnel_id,
        events.unit_id,
        events.session_id,
        events.window_us,
        events.occurred_us,
        events.seq,
        steps.first_step_of_rule as rule_step,
        steps.repeat_number
        + count(case when events.rule_step = steps.first_step_of_rule then events.seq end) over (
            partition by events.funnel_id, events.unit_id, steps.step_number
            order by events.occurred_us, events.seq
            rows between unbounded preceding and 1 preceding
        ) as event_number
    from events
    inner join steps on events.project_id = steps.project_id and events.funnel_id = steps.funnel_id
),

taken as (
    select
        beginnings.project_id,
        beginnings.funnel_id,
        beginnings.unit_id,
        beginnings.session_id,
        beginnings.occurred_us as entered_us,
        beginnings.seq as entry_seq,
        numbered.occurred_us,
        numbered.seq
    from beginnings
    inner join numbered
        on
            beginnings.funnel_id = numbered.funnel_id
            and beginnings.unit_id = numbered.unit_id
            and beginnings.rule_step = numbered.rule_step
            and beginnings.event_number = numbered.event_number
            and beginnings.occurred_us + beginnings.window_us >= numbered.occurred_us
),

counted as (
    select
        *,
        row_number() over (partition by funnel_id, entry_seq order by occurred_us, seq) as step_number,
        count(*) over (partition by funnel_id, entry_seq) as steps_taken
    from taken
),

ranked as (
    -- The best window has most steps; of those the earliest.
    select
        *,
        dense_rank() over (
            partition by funnel_id, unit_id order by steps_taken desc, entered_us asc, entry_seq asc
        ) as preference
    from counted
)

select
    project_id,
    funnel_id,
    unit_id,
    step_number,
    occurred_us,
    entered_us,
    session_id as entry_session_id
from ranked
where preference = 1
