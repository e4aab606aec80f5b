-- One row per project and set of sources that journeys have, no others: how many, and how many converted.
with journey_sources as (
    select distinct
        touches.project_id,
        touches.is_converting,
        touches.journey_id,
        sources.source_number
    from {{ ref('int_journey_touches') }} as touches
    inner join {{ ref('int_journey_sources') }} as sources
        on touches.project_id = sources.project_id and touches.source = sources.source
),

journeys as (
    select
        project_id,
        is_converting,
        {{ joined_text('source_number', "' '", 'source_number') }} as source_numbers
    from journey_sources
    group by project_id, is_converting, journey_id
)

select
    project_id,
    source_numbers,
    count(*) as journeys,
    cast(sum(case when is_converting then 1 else 0 end) as bigint) as converting_journeys
from journeys
group by project_id, source_numbers
