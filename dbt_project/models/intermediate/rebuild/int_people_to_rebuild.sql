-- One row per person of whom anything may differ from the last publication.
{% set events, changed = ref('int_events_deduplicated'), ref('int_events_to_resolve') %}
{% set event_people, touched = ref('int_event_people_resolved'), ref('int_events_touched') %}
{% set people_before, visitor_people = ref('int_people_before'), ref('int_visitor_people') %}
{% set strong_ids = differing('int_strong_id_people', 'strong_id, person_id') %}
{% set experiment_goals = differing('int_experiment_goals', 'project_id, experiment_id, goal_id') %}
{% set traffic_sources = differing('int_traffic_sources', 'project_id, source, medium, is_paid') %}
{% if is_scoped() %}
with visitors as (
    select distinct
        project_id,
        visitor_id
    from {{ events }}
    where visitor_id is not null and seq in (select seq from {{ changed }})
),

strong_ids as (
    select * from ({{ strong_ids }}) as strong_ids
)

select person_id from {{ people_before }}
union
select person_id from {{ event_people }}
where seq in (select seq from {{ touched }})
union
-- What their experiment is judged by has changed.
select person_id from {{ as_before('fct_experiment_exposures') }}
where (project_id, experiment_id) in (
    select
        project_id,
        experiment_id
    from ({{ experiment_goals }}) as changed
)
union
-- A touch that shares in a conversion's credit has become one that is paid for, or is none any more.
select person_id from {{ as_before('fct_attribution') }}
where (project_id, lower(source)) in (
    select
        project_id,
        source
    from ({{ traffic_sources }}) as changed
)
union
-- Both sides of the map; who is in none of its rows is its own person.
select person_id from strong_ids
union
select strong_id as person_id from strong_ids
union
select {{ identifier_id('visitor', 'visitor_id') }} as person_id from visitors
{% for spans in [visitor_people, 'int_visitor_people__published'] %}
union
select person_id from {{ spans }}
where (project_id, visitor_id) in (select
    project_id,
    visitor_id
from visitors)
{% endfor %}
{% else %}
select cast(null as varchar) as person_id
where false
{% endif %}
