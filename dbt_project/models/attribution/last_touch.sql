-- One row per conversion with touches: all credit to the latest.
select
    conversion_id,
    touch_id,
    cast(1.0 as double) as share
from {{ ref('int_conversion_touches') }}
where touch_number = touch_count
