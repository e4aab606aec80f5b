-- One row per click on a link, bots' included: whose it is, the page that it left, and what it fired.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with clicks as (
    select * from {{ ref('int_link_clicks') }}
),

events as (
    select * from {{ ref('int_events_in_work') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

visits_found as (
    select * from {{ ref('int_visits_found') }}
),

page_views as (
    select * from {{ ref('int_page_views_in_work') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

reports as (
    select * from {{ ref('int_conversion_reports') }}
)

select
    clicks.project_id,
    events.event_id,
    clicks.link_id,
    clicks.target_number,
    coalesce({{ page_key('events.page_id') }}, page_views.page_id) as page_id,
    {{ utc_timestamp('events.occurred_us') }} as clicked_at,
    {{ project_date('events.occurred_us', 'projects.time_zone') }} as click_date,
    people.person_id,
    people.visitor_id,
    -- Where the page view lies that it left, else where it lies itself.
    sessions.session_id,
    clicks.is_bot,
    clicks.url,
    reports.conversion_id
from clicks
inner join events on clicks.seq = events.seq
inner join people on clicks.seq = people.seq
inner join projects on clicks.project_id = projects.project_id
-- An entrance leaves no page, whatever its visitor viewed.
left join visits_found
    on clicks.seq = visits_found.seq and (events.page_id is not null or visits_found.matched_by = 'hit')
left join page_views on visits_found.page_view_seq = page_views.seq
left join activities as left_view on visits_found.page_view_seq = left_view.seq
left join activities on clicks.seq = activities.seq
left join sessions
    on coalesce(left_view.first_page_view_seq, activities.first_page_view_seq) = sessions.first_page_view_seq
left join reports on clicks.seq = reports.seq
