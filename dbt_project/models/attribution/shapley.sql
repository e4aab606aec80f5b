-- One row per conversion and touch: credit to sources by their Shapley values, and within a source equally.
with weighed as (
    select
        touches.*,
        greatest(weights.shapley_value_pico, 0) as weight
    from {{ ref('int_journey_touches') }} as touches
    inner join {{ ref('int_source_weights') }} as weights
        on touches.project_id = weights.project_id and touches.source = weights.source
    where touches.is_converting
),

totalled as (
    select
        *,
        sum(case when source_touch_number = 1 then weight else 0 end) over (partition by journey_id)
            as weight_sum
    from weighed
)

select
    journey_id as conversion_id,
    touch_id,
    case
        when weight_sum = 0 then cast(1.0 as double) / touch_count
        else cast(weight as double) / weight_sum / source_touch_count
    end as share
from totalled
