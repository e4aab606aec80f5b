-- One row per name, goal or traffic source that a destination is limited to.
with definitions as (
    select * from {{ ref('int_definitions') }}
    where kind in ('destination', 'traffic_source') and not is_deleted
),

listed as (
    {% for member, chosen_by in [('names', 'name'), ('goals', 'goal'), ('sources', 'source')] %}
    select
        project_id,
        key as destination_id,
        '{{ chosen_by }}' as chosen_by,
        {{ json_elements('body', member) }} as choice
    from definitions
    where kind = 'destination'
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

chosen as (
    select distinct
        project_id,
        destination_id,
        chosen_by,
        {{ json_text('choice') }} as choice
    from listed
    where {{ json_text('choice') }} is not null
)

select
    chosen.project_id,
    chosen.destination_id,
    chosen.chosen_by,
    chosen.choice,
    -- What visits call it; one that is not defined picks none.
    {{ lower_case(trimmed(json_value('definitions.body', "'source'"))) }} as source,
    {{ lower_case(trimmed(json_value('definitions.body', "'medium'"))) }} as medium
from chosen
left join definitions
    on
        chosen.chosen_by = 'source'
        and definitions.kind = 'traffic_source'
        and chosen.project_id = definitions.project_id
        and chosen.choice = definitions.key
