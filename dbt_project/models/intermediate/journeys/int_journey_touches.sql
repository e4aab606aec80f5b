-- One row per journey and touch: a conversion's touches, or those of a person that are in no conversion's.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with conversion_touches as (
    select * from {{ ref('int_conversion_touches') }}
),

taken as (
    select distinct touch_id from conversion_touches
),

touches as (
    select * from {{ ref('int_touches') }}
),

crowded as (
    -- People of whose conversions not all touches could be taken.
    select distinct person_id from conversion_touches
    where touches_left_out > 0
),

crowded_conversions as (
    select
        conversions.person_id,
        conversions.occurred_us,
        projects.lookback_us
    from {{ ref('int_conversions') }} as conversions
    inner join {{ ref('int_projects') }} as projects on conversions.project_id = projects.project_id
    where conversions.state <> 'rejected' and conversions.person_id in (select person_id from crowded)
),

crowded_timeline as (
    select
        touch_id,
        person_id,
        touched_us as at_us,
        0 as is_conversion,
        cast(null as bigint) as look_back_from_us
    from touches
    where person_id in (select crowded.person_id from crowded)
    union all
    select
        cast(null as string) as touch_id,
        person_id,
        occurred_us as at_us,
        1 as is_conversion,
        occurred_us - lookback_us as look_back_from_us
    from crowded_conversions
),

looked_ahead as (
    select
        *,
        min(look_back_from_us) over (
            partition by person_id
            order by at_us, is_conversion
            rows between current row and unbounded following
        ) as next_look_back_from_us
    from crowded_timeline
),

passed_over as (
    -- They came before a conversion all the same: no journey without one is made of them.
    select touch_id from looked_ahead
    where is_conversion = 0 and at_us >= next_look_back_from_us
),

left_over as (
    select
        touches.*,
        row_number() over (partition by touches.person_id order by touches.touched_us, touches.seq)
            as touch_number,
        count(*) over (partition by touches.person_id) as touch_count
    from touches
    left join taken on touches.touch_id = taken.touch_id
    left join passed_over on touches.touch_id = passed_over.touch_id
    where taken.touch_id is null and passed_over.touch_id is null
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
