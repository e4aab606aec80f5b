-- One row per goal in force: the latest version defined over the API, else the seed's.
with put as (
    select * from {{ ref('int_definitions') }}
    where kind = 'goal'
),

seeded as (
    select * from {{ ref('goals') }}
),

defined as (
    select
        project_id,
        key as goal_id,
        version,
        received_us as defined_us,
        {{ json_value('body', "'name'") }} as name,
        {{ json_value('body', "'match_type'") }} as match_type,
        {{ json_value('body', "'match_operator'") }} as match_operator,
        {{ json_value('body', "'match_value'") }} as match_value,
        {{ json_value('body', "'property_key'") }} as property_key,
        {{ json_value('body', "'property_value'") }} as property_value,
        {{ json_value('body', "'minimum_amount'") }} as minimum_amount,
        {{ json_value('body', "'counts_as_conversion'") }} = 'true' as counts_as_conversion,
        {{ json_value('body', "'is_micro'") }} = 'true' as is_micro,
        {{ json_value('body', "'stage'") }} as stage,
        {{ json_value('body', "'value_amount'") }} as value_amount,
        {{ json_value('body', "'value_currency'") }} as value_currency
    from put
    where not is_deleted
),

currencies as (
    select * from {{ ref('currencies') }}
)

select
    defined.project_id,
    defined.goal_id,
    'api' as defined_by,
    defined.version,
    defined.defined_us,
    defined.name,
    defined.match_type,
    defined.match_operator,
    defined.match_value,
    defined.property_key,
    defined.property_value,
    defined.minimum_amount,
    coalesce(defined.counts_as_conversion, false) as counts_as_conversion,
    coalesce(defined.is_micro, false) as is_micro,
    defined.stage,
    {{ minor_units('defined.value_amount', 'coalesce(currencies.minor_per_major, 100)') }} as value_minor,
    defined.value_currency
from defined
left join currencies on defined.value_currency = currencies.currency
union all
select
    seeded.project_id,
    seeded.goal_id,
    'seed' as defined_by,
    cast(null as bigint) as version,
    cast(null as bigint) as defined_us,
    seeded.name,
    seeded.match_type,
    seeded.match_operator,
    seeded.match_value,
    seeded.property_key,
    seeded.property_value,
    seeded.minimum_amount,
    coalesce(seeded.counts_as_conversion, false) as counts_as_conversion,
    coalesce(seeded.is_micro, false) as is_micro,
    seeded.stage,
    cast(null as bigint) as value_minor,
    cast(null as string) as value_currency
from seeded
-- A goal deleted over the API stays deleted, even where a seed names it.
left join put on seeded.project_id = put.project_id and seeded.goal_id = put.key
where put.key is null
