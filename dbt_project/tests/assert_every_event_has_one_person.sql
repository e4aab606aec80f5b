-- No event is without a person, none has two, and no person belongs to two projects.
{{ config(meta={'dagster': {'ref': {'name': 'int_event_people'}}}) }}
select
    events.seq,
    count(people.person_id) as people
from {{ ref('int_events_in_work') }} as events
left join {{ ref('int_event_people') }} as people on events.seq = people.seq
group by events.seq
having
    count(people.person_id) <> 1
    or sum(case when {{ begins_with('people.person_id', "events.project_id || '/'") }} then 0 else 1 end) > 0
