-- One row per conversion and touch: credit halves with every half-life of the touch's age.
with weighed as (
    -- Ages are counted from the latest touch: the shares are the same, and never are all weights zero.
    -- Weights are whole 10⁻¹²: a sum of floating-point numbers depends on their order.
    select
        touches.conversion_id,
        touches.touch_id,
        cast(round(1000000000000 * power(
            cast(0.5 as double),
            cast(touches.latest_touched_us - touches.touched_us as double) / projects.half_life_us
        )) as bigint) as weight
    from {{ ref('int_conversion_touches') }} as touches
    inner join {{ ref('int_projects') }} as projects on touches.project_id = projects.project_id
)

select
    conversion_id,
    touch_id,
    cast(weight as double) / sum(weight) over (partition by conversion_id) as share
from weighed
