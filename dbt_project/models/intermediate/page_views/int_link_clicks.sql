-- One row per click on a link: which link, where it led, and whether a bot made it.
{{ config(materialized='incremental', kept_by='seq', replaces='new') }}
with clicks as (
    select * from {{ ref('int_events') }}
    where dialect = 'links' and kind = 'event' and {{ is_new() }}
),

user_agents as (
    select * from {{ ref('int_user_agents') }}
)

select
    clicks.seq,
    clicks.project_id,
    {{ within_bytes(json_value('clicks.properties', "'link_id'"), var('id_bytes')) }} as link_id,
    try_cast({{ json_value('clicks.properties', "'target'") }} as bigint) as target_number,
    {{ cut_to_bytes(json_value('clicks.properties', "'url'"), var('address_bytes')) }} as url,
    -- Whoever follows a link has a user agent, unless it is a program.
    coalesce(user_agents.is_bot, true) as is_bot
from clicks
left join user_agents on clicks.user_agent = user_agents.user_agent
