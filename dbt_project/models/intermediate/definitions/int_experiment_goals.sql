-- One row per goal that judges an experiment which a project has defined.
with defined as (
    select * from {{ ref('int_definitions') }}
    where kind = 'experiment' and not is_deleted
),

numbers as (
    {% for number in range(var('experiment_goals_at_most')) %}
    select {{ number }} as number
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

items as (
    select
        defined.project_id,
        defined.key as experiment_id,
        {{ json_item(json_value('defined.body', "'goal_ids'"), 'numbers.number') }} as goal_id
    from defined
    cross join numbers
)

select
    project_id,
    experiment_id,
    goal_id
from items
where goal_id is not null
