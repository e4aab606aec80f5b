-- One row per journey and touch: a conversion's touches, or those of a person that are in no conversion's.
with conversion_touches as (
    select * from {{ ref('int_conversion_touches') }}
),

taken as (
    select distinct touch_id from conversion_touches
),

left_over as (
    select
        touches.*,
        row_number() over (partition by touches.person_id order by touches.touched_us, touches.seq)
            as touch_number,
        count(*) over (partition by touches.person_id) as touch_count
    from {{ ref('int_touches') }} as touches
    left join taken on touches.touch_id = taken.touch_id
    where taken.touch_id is null
)

select
    project_id,
    person_id,
    true as is_converting,
    conversion_id as journey_id,
    touch_id,
    touch_seq,
    touched_us,
    source,
    touch_number,
    touch_count,
    source_touch_number,
    source_touch_count
from conversion_touches
union all
select
    project_id,
    person_id,
    false as is_converting,
    person_id as journey_id,
    touch_id,
    seq as touch_seq,
    touched_us,
    source,
    touch_number,
    touch_count,
    cast(null as bigint) as source_touch_number,
    cast(null as bigint) as source_touch_count
from left_over
