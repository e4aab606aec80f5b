-- One row per conversion and touch: equal credit to every touch in the look-back.
select
    conversion_id,
    touch_id,
    cast(1.0 as double) / touch_count as share
from {{ ref('int_conversion_touches') }}
