-- One row per session: a visitor's run of page views, bots and direct visits included.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with sessions as (
    select * from {{ ref('int_sessions') }}
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
    coalesce(sessions.source, '(direct)') as source,
    coalesce(sessions.medium, '(none)') as medium,
    sessions.campaign,
    sessions.term,
    sessions.content,
    sessions.click_id,
    sessions.click_id_type,
    sessions.referrer_host,
    sessions.landing_url,
    sessions.landing_page,
    sessions.country,
    sessions.page_views,
    sessions.is_direct,
    sessions.is_bot
from sessions
inner join projects on sessions.project_id = projects.project_id
