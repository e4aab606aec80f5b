-- One row per ordered or strict funnel, unit and step of its first chain, whatever lies in between.
{% set last_step = var('funnel_steps_at_most') %}
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1 and mode in ('ordered', 'strict')
),

-- Every step is taken by the earliest event that can: no other chain gets further.
step_1 as (
    select
        funnel_number,
        unit_id,
        min({{ moment('occurred_us', 'seq') }}) as moment,
        min(occurred_us) as occurred_us,
        min(occurred_us) as entered_us,
        min_by(seq, {{ moment('occurred_us', 'seq') }}) as entry_seq
    from {{ ref('int_funnel_events') }}
    where step_number = 1
    group by funnel_number, unit_id
),

{% for step in range(2, last_step + 1) %}
step_{{ step }} as (
    select
        events.funnel_number,
        events.unit_id,
        min({{ moment('events.occurred_us', 'events.seq') }}) as moment,
        min(events.occurred_us) as occurred_us,
        min(before.entered_us) as entered_us,
        min(before.entry_seq) as entry_seq
    from {{ ref('int_funnel_events') }} as events
    inner join step_{{ step - 1 }} as before
        on events.funnel_number = before.funnel_number and events.unit_id = before.unit_id
    where events.step_number = {{ step }} and {{ moment('events.occurred_us', 'events.seq') }} > before.moment
    group by events.funnel_number, events.unit_id
),

{% endfor %}
chains as (
    {% for step in range(1, last_step + 1) %}
    select
        funnel_number,
        unit_id,
        cast({{ step }} as bigint) as step_number,
        occurred_us,
        entered_us,
        entry_seq
    from step_{{ step }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    chains.*,
    -- It is the best chain, too, unless it takes too long or something may stand between its steps.
    case funnels.mode
        when 'strict' then max(chains.step_number) over one_chain = 1
        else max(chains.occurred_us) over one_chain <= chains.entered_us + funnels.window_us
    end as is_best
from chains
inner join funnels on chains.funnel_number = funnels.funnel_number
window one_chain as (partition by chains.funnel_number, chains.entry_seq)
