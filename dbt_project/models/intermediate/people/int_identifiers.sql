-- One row per user, hashed e-mail, phone and visitor that an event names: when it was first and last seen.
with sightings as (
    {% for id_type in ['visitor', 'user'] %}
    select
        project_id,
        '{{ id_type }}' as id_type,
        {{ id_type }}_id as id_value,
        {{ identifier_id(id_type, id_type ~ '_id') }} as identifier_id,
        occurred_us,
        0 as is_previous
    from {{ ref('int_event_ids') }}
    where {{ id_type }}_id is not null
    union all
    {% endfor %}
    select
        project_id,
        id_type,
        id_value,
        project_id || '/' || id_type || ':' || id_value as identifier_id,
        occurred_us,
        0 as is_previous
    from {{ ref('int_hashed_ids') }}
    where conflict is null
    union all
    select
        project_id,
        'user' as id_type,
        previous_id as id_value,
        {{ identifier_id('user', 'previous_id') }} as identifier_id,
        occurred_us,
        1 as is_previous
    from {{ ref('int_aliases') }}
)

select
    identifier_id,
    project_id,
    id_type,
    id_value,
    min(occurred_us) as first_us,
    max(occurred_us) as last_us,
    count(*) as events,
    min(is_previous) = 1 as is_previous_only
from sightings
group by identifier_id, project_id, id_type, id_value
