-- One row per session whose first page view names a known kind of device: which one.
with sessions as (
    select * from {{ ref('int_sessions') }}
),

events as (
    select
        seq,
        user_agent
    from {{ ref('int_events_in_work') }}
    where kind = 'visit' and user_agent is not null
),

patterns as (
    select * from {{ ref('device_user_agents') }}
),

user_agents as (
    select distinct user_agent from events
),

matched as (
    select
        user_agents.user_agent,
        patterns.device,
        row_number() over (partition by user_agents.user_agent order by patterns.precedence) as match_number
    from user_agents
    inner join patterns on {{ matches_pattern(lower_case('user_agents.user_agent'), 'patterns.pattern') }}
)

select
    sessions.session_id,
    sessions.person_id,
    matched.device
from sessions
inner join events on sessions.first_page_view_seq = events.seq
inner join matched on events.user_agent = matched.user_agent
where matched.match_number = 1
