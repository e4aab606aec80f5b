-- One row per conversion: whose it is, and the visit that it came from.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
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

ranked as (
    -- The report that tells most: a known user first, then a visit that the sender named, then the earliest.
    select
        reports.conversion_id,
        people.person_id,
        -- A report that is a page view is its own visit.
        coalesce(visits_found.matched_by, case
            when activities.is_page_view then 'hit'
            when people.is_user_known then 'user'
            else 'none'
        end) as matched_by,
        coalesce(found_activity.first_page_view_seq, activities.first_page_view_seq) as first_page_view_seq,
        row_number() over (
            partition by reports.conversion_id
            order by
                case when people.is_user_known then 0 else 1 end,
                case coalesce(visits_found.matched_by, '')
                    when 'hit' then 0 when 'session' then 1 when 'visitor' then 2 else 3
                end,
                reports.occurred_us,
                reports.seq
        ) as preference
    from reports
    inner join people on reports.seq = people.seq
    left join visits_found on reports.seq = visits_found.seq
    left join activities as found_activity on visits_found.page_view_seq = found_activity.seq
    left join activities on reports.seq = activities.seq
)

select
    conversion_id,
    person_id,
    matched_by,
    first_page_view_seq
from ranked
where preference = 1
