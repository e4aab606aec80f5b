-- One row per project and source of its journeys: what would be lost without it.
with sources as (
    select * from {{ ref('int_journey_sources') }}
),

weights as (
    select * from {{ ref('int_source_weights') }}
),

totalled as (
    select
        *,
        nullif(cast(sum(removal_effect_pico) over (partition by project_id) as decimal(38, 0)), 0)
            as total_pico
    from weights
)

select
    sources.project_id,
    sources.source,
    sources.touches,
    sources.journeys,
    sources.converting_journeys,
    {{ of_pico('totalled.removal_effect_pico') }} as removal_effect,
    {{ of_pico(quota(1000000000000, 'totalled.removal_effect_pico', 'totalled.total_pico')) }}
        as removal_effect_share,
    {{ of_pico('totalled.shapley_value_pico') }} as shapley_value,
    {{ of_pico('totalled.shapley_error_pico') }} as shapley_error
from sources
inner join totalled on sources.project_id = totalled.project_id and sources.source = totalled.source
