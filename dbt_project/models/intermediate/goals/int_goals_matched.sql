-- One row per goal and event that the goal's rule picks, or that the sender says completes it.
with goals as (
    select
        *,
        {{ rule_paths('match_value') }}
    from {{ ref('int_goals') }}
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
        -- What a bot's click fires is nothing.
        and events.seq not in (select seq from bots_clicks)
),

picked as (
    select
        goals.goal_id,
        events.seq
    from events
    inner join goals on events.project_id = goals.project_id
    where {{ event_rule_picks('goals', 'events') }}
),

named as (
    select
        goal_id,
        seq
    from events
    where goal_id is not null
)

select
    goal_id,
    seq
from picked
union
select
    goal_id,
    seq
from named
