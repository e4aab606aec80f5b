-- One row per conversion: whose it is, and the visit that it came from.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
),

events as (
    select * from {{ ref('int_events_in_work') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

visits_found as (
    select * from {{ ref('int_visits_found') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

page_views as (
    select * from {{ ref('int_page_views_in_work') }}
),

placed as (
    select
        reports.conversion_id,
        reports.seq,
        reports.dialect,
        reports.sender,
        reports.occurred_us,
        events.user_id,
        events.hit_id,
        events.click_id,
        events.click_id_type,
        people.visitor_id,
        people.person_id,
        people.is_user_known,
        visits_found.unmatched_reason,
        -- A report that is a page view is its own visit.
        coalesce(visits_found.page_view_seq, case when activities.is_page_view then reports.seq end)
            as page_view_seq,
        coalesce(visits_found.matched_by, case when activities.is_page_view then 'hit' end) as matched_by,
        coalesce(visits_found.is_named, activities.is_page_view, false) as is_named,
        activities.first_page_view_seq as own_first_page_view_seq
    from reports
    inner join events on reports.seq = events.seq
    inner join people on reports.seq = people.seq
    left join visits_found on reports.seq = visits_found.seq
    left join activities on reports.seq = activities.seq
),

ranked as (
    -- Its reports complete each other: one may name the user and another one the visit.
    select
        *,
        row_number() over (
            partition by conversion_id
            order by
                -- What a server said of the visit goes before what a browser said.
                case when sender = 'server' and matched_by is not null then 0 else 1 end,
                case matched_by
                    when 'hit' then 1 when 'session' then 2 when 'hash' then 3 when 'click' then 4
                    when 'visitor' then 5
                    -- A browser's report lies in a session of its own, whatever a server's says.
                    else case when own_first_page_view_seq is null then 7 else 6 end
                end,
                occurred_us,
                seq
        ) as visit_preference,
        row_number() over (
            partition by conversion_id
            order by
                -- What a server says of the user goes before what a browser says.
                case when user_id is null then 2 when sender = 'browser' then 1 else 0 end,
                case when is_user_known then 0 else 1 end,
                case when matched_by is null then 2 when is_named then 0 else 1 end,
                occurred_us,
                seq
        ) as person_preference,
        row_number() over (
            partition by conversion_id
            order by case when unmatched_reason is null then 1 else 0 end, occurred_us, seq
        ) as reason_preference
    from placed
),

clicks as (
    select
        conversion_id,
        click_id,
        click_id_type,
        row_number() over (partition by conversion_id order by occurred_us, seq) as click_number
    from placed
    where click_id is not null
)

select
    visit.conversion_id,
    person.person_id,
    coalesce(visit.matched_by, case when person.is_user_known then 'user' else 'none' end) as matched_by,
    case
        when visit.page_view_seq is null then coalesce(reason.unmatched_reason, 'nothing_named')
    end as unmatched_reason,
    visit.page_view_seq,
    case when visit.is_named then visit.page_view_seq end as named_page_view_seq,
    coalesce(page_views.hit_id, visit.hit_id) as hit_id,
    coalesce(visit.visitor_id, person.visitor_id) as visitor_id,
    person.user_id,
    -- What its reports name; page views carry their own.
    clicks.click_id,
    clicks.click_id_type,
    coalesce(found_activity.first_page_view_seq, visit.own_first_page_view_seq) as first_page_view_seq,
    -- A page that reports itself may be of any kind.
    visit.dialect = 'funnelflux'
    and visit.sender = 'server'
    and coalesce(page_views.page_kind not in ('lander', 'offer'), false) as has_other_page_kind
from ranked as visit
inner join ranked as person
    on visit.conversion_id = person.conversion_id and person.person_preference = 1
inner join ranked as reason
    on visit.conversion_id = reason.conversion_id and reason.reason_preference = 1
left join clicks on visit.conversion_id = clicks.conversion_id and clicks.click_number = 1
left join activities as found_activity on visit.page_view_seq = found_activity.seq
left join page_views on visit.page_view_seq = page_views.seq
where visit.visit_preference = 1
