-- One row per identifier that an event names or named which came or changed since the last publication.
{% set events, hashed = ref('int_events_deduplicated'), ref('int_hashed_ids') %}
{% set hashed_ids = differing('int_hashed_ids', 'seq, id_type, id_value, conflict') %}
{% set aliases = differing('int_aliases', 'seq') %}
{% if is_scoped() %}
with changed as (
    select seq from {{ events }}
    where {{ is_new() }}
    union
    select seq from ({{ hashed_ids }}) as hashed_ids
    union
    select seq from ({{ aliases }}) as aliases
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
