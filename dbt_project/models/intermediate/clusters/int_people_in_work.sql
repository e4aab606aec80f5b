-- One row per person whom an event in work names, or named until now: theirs are all rows that are replaced.
{% set events, displaced = ref('int_events_in_work'), ref('int_events_displaced') %}
{% set hashed_ids = ref('int_hashed_ids_carried') %}
{% if is_incremental_build() %}
select person_id from ({{ people_named_by(events, hashed_ids) }}) as named
union
select person_id from ({{ people_named_by(displaced, hashed_ids) }}) as named_until_now
{% else %}
select cast(null as string) as person_id
where false
{% endif %}
