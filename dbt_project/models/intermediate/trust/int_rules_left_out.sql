-- One row per goal or funnel defined over the API that has a wildcard of more stars than are allowed.
with rules as (
    select
        project_id,
        'goal' as kind,
        goal_id as key,
        match_value
    from {{ ref('int_goals') }}
    where match_operator = 'wildcard'
    union all
    select
        project_id,
        'funnel' as kind,
        funnel_id as key,
        match_value
    from {{ ref('int_funnel_steps') }}
    where match_operator = 'wildcard'
),

left_out as (
    select distinct
        project_id,
        kind,
        key
    from rules
    where {{ stars('match_value') }} > {{ work_limit('wildcard_stars') }}
)

select
    left_out.project_id,
    left_out.kind,
    left_out.key,
    definitions.received_us as defined_us
from left_out
inner join {{ ref('int_definitions') }} as definitions
    on
        left_out.project_id = definitions.project_id
        and left_out.kind = definitions.kind
        and left_out.key = definitions.key
