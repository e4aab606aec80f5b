-- One row per conversion that a touch came before, however long: all credit to the person's first touch ever.
select
    conversion_id,
    touch_id,
    cast(1.0 as double) as share
from {{ ref('int_conversion_first_touches') }}
