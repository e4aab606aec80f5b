-- One row per person, day, type of event, name, page path and session of views: what a rule could pick there.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
{% set events, page_views = ref('int_events_in_work'), ref('int_page_views_in_work') %}
with projects as (
    select * from {{ ref('int_projects') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

reports as (
    select * from {{ ref('int_conversion_reports') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

views as (
    select
        sessions.project_id,
        sessions.person_id,
        sessions.first_page_view_seq,
        events.name,
        page_views.page_path,
        {{ project_date('events.occurred_us', 'projects.time_zone') }} as event_date
    from {{ events }} as events
    inner join {{ page_views }} as page_views on events.seq = page_views.seq
    inner join activities on events.seq = activities.seq
    inner join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    inner join projects on events.project_id = projects.project_id
    left join reports on events.seq = reports.seq
    where not sessions.is_bot and reports.seq is null
),

other_seqs as (
    select seq from {{ events }}
    where
        kind in ('event', 'conversion', 'identify')
        and seq not in (
            select clicks.seq from {{ ref('int_link_clicks') }} as clicks
            where clicks.is_bot
        )
    union
    select seq from reports
),

others as (
    select
        events.project_id,
        events.name,
        page_views.page_path,
        {{ event_type('events.kind') }} as event_type,
        {{ project_date('events.occurred_us', 'projects.time_zone') }} as event_date,
        coalesce(conversions.person_id, people.person_id) as person_id,
        coalesce(conversions.seq, events.seq) as completed_by
    from other_seqs
    inner join {{ events }} as events on other_seqs.seq = events.seq
    inner join projects on events.project_id = projects.project_id
    inner join people on events.seq = people.seq
    left join {{ page_views }} as page_views on events.seq = page_views.seq
    left join reports on events.seq = reports.seq
    left join conversions on reports.conversion_id = conversions.conversion_id
    left join activities on events.seq = activities.seq
    left join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    -- A rejected conversion completes nothing, nor does a bot; but a conversion always counts.
    where
        case
            when reports.seq is not null then coalesce(conversions.state, 'rejected') <> 'rejected'
            else not coalesce(sessions.is_bot, false)
        end
)

-- As goals count: page views once in their session, reports of a conversion once.
select
    project_id,
    person_id,
    event_date,
    {{ event_type("'visit'") }} as event_type,
    name,
    page_path,
    first_page_view_seq,
    count(*) as events,
    cast(1 as bigint) as completions
from views
group by project_id, person_id, event_date, name, page_path, first_page_view_seq
union all
select
    project_id,
    person_id,
    event_date,
    event_type,
    name,
    page_path,
    cast(null as bigint) as first_page_view_seq,
    count(*) as events,
    count(distinct completed_by) as completions
from others
group by project_id, person_id, event_date, event_type, name, page_path
