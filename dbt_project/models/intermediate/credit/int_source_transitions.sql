-- One row per project and step that journeys take: from the start or a source to the next one, or to an end.
with stepped as (
    select
        *,
        lag(source) over (partition by is_converting, journey_id order by touch_number) as previous_source
    from {{ ref('int_journey_touches') }}
),

steps as (
    select
        project_id,
        previous_source as from_source,
        source as to_source,
        false as is_conversion
    from stepped
    union all
    select
        project_id,
        source as from_source,
        cast(null as varchar) as to_source,
        is_converting as is_conversion
    from stepped
    where touch_number = touch_count
)

select
    project_id,
    from_source,
    to_source,
    is_conversion,
    count(*) as transitions
from steps
group by project_id, from_source, to_source, is_conversion
