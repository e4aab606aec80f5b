-- One row per step of a funnel in force: the latest version defined over the API, else the seed's.
with put as (
    select * from {{ ref('int_definitions') }}
    where kind = 'funnel'
),

seeded as (
    select * from {{ ref('funnel_steps') }}
),

step_numbers as (
    {% for number in range(1, var('funnel_steps_at_most') + 1) %}
    select {{ number }} as step_number
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

numbered as (
    select
        put.project_id,
        put.key as funnel_id,
        put.body,
        step_numbers.step_number,
        {{ json_item(json_value('put.body', "'steps'"), 'step_numbers.step_number - 1') }} as step
    from put
    cross join step_numbers
    where not put.is_deleted
),

in_force as (
    select
        project_id,
        funnel_id,
        {{ json_value('body', "'name'") }} as funnel_name,
        {{ json_value('body', "'mode'") }} as mode,
        {{ json_value('body', "'unit'") }} as unit,
        cast({{ json_value('body', "'window_days'") }} as bigint) as window_days,
        cast(step_number as bigint) as step_number,
        {{ json_value('step', "'name'") }} as step_name,
        {{ json_value('step', "'match_type'") }} as match_type,
        {{ json_value('step', "'match_operator'") }} as match_operator,
        {{ json_value('step', "'match_value'") }} as match_value,
        {{ json_value('step', "'property_key'") }} as property_key,
        {{ json_value('step', "'property_value'") }} as property_value,
        {{ json_value('step', "'minimum_amount'") }} as minimum_amount
    from numbered
    where step is not null
    union all
    select
        seeded.project_id,
        seeded.funnel_id,
        seeded.funnel_name,
        coalesce(seeded.mode, 'ordered') as mode,
        coalesce(seeded.unit, 'person') as unit,
        coalesce(seeded.window_days, {{ var('funnel_window_days') }}) as window_days,
        seeded.step_number,
        seeded.step_name,
        seeded.match_type,
        coalesce(seeded.match_operator, 'exact') as match_operator,
        seeded.match_value,
        seeded.property_key,
        seeded.property_value,
        seeded.minimum_amount
    from seeded
    -- A funnel deleted over the API stays deleted, even where a seed names it.
    left join put on seeded.project_id = put.project_id and seeded.funnel_id = put.key
    where put.key is null
),

ranked as (
    select
        *,
        dense_rank() over (partition by project_id order by funnel_id) as funnel_rank,
        -- What picks the same is one rule, as 10 and 10.0 are one amount.
        case
            when match_type <> 'url_path' then match_value
            when match_operator = 'exact' then {{ normal_path('match_value') }}
            when match_operator = 'prefix' then {{ decoded_path('match_value') }}
        end as compared_value,
        case
            when match_type = 'url_path' and match_operator = 'wildcard'
                then {{ wildcard_pieces('match_value') }}
        end as compared_pieces,
        cast(minimum_amount as decimal(38, 18)) as compared_amount
    from in_force
)

select
    project_id,
    funnel_id,
    -- Rows of events carry one number, not two texts.
    dense_rank() over (order by project_id, funnel_id) as funnel_number,
    funnel_name,
    mode,
    unit,
    window_days * {{ days_us(1) }} as window_us,
    step_number,
    step_name,
    match_type,
    match_operator,
    match_value,
    property_key,
    property_value,
    minimum_amount,
    -- Where a step is repeated: which step has its rule first, and the how manieth it is.
    min(step_number) over (
        partition by
            project_id, funnel_id, match_type, match_operator, compared_value, compared_pieces,
            property_key, property_value, compared_amount
    ) as first_step_of_rule,
    row_number() over (
        partition by
            project_id, funnel_id, match_type, match_operator, compared_value, compared_pieces,
            property_key, property_value, compared_amount
        order by step_number
    ) as repeat_number
from ranked
where funnel_rank <= {{ work_limit('project_funnels') }}
