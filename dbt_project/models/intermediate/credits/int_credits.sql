-- One row per model, conversion and touch: its share in whole billionths, which sum to 10⁹ per conversion.
with claims as (
    {% for model in var('attribution_models') %}
    select
        '{{ model }}' as model,
        conversion_id,
        touch_id,
        share
    from {{ ref(model) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

touches as (
    select
        journey_id as conversion_id,
        touch_id,
        touch_seq,
        touched_us
    from {{ ref('int_journey_touches') }}
    where is_converting
    union
    -- A person's first touch may lie before the look-back.
    select
        conversion_id,
        touch_id,
        touch_seq,
        touched_us
    from {{ ref('int_conversion_first_touches') }}
),

weighed as (
    -- From here on only integers: sums of floating-point numbers depend on the order of threads.
    select
        claims.model,
        claims.conversion_id,
        claims.touch_id,
        touches.touch_seq,
        touches.touched_us,
        cast(round(claims.share * 1000000000000) as bigint) as weight
    from claims
    inner join touches
        on claims.conversion_id = touches.conversion_id and claims.touch_id = touches.touch_id
),

totalled as (
    select
        *,
        cast(sum(weight) over (partition by model, conversion_id) as bigint) as weight_sum
    from weighed
    where weight > 0
),

floored as (
    select
        *,
        {{ quota(1000000000, 'weight', 'weight_sum') }} as floor_nano,
        {{ quota_remainder(1000000000, 'weight', 'weight_sum') }} as remainder
    from totalled
),

ranked as (
    select
        *,
        1000000000 - cast(sum(floor_nano) over (partition by model, conversion_id) as bigint) as left_over,
        row_number() over (
            partition by model, conversion_id order by remainder desc, touched_us asc, touch_seq asc
        ) as remainder_rank
    from floored
)

select
    model,
    conversion_id,
    touch_id,
    touched_us,
    touch_seq,
    floor_nano + case when remainder_rank <= left_over then 1 else 0 end as credit_nano
from ranked
