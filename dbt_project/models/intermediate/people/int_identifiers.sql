-- One row per user, hashed e-mail, phone and visitor that an event names: when it was first and last seen.
{% set id_columns = {'user': 'user_id', 'email': 'email', 'phone': 'phone', 'visitor': 'visitor_id'} %}
with event_ids as (
    select * from {{ ref('int_event_ids') }}
),

sightings as (
    {% for id_type, id_column in id_columns.items() %}
    select
        project_id,
        '{{ id_type }}' as id_type,
        {{ id_column }} as id_value,
        occurred_us,
        0 as is_previous
    from event_ids
    where {{ id_column }} is not null
    union all
    {% endfor %}
    select
        project_id,
        'user' as id_type,
        previous_id as id_value,
        occurred_us,
        1 as is_previous
    from {{ ref('int_aliases') }}
)

select
    project_id || '/' || id_type || ':' || id_value as identifier_id,
    project_id,
    id_type,
    id_value,
    min(occurred_us) as first_us,
    max(occurred_us) as last_us,
    count(*) as events,
    min(is_previous) = 1 as is_previous_only
from sightings
group by project_id, id_type, id_value
