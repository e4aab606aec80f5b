-- One row per ordered or strict funnel, unit and step that the unit's best chain of events took.
{% set last_step = highest_step(ref('int_funnel_links')) %}
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1
),

chains as (
    -- From each first step on, every further step is taken by the earliest event that can: none gets further.
    select
        step_1.funnel_number,
        step_1.unit_number,
        {% for step in range(1, last_step + 1) %}
        step_{{ step }}.occurred_us as us_{{ step }},
        {% endfor %}
        step_1.seq
    from {{ ref('int_funnel_links') }} as step_1
    inner join funnels on step_1.funnel_number = funnels.funnel_number
    {% for step in range(2, last_step + 1) %}
    left join {{ ref('int_funnel_links') }} as step_{{ step }}
        on
            step_{{ step - 1 }}.next_seq = step_{{ step }}.seq
            and step_{{ step - 1 }}.funnel_number = step_{{ step }}.funnel_number
            and step_{{ step }}.step_number = {{ step }}
            and step_1.occurred_us + funnels.window_us >= step_{{ step }}.occurred_us
    {% endfor %}
    where step_1.step_number = 1
),

measured as (
    select
        *,
        case
            {% for step in range(last_step, 0, -1) %}
            when us_{{ step }} is not null then {{ step }}
            {% endfor %}
        end as steps_taken
    from chains
),

ranked as (
    -- The best chain gets furthest; of those the earliest.
    select
        *,
        row_number() over (
            partition by funnel_number, unit_number order by steps_taken desc, us_1 asc, seq asc
        ) as preference
    from measured
),

step_numbers as (
    {% for step in range(1, last_step + 1) %}
    select {{ step }} as step_number
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
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
    ranked.funnel_number,
    entries.unit_id,
    cast(step_numbers.step_number as bigint) as step_number,
    case step_numbers.step_number
        {% for step in range(1, last_step + 1) %}
        when {{ step }} then ranked.us_{{ step }}
        {% endfor %}
    end as occurred_us,
    ranked.us_1 as entered_us,
    ranked.seq as entry_seq
from ranked
inner join {{ ref('int_funnel_events') }} as entries
    on ranked.funnel_number = entries.funnel_number and ranked.seq = entries.seq and entries.step_number = 1
inner join step_numbers on ranked.steps_taken >= step_numbers.step_number
where ranked.preference = 1
