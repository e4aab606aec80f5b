-- One row per step of a funnel and event that the step's rule picks.
with steps as (
    select * from {{ ref('int_funnel_steps') }}
),

events as (
    select
        *,
        {{ event_type('kind') }} as event_type,
        {{ url_path('url') }} as page_path
    from {{ ref('int_events') }}
    where
        kind in ('visit', 'event', 'conversion', 'identify')
        and project_id in (select project_id from steps)
)

select
    steps.project_id,
    steps.funnel_id,
    steps.step_number,
    events.seq
from events
inner join steps on events.project_id = steps.project_id
where {{ event_rule_picks('steps', 'events') }}
