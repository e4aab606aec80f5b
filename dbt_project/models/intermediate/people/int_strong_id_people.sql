-- One row per linked strong id: the person of all that hang together. An id without a link is its own person.
with components as (
    select * from {{ ref('int_strong_id_components') }}
),

identifiers as (
    select * from {{ ref('int_identifiers') }}
)

select
    components.node as strong_id,
    -- The earliest id names the person; one known only from an alias may be a visitor's, and comes last.
    first_value(components.node) over (
        partition by components.component
        order by
            case when identifiers.is_previous_only then 1 else 0 end,
            identifiers.first_us,
            identifiers.id_value,
            identifiers.id_type
        rows between unbounded preceding and current row
    ) as person_id
from components
inner join identifiers on components.node = identifiers.identifier_id
