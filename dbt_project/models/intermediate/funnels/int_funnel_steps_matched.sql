-- One row per step of a funnel and event that the step's rule picks.
with steps as (
    select
        *,
        {{ rule_paths('match_value') }}
    from {{ ref('int_funnel_steps') }}
),

page_views as (
    select * from {{ ref('int_page_views_in_work') }}
),

bots_clicks as (
    select seq from {{ ref('int_link_clicks') }}
    where is_bot
),

events as (
    select
        events.*,
        {{ event_type('events.kind') }} as event_type,
        page_views.page_path
    from {{ ref('int_events_in_work') }} as events
    left join page_views on events.seq = page_views.seq
    where
        events.kind in ('visit', 'event', 'conversion', 'identify')
        and events.project_id in (select project_id from steps)
        -- A bot's click is no step, as it is no conversion.
        and events.seq not in (select seq from bots_clicks)
)

select
    steps.funnel_number,
    steps.step_number,
    events.seq
from events
inner join steps on events.project_id = steps.project_id
where {{ event_rule_picks('steps', 'events') }}
