-- One row per project and set of sources that journeys have, no others: how many, and how many converted.
with touches as (
    select * from {{ ref('int_journey_touches') }}
),

sources as (
    select * from {{ ref('int_journey_sources') }}
),

journeys as (
    select
        touches.project_id,
        touches.is_converting,
        {{ joined_distinct('sources.source_number', "' '") }} as source_numbers
    from touches
    inner join sources on touches.project_id = sources.project_id and touches.source = sources.source
    group by touches.project_id, touches.is_converting, touches.journey_id
)

select
    project_id,
    source_numbers,
    count(*) as journeys,
    cast(sum(case when is_converting then 1 else 0 end) as bigint) as converting_journeys
from journeys
group by project_id, source_numbers
