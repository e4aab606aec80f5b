-- One row per identifier that an event names or named which came or changed since the last publication.
{% set events, hashed = ref('int_events_deduplicated'), ref('int_hashed_ids') %}
{% set identifying = events_identifying_anew(events) %}
{% if is_scoped() %}
with changed as (
    {{ identifying }}
)

{% for id_type, id in [('visitor', 'visitor_id'), ('user', 'user_id'), ('user', 'previous_id')] %}
select {{ identifier_id(id_type, id) }} as identifier_id from {{ events }}
where {{ id }} is not null and seq in (select seq from changed)
union
{% endfor %}
{% for ids in [hashed, 'int_hashed_ids__published'] %}
select project_id || '/' || id_type || ':' || id_value as identifier_id from {{ ids }}
where id_value is not null and seq in (select seq from changed)
{{ 'union' if not loop.last }}
{% endfor %}
{% else %}
select cast(null as varchar) as identifier_id
where false
{% endif %}
