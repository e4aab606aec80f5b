-- One row per ordered or strict funnel, unit and step that the unit's best chain of events took.
{% set last_step = var('funnel_steps_at_most') %}
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1
),

-- From each first step on, every further step is taken by the earliest event that can: none gets further.
step_1 as (
    select
        links.funnel_number,
        links.unit_number,
        links.occurred_us,
        links.next_seq,
        links.occurred_us as entered_us,
        links.seq as entry_seq,
        links.occurred_us + funnels.window_us as until_us
    from {{ ref('int_funnel_links') }} as links
    inner join funnels on links.funnel_number = funnels.funnel_number
    where links.step_number = 1
),

{% for step in range(2, last_step + 1) %}
step_{{ step }} as (
    select
        links.funnel_number,
        links.unit_number,
        links.occurred_us,
        links.next_seq,
        before.entered_us,
        before.entry_seq,
        before.until_us
    from step_{{ step - 1 }} as before
    inner join {{ ref('int_funnel_links') }} as links
        on before.next_seq = links.seq and before.funnel_number = links.funnel_number
    where links.step_number = {{ step }} and links.occurred_us <= before.until_us
),

{% endfor %}
chains as (
    {% for step in range(1, last_step + 1) %}
    select
        funnel_number,
        unit_number,
        cast({{ step }} as bigint) as step_number,
        occurred_us,
        entered_us,
        entry_seq
    from step_{{ step }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

furthest as (
    select
        funnel_number,
        unit_number,
        max(step_number) as step_number
    from chains
    group by funnel_number, unit_number
),

best as (
    -- The best chain gets furthest; of those the earliest.
    select
        chains.funnel_number,
        chains.unit_number,
        min_by(chains.entry_seq, {{ moment('chains.entered_us', 'chains.entry_seq') }}) as entry_seq
    from chains
    inner join furthest
        on
            chains.funnel_number = furthest.funnel_number
            and chains.unit_number = furthest.unit_number
            and chains.step_number = furthest.step_number
    group by chains.funnel_number, chains.unit_number
)

select
    funnel_number,
    unit_id,
    step_number,
    occurred_us,
    entered_us,
    entry_seq
from {{ ref('int_funnel_first_chains') }}
where is_best
union all
select
    chains.funnel_number,
    entries.unit_id,
    chains.step_number,
    chains.occurred_us,
    chains.entered_us,
    chains.entry_seq
from best
inner join chains
    on
        best.funnel_number = chains.funnel_number
        and best.unit_number = chains.unit_number
        and best.entry_seq = chains.entry_seq
inner join {{ ref('int_funnel_events') }} as entries
    on best.funnel_number = entries.funnel_number and best.entry_seq = entries.seq and entries.step_number = 1
