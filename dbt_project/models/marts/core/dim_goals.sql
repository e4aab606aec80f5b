-- One row per goal: defined over the API or in the seed, or only named by a sender.
with goals as (
    select * from {{ ref('int_goals') }}
),

named as (
    -- What a sender names as completed is a goal, whether anybody defined it or not.
    select distinct
        project_id,
        goal_id
    from {{ ref('int_events') }}
    where goal_id is not null
)

select
    project_id,
    goal_id,
    name,
    defined_by,
    version,
    {{ utc_timestamp('defined_us') }} as defined_at,
    match_type,
    match_operator,
    match_value,
    property_key,
    property_value,
    minimum_amount,
    counts_as_conversion,
    is_micro,
    stage,
    value_minor,
    value_currency
from goals
union all
select
    named.project_id,
    named.goal_id,
    named.goal_id as name,
    'sender' as defined_by,
    cast(null as bigint) as version,
    cast(null as timestamp) as defined_at,
    cast(null as string) as match_type,
    cast(null as string) as match_operator,
    cast(null as string) as match_value,
    cast(null as string) as property_key,
    cast(null as string) as property_value,
    cast(null as string) as minimum_amount,
    false as counts_as_conversion,
    false as is_micro,
    cast(null as string) as stage,
    cast(null as bigint) as value_minor,
    cast(null as string) as value_currency
from named
left join goals on named.project_id = goals.project_id and named.goal_id = goals.goal_id
where goals.goal_id is null
