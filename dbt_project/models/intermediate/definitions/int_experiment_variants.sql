-- One row per variant of an experiment that a project has defined.
with defined as (
    select * from {{ ref('int_definitions') }}
    where kind = 'experiment' and not is_deleted
),

items as (
    select
        project_id,
        key as experiment_id,
        body,
        {{ json_elements('body', 'variants') }} as variant
    from defined
)

select
    project_id,
    experiment_id,
    {{ json_value('body', "'name'") }} as experiment_name,
    {{ json_value('variant', "'id'") }} as variant_id,
    {{ json_value('variant', "'name'") }} as variant_name,
    {{ json_value('variant', "'id'") }} = {{ json_value('body', "'control'") }} as is_control
from items
