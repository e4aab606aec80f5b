-- One row per variant of an experiment that a project has defined, or that visits carry.
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
),

variants as (
    select
        project_id,
        experiment_id,
        {{ json_value('variant', "'id'") }} as variant_id,
        {{ json_value('variant', "'name'") }} as variant_name,
        {{ json_value('variant', "'id'") }} = {{ json_value('body', "'control'") }} as is_control
    from items
),

carried as (
    select distinct
        project_id,
        experiment_id,
        variant_id
    from {{ ref('fct_experiment_exposures') }}
)

select
    coalesce(variants.project_id, carried.project_id) as project_id,
    coalesce(variants.experiment_id, carried.experiment_id) as experiment_id,
    {{ json_value('defined.body', "'name'") }} as experiment_name,
    coalesce(variants.variant_id, carried.variant_id) as variant_id,
    variants.variant_name,
    coalesce(variants.is_control, false) as is_control
from variants
full join carried
    on
        variants.project_id = carried.project_id
        and variants.experiment_id = carried.experiment_id
        and variants.variant_id = carried.variant_id
left join defined
    on
        coalesce(variants.project_id, carried.project_id) = defined.project_id
        and coalesce(variants.experiment_id, carried.experiment_id) = defined.key
