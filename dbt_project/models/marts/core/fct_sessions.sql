-- One row per session: a visitor's run of page views, bots and direct visits included.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with sessions as (
    select
        *,
        coalesce(source, '(direct)') as named_source,
        coalesce(medium, '(none)') as named_medium,
        {{ lower_case('campaign') }} as compared_campaign,
        -- Bots are counted by themselves: none of their visits makes a person's first one the second.
        row_number() over (partition by person_id, is_bot order by started_us, session_id) as session_number
    from {{ ref('int_sessions') }}
),

channels as (
    select * from {{ ref('int_channels') }}
),

devices as (
    select * from {{ ref('int_session_devices') }}
),

projects as (
    select * from {{ ref('int_projects') }}
)

select
    sessions.session_id,
    sessions.project_id,
    sessions.person_id,
    sessions.visitor_id,
    sessions.sender_session_id,
    {{ utc_timestamp('sessions.started_us') }} as started_at,
    {{ utc_timestamp('sessions.ended_us') }} as ended_at,
    {{ project_date('sessions.started_us', 'projects.time_zone') }} as session_date,
    sessions.named_source as source,
    sessions.named_medium as medium,
    sessions.campaign,
    sessions.term,
    sessions.content,
    channels.channel,
    sessions.click_id,
    sessions.click_id_type,
    sessions.referrer_host,
    sessions.landing_url,
    sessions.landing_page,
    sessions.country,
    devices.device,
    case sessions.session_number when 1 then 'new' else 'returning' end as new_or_returning,
    sessions.page_views,
    sessions.is_direct,
    sessions.is_bot
from sessions
inner join projects on sessions.project_id = projects.project_id
inner join channels on {{ is_of_channel('sessions', 'named_source', 'named_medium') }}
left join devices on sessions.session_id = devices.session_id
