-- Whatever a row of a project names (a person, session, conversion, touch, identifier) is of that project.
{{ config(meta={'dagster': {'ref': {'name': 'fct_conversions'}}}) }}
{% set names = [
    ('dim_people', ['person_id']),
    ('dim_identifiers', ['identifier_id', 'person_id', 'linked_to']),
    ('fct_sessions', ['session_id', 'person_id']),
    ('fct_touches', ['touch_id', 'session_id', 'person_id']),
    ('fct_conversions', ['conversion_id', 'session_id', 'person_id']),
    ('fct_goal_completions', ['completion_id', 'session_id', 'conversion_id', 'person_id']),
    ('fct_attribution', ['conversion_id', 'touch_id', 'person_id']),
    ('fct_experiment_exposures', ['session_id', 'person_id']),
    ('fct_link_clicks', ['session_id', 'conversion_id', 'person_id']),
    ('fct_forwardings', ['session_id', 'conversion_id', 'person_id']),
] %}
{% for mart, columns in names %}
{% set last_mart = loop.last %}
{% for column in columns %}
select
    '{{ mart }}.{{ column }}' as named_in,
    project_id,
    {{ column }} as named
from {{ ref(mart) }}
where not {{ begins_with(column, "project_id || '/'") }}
{% if not (last_mart and loop.last) %}union all{% endif %}
{% endfor %}
{% endfor %}
