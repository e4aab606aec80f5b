-- One row per project and source of its journeys, numbered by touches; the rarest share a number.
with journey_touches as (
    select * from {{ ref('int_journey_touches') }}
),

per_journey as (
    select
        project_id,
        source,
        is_converting,
        journey_id,
        count(*) as touches
    from journey_touches
    group by project_id, source, is_converting, journey_id
),

counted as (
    select
        project_id,
        source,
        cast(sum(touches) as bigint) as touches,
        count(*) as journeys,
        cast(sum(case when is_converting then 1 else 0 end) as bigint) as converting_journeys
    from per_journey
    group by project_id, source
)

select
    project_id,
    source,
    -- Senders choose what they call a source, so their number is bounded where work grows with its cube.
    least(
        row_number() over (partition by project_id order by touches desc, source asc),
        {{ var('weighed_sources') }} + 1
    ) as source_number,
    touches,
    journeys,
    converting_journeys
from counted
