-- One row per project, day, type of event, name and page path: what the rule of a goal would pick there.
select
    project_id,
    event_date,
    event_type,
    name,
    page_path,
    cast(sum(events) as bigint) as events,
    cast(sum(completions) as bigint) as completions
from {{ ref('int_events_pickable') }}
group by project_id, event_date, event_type, name, page_path
