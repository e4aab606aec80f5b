-- One row per conversion with touches: all credit to the latest that was paid for, else to the latest.
with ranked as (
    select
        conversion_id,
        touch_id,
        row_number() over (
            partition by conversion_id order by case when is_paid then 0 else 1 end, touch_number desc
        ) as preference
    from {{ ref('int_conversion_touches') }}
)

select
    conversion_id,
    touch_id,
    cast(1.0 as double) as share
from ranked
where preference = 1
