-- One row per event and step that it may take in a chain, with the event that would take the next step.
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1
),

open_units as (
    -- Units whose best chain is not the first one.
    select
        funnels.unit,
        funnels.mode = 'strict' as is_strict,
        first_chains.funnel_number,
        first_chains.unit_id,
        row_number() over (order by first_chains.funnel_number, first_chains.entry_seq) as unit_number
    from {{ ref('int_funnel_first_chains') }} as first_chains
    inner join funnels on first_chains.funnel_number = funnels.funnel_number
    where first_chains.step_number = 1 and not first_chains.is_best
),

events as (
    select
        open_units.is_strict,
        events.funnel_number,
        open_units.unit_number,
        events.step_number,
        events.occurred_us,
        events.seq
    from {{ ref('int_funnel_events') }} as events
    inner join open_units
        on events.funnel_number = open_units.funnel_number and events.unit_id = open_units.unit_id
),

legs as (
    -- A leg leads from a step to the next: an event departs on its step's leg and arrives on the one before.
    select
        funnel_number,
        unit_number,
        step_number,
        occurred_us,
        seq,
        step_number as leg,
        1 as departs
    from events
    where not is_strict
    union all
    select
        funnel_number,
        unit_number,
        step_number,
        occurred_us,
        seq,
        step_number - 1 as leg,
        0 as departs
    from events
    where not is_strict and step_number > 1
),

ordered_links as (
    -- The next arrival: the last one seen on the way back from the end, which engines do in one pass.
    -- An event departs after it arrives, so it is not its own next one: one event takes one step.
    select
        *,
        {{ latest_known('case when departs = 0 then seq end') }} over (
            partition by unit_number, leg
            order by occurred_us desc, seq desc, departs desc
            rows between unbounded preceding and 1 preceding
        ) as next_seq
    from legs
),

acts as (
    -- Only in a strict funnel does it matter what stands between steps.
    {% for unit in ['person', 'session'] %}
    select
        '{{ unit }}' as unit,
        {{ unit }}_id as unit_id,
        step_us as occurred_us,
        step_seq as seq
    from {{ ref('int_events_counted') }}
    where
        kind in ('visit', 'event', 'conversion')
        and {{ unit }}_id in (
            select unit_id from open_units
            where is_strict and unit = '{{ unit }}'
        )
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

strict_acts as (
    select
        open_units.funnel_number,
        open_units.unit_number,
        acts.occurred_us,
        acts.seq
    from open_units
    inner join acts on open_units.unit = acts.unit and open_units.unit_id = acts.unit_id
    where open_units.is_strict
    union
    -- An identify call is no act, but may take a step.
    select
        funnel_number,
        unit_number,
        occurred_us,
        seq
    from events
    where is_strict
),

strict_sequence as (
    select
        *,
        lead(seq) over (partition by unit_number order by occurred_us, seq) as next_seq
    from strict_acts
)

select
    funnel_number,
    unit_number,
    step_number,
    occurred_us,
    seq,
    next_seq
from ordered_links
where departs = 1
union all
select
    events.funnel_number,
    events.unit_number,
    events.step_number,
    events.occurred_us,
    events.seq,
    strict_sequence.next_seq
from events
inner join strict_sequence
    on events.funnel_number = strict_sequence.funnel_number and events.seq = strict_sequence.seq
where events.is_strict
