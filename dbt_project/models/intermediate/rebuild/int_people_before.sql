-- One row per person to whom, until now, an event belonged that is touched.
{% set touched = ref('int_events_touched') %}
{% if is_scoped() %}
select distinct person_id from {{ as_before('int_event_people_resolved') }}
where seq in (select seq from {{ touched }})
{% else %}
select cast(null as varchar) as person_id
where false
{% endif %}
