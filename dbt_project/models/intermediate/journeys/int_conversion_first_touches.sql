-- One row per conversion that a touch came before, however long: the person's first touch ever.
with conversions as (
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

touches as (
    select * from {{ ref('int_touches') }}
),

numbered as (
    select
        *,
        row_number() over (partition by person_id order by touched_us, seq) as touch_number
    from touches
),

claimed as (
    select
        conversions.conversion_id,
        numbered.touch_id,
        numbered.touched_us,
        numbered.seq as touch_seq,
        0 as is_named
    from conversions
    inner join numbered
        on
            conversions.person_id = numbered.person_id
            and numbered.touch_number = 1
            and conversions.occurred_us >= numbered.touched_us
    union all
    -- A touch that the sender named may be another person's, or have a later clock.
    select
        conversion_id,
        touch_id,
        touched_us,
        touch_seq,
        1 as is_named
    from {{ ref('int_conversion_touches') }}
    where is_named
),

ranked as (
    select
        *,
        row_number() over (partition by conversion_id order by touched_us, is_named, touch_seq) as touch_rank
    from claimed
)

select
    conversion_id,
    touch_id,
    touch_seq,
    touched_us
from ranked
where touch_rank = 1
