-- One row per ordered or strict funnel, unit and step that the unit's best chain of events took.
{% set last_step = highest_step(ref('int_funnel_links')) %}
with links as (
    select * from {{ ref('int_funnel_links') }}
),

chains as (
    -- From each first step on, every further step is taken by the earliest event that can: none gets further.
    select
        step_1.project_id,
        step_1.funnel_id,
        step_1.unit_id,
        {% for step in range(1, last_step + 1) %}
        step_{{ step }}.occurred_us as us_{{ step }},
        {% endfor %}
        step_1.seq,
        step_1.session_id
    from links as step_1
    {% for step in range(2, last_step + 1) %}
    left join links as step_{{ step }}
        on
            step_{{ step - 1 }}.next_seq = step_{{ step }}.seq
            and step_{{ step - 1 }}.funnel_id = step_{{ step }}.funnel_id
            and step_{{ step }}.step_number = {{ step }}
            and step_1.occurred_us + step_1.window_us >= step_{{ step }}.occurred_us
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
            partition by funnel_id, unit_id order by steps_taken desc, us_1 asc, seq asc
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
    ranked.project_id,
    ranked.funnel_id,
    ranked.unit_id,
    cast(step_numbers.step_number as bigint) as step_number,
    case step_numbers.step_number
        {% for step in range(1, last_step + 1) %}
        when {{ step }} then ranked.us_{{ step }}
        {% endfor %}
    end as occurred_us,
    ranked.us_1 as entered_us,
    ranked.session_id as entry_session_id
from ranked
inner join step_numbers on ranked.steps_taken >= step_numbers.step_number
where ranked.preference = 1
