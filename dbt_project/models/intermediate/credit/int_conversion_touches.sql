-- One row per conversion and touch that may share its credit: the person's touches within the look-back.
with conversions as (
    -- Rejected conversions count nowhere; pending ones have credit and no money.
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

touches as (
    select * from {{ ref('int_touches') }}
)

select
    conversions.conversion_id,
    touches.touch_id,
    touches.touched_us,
    row_number() over (
        partition by conversions.conversion_id order by touches.touched_us, touches.seq
    ) as touch_number,
    count(*) over (partition by conversions.conversion_id) as touch_count
from conversions
inner join touches
    on
        conversions.person_id = touches.person_id
        and conversions.occurred_us >= touches.touched_us
        and touches.touched_us >= conversions.occurred_us - {{ days_us(var('lookback_days')) }}
