-- One row per event that a goal or a funnel counts: whose it is, its session, and its conversion.
with events as (
    select * from {{ ref('int_events_in_work') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

conversion_reports as (
    select * from {{ ref('int_conversion_reports') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

found as (
    select
        visits_found.seq,
        activities.first_page_view_seq
    from {{ ref('int_visits_found') }} as visits_found
    inner join {{ ref('int_activities_sessionized') }} as activities
        on visits_found.page_view_seq = activities.seq
),

sessions as (
    select * from {{ ref('int_sessions') }}
),

looked_at as (
    select seq from {{ ref('int_goals_matched') }}
    union
    select seq from {{ ref('int_funnel_steps_matched') }}
    union
    -- In a strict funnel every act of a person matters. An identify call is none.
    -- Not from `events`: engines would keep what is read twice, with every column.
    select seq
    from {{ ref('int_events_in_work') }}
    where
        kind in ('visit', 'event', 'conversion')
        and project_id in (
            select project_id from {{ ref('int_funnel_steps') }}
            where mode = 'strict'
        )
)

select
    events.seq,
    events.project_id,
    events.kind,
    events.occurred_us,
    conversions.conversion_id,
    coalesce(conversions.person_id, people.person_id) as person_id,
    -- All reports of a conversion lie where it lies.
    case when conversions.conversion_id is null then sessions.session_id else conversions.session_id end
        as session_id,
    -- Reports of one conversion are one step, at the conversion's time; each page view is one of its own.
    case when events.kind <> 'visit' then coalesce(conversions.seq, events.seq) else events.seq end
        as step_seq,
    case
        when events.kind <> 'visit' then coalesce(conversions.occurred_us, events.occurred_us)
        else events.occurred_us
    end as step_us
from looked_at
inner join events on looked_at.seq = events.seq
inner join people on looked_at.seq = people.seq
left join conversion_reports on looked_at.seq = conversion_reports.seq
left join conversions on conversion_reports.conversion_id = conversions.conversion_id
left join activities on looked_at.seq = activities.seq
left join found on looked_at.seq = found.seq
left join sessions
    on coalesce(activities.first_page_view_seq, found.first_page_view_seq) = sessions.first_page_view_seq
-- A rejected conversion completes nothing, nor does a refund or a bot; but a conversion always counts.
where
    case
        when conversion_reports.conversion_id is not null
            then coalesce(conversions.state, 'rejected') <> 'rejected'
        else not coalesce(sessions.is_bot, false)
    end
