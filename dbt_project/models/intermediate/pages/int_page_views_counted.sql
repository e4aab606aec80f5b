-- One row per view of a page outside bots' sessions: whose it is.
{{ config(materialized='view') }}
with activities as (
    select * from {{ ref('int_activities_sessionized') }}
    where is_page_view
),

sessions as (
    select * from {{ ref('int_sessions') }}
    where not is_bot
)

select
    page_views.seq,
    page_views.project_id,
    page_views.page_id,
    page_views.occurred_us,
    activities.person_id
from {{ ref('int_page_views_in_work') }} as page_views
inner join activities on page_views.seq = activities.seq
inner join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
where page_views.page_id is not null
