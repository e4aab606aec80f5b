-- One row per conversion and touch: 40 % each to the first and the last, 20 % to all between them.
select
    conversion_id,
    touch_id,
    case
        when touch_count = 1 then cast(1.0 as double)
        when touch_count = 2 then cast(0.5 as double)
        when touch_number in (1, touch_count) then cast(0.4 as double)
        else cast(0.2 as double) / (touch_count - 2)
    end as share
from {{ ref('int_conversion_touches') }}
