-- One row per user agent seen, matched once against the patterns of known bots.
with user_agents as (
    select distinct user_agent
    from {{ ref('int_events') }}
    where user_agent is not null and {{ is_new() }}
),

bots as (
    select * from {{ ref('bot_user_agents') }}
)

select
    user_agents.user_agent,
    count(bots.pattern) > 0 as is_bot
from user_agents
left join bots on {{ matches_pattern(lower_case('user_agents.user_agent'), 'bots.pattern') }}
group by user_agents.user_agent
