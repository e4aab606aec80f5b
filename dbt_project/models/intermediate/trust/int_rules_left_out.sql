-- One row per goal or funnel defined over the API that is beyond a limit: of wildcards' stars, or of funnels.
with definitions as (
    select * from {{ ref('int_definitions') }}
    where kind in ('goal', 'funnel') and not is_deleted
),

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

rules as (
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
    from funnel_steps
    where match_operator = 'wildcard'
),

left_out as (
    select
        project_id,
        kind,
        key
    from rules
    where {{ stars('match_value') }} > {{ work_limit('wildcard_stars') }}
    union
    select
        project_id,
        kind,
        key
    from definitions
    where
        kind = 'funnel'
        and not exists (
            select 1 from funnel_steps
            where
                definitions.project_id = funnel_steps.project_id
                and definitions.key = funnel_steps.funnel_id
        )
)

select
    left_out.project_id,
    left_out.kind,
    left_out.key,
    definitions.received_us as defined_us
from left_out
inner join definitions
    on
        left_out.project_id = definitions.project_id
        and left_out.kind = definitions.kind
        and left_out.key = definitions.key
