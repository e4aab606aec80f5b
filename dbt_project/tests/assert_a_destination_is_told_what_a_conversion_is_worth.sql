-- A destination is told of conversions that there are; a webhook, which hears all, what they are worth.
{{ config(meta={'dagster': {'ref': {'name': 'fct_forwardings'}}}) }}
with forwardings as (
    select * from {{ ref('fct_forwardings') }}
    where {{ is_among('person_id', ref('int_people_in_work')) }}
),

conversions as (
    select
        *,
        -- Refunds of pending ones wait.
        case state
            when 'approved' then amount_minor - refunded_minor
            when 'pending' then amount_minor
            else 0
        end as left_minor
    from {{ ref('fct_conversions') }}
),

destinations as (
    select * from {{ ref('int_destinations') }}
)

select
    forwardings.forwarding_id,
    forwardings.value_minor,
    conversions.left_minor
from forwardings
left join conversions
    on
        forwardings.conversion_id = conversions.conversion_id
        and forwardings.person_id = conversions.person_id
        and forwardings.project_id = conversions.project_id
left join destinations
    on
        forwardings.project_id = destinations.project_id
        and forwardings.destination_id = destinations.destination_id
        and forwardings.destination_version = destinations.version
where
    conversions.conversion_id is null
    or destinations.destination_id is null
    or forwardings.is_forwardable <> conversions.is_forwardable
    or (
        forwardings.destination_kind = 'webhook'
        and not destinations.tells_gross
        and forwardings.value_minor is distinct from conversions.left_minor
    )
