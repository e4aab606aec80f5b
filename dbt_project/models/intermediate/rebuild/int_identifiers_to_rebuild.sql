-- One row per identifier of which anything may differ from the last publication.
{% set to_count = ref('int_identifiers_to_count') %}
{% set strong_ids = differing('int_strong_id_people', 'strong_id, person_id') %}
{% set visitors = differing(
    'int_visitor_people', 'project_id, visitor_id, person_id, from_us, until_us, linked_by, linked_to, event_id'
) %}
{% if is_scoped() %}
select identifier_id from {{ to_count }}
union
select strong_id as identifier_id from ({{ strong_ids }}) as strong_ids
union
select {{ identifier_id('visitor', 'visitor_id') }} as identifier_id from ({{ visitors }}) as visitors
{% else %}
select cast(null as varchar) as identifier_id
where false
{% endif %}
