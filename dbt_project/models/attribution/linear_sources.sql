-- One row per conversion and touch: equal credit to every source, and within a source to every touch.
select
    conversion_id,
    touch_id,
    cast(1.0 as double) / (source_count * source_touch_count) as share
from {{ ref('int_conversion_touches') }}
