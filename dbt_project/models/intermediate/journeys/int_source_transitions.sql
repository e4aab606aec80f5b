-- One row per project and step that journeys take: from the start or a source to the next one, or to an end.
with journey_touches as (
    select
        touches.project_id,
        touches.is_converting,
        touches.journey_id,
        touches.touch_number,
        touches.touch_count,
        sources.source_number
    from {{ ref('int_journey_touches') }} as touches
    inner join {{ ref('int_journey_sources') }} as sources
        on touches.project_id = sources.project_id and touches.source = sources.source
),

stepped as (
    select
        *,
        lag(source_number) over (
            partition by is_converting, journey_id order by touch_number
        ) as previous_number
    from journey_touches
),

steps as (
    select
        project_id,
        previous_number as from_number,
        source_number as to_number,
        false as is_conversion
    from stepped
    union all
    select
        project_id,
        source_number as from_number,
        cast(null as bigint) as to_number,
        is_converting as is_conversion
    from stepped
    where touch_number = touch_count
)

select
    project_id,
    from_number,
    to_number,
    is_conversion,
    count(*) as transitions
from steps
group by project_id, from_number, to_number, is_conversion
