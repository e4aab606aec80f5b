-- One row per project, experiment, variant and goal: who was exposed, who converted, and how sure that is.
{% set z = var('interval_z') %}
with defined as (
    select * from {{ ref('int_experiment_variants') }}
),

exposures as (
    select * from {{ ref('fct_experiment_exposures') }}
),

outcomes as (
    select * from {{ ref('int_experiment_outcomes') }}
),

exposed as (
    select
        project_id,
        experiment_id,
        variant_id,
        count(distinct person_id) as people,
        count(distinct case when has_several_variants then person_id end) as people_of_several
    from exposures
    group by project_id, experiment_id, variant_id
),

variants as (
    -- Those that are defined, and those that only visits carry.
    select
        coalesce(defined.project_id, exposed.project_id) as project_id,
        coalesce(defined.experiment_id, exposed.experiment_id) as experiment_id,
        max(defined.experiment_name) over (
            partition by
                coalesce(defined.project_id, exposed.project_id),
                coalesce(defined.experiment_id, exposed.experiment_id)
        ) as experiment_name,
        coalesce(defined.variant_id, exposed.variant_id) as variant_id,
        defined.variant_name,
        coalesce(defined.is_control, false) as is_control,
        exposed.people,
        coalesce(exposed.people_of_several, 0) as people_of_several
    from defined
    full join exposed
        on
            defined.project_id = exposed.project_id
            and defined.experiment_id = exposed.experiment_id
            and defined.variant_id = exposed.variant_id
),

judged as (
    -- By all conversions, and by each goal that was chosen.
    select
        variants.*,
        cast(null as string) as goal_id
    from variants
    union all
    select
        variants.*,
        goals.goal_id
    from variants
    inner join {{ ref('int_experiment_goals') }} as goals
        on variants.project_id = goals.project_id and variants.experiment_id = goals.experiment_id
),

converted as (
    select
        project_id,
        experiment_id,
        variant_id,
        goal_id,
        count(distinct person_id) as people,
        count(distinct completed_by) as conversions
    from outcomes
    group by project_id, experiment_id, variant_id, goal_id
),

counted as (
    select
        judged.*,
        coalesce(converted.people, 0) as converted_people,
        coalesce(converted.conversions, 0) as conversions,
        -- Floats from here to the final casts: each row is computed from whole numbers, alike every time.
        cast(judged.people as double) as n,
        cast(coalesce(converted.people, 0) as double) as x
    from judged
    left join converted
        on
            judged.project_id = converted.project_id
            and judged.experiment_id = converted.experiment_id
            and judged.variant_id = converted.variant_id
            and judged.goal_id is not distinct from converted.goal_id
),

centred as (
    -- Wilson's score interval.
    select
        *,
        x / n as rate,
        (x + {{ z }} * {{ z }} / 2) / (n + {{ z }} * {{ z }}) as centre,
        {{ z }} / (n + {{ z }} * {{ z }}) * sqrt(x * (n - x) / n + {{ z }} * {{ z }} / 4) as half_width
    from counted
),

bounded as (
    select
        *,
        case when n > 0 then greatest(centre - half_width, 0) end as low,
        case when n > 0 then least(centre + half_width, 1) end as high
    from centred
),

compared as (
    -- Newcombe's interval of a difference: from the two score intervals.
    select
        bounded.*,
        control.rate as control_rate,
        bounded.rate - control.rate as difference,
        bounded.rate - control.rate - sqrt(
            power(bounded.rate - bounded.low, 2) + power(control.high - control.rate, 2)
        ) as difference_low,
        bounded.rate - control.rate + sqrt(
            power(bounded.high - bounded.rate, 2) + power(control.rate - control.low, 2)
        ) as difference_high
    from bounded
    left join bounded as control
        on
            bounded.project_id = control.project_id
            and bounded.experiment_id = control.experiment_id
            and bounded.goal_id is not distinct from control.goal_id
            and control.is_control
            and not bounded.is_control
)

select
    project_id,
    experiment_id,
    experiment_name,
    variant_id,
    variant_name,
    is_control,
    goal_id,
    cast(coalesce(people, 0) as bigint) as exposed,
    cast(people_of_several as bigint) as exposed_to_several,
    cast(converted_people as bigint) as converted,
    cast(conversions as bigint) as conversions,
    cast(round(rate, 9) as decimal(10, 9)) as rate,
    cast(round(low, 9) as decimal(10, 9)) as rate_low,
    cast(round(high, 9) as decimal(10, 9)) as rate_high,
    cast(round(difference, 9) as decimal(10, 9)) as difference,
    cast(round(difference_low, 9) as decimal(10, 9)) as difference_low,
    cast(round(difference_high, 9) as decimal(10, 9)) as difference_high,
    cast(round(difference / nullif(control_rate, 0), 6) as decimal(18, 6)) as uplift
from compared
