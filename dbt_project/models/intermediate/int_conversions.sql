-- One row per conversion: whose it is, which visit it came from, and what it is worth after refunds.
with conversions as (
    select * from {{ ref('int_conversions_stated') }}
),

reports as (
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

sessions as (
    select * from {{ ref('int_sessions') }}
),

refunds as (
    select
        conversion_id,
        cast(sum(coalesce(amount_minor, 0)) as bigint) as amount_minor,
        max(case when amount_minor is null then 1 else 0 end) = 1 as takes_all
    from {{ ref('int_refunds_matched') }}
    group by conversion_id
),

traced as (
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
),

refunded as (
    select
        conversions.*,
        case
            when conversions.amount_minor is null then 0
            when refunds.takes_all then conversions.amount_minor
            else least(coalesce(refunds.amount_minor, 0), conversions.amount_minor)
        end as refunded_minor
    from conversions
    left join refunds on conversions.conversion_id = refunds.conversion_id
)

select
    refunded.conversion_id,
    refunded.seq,
    refunded.project_id,
    refunded.event_id,
    refunded.dialect,
    traced.person_id,
    refunded.occurred_us,
    refunded.name,
    refunded.goal_id,
    refunded.transaction_id,
    refunded.state,
    refunded.status,
    traced.matched_by,
    sessions.session_id,
    coalesce(refunded.country, sessions.country) as country,
    refunded.currency,
    refunded.amount_minor,
    refunded.refunded_minor,
    case
        when refunded.state = 'approved' then coalesce(refunded.amount_minor, 0) - refunded.refunded_minor
        else 0
    end as net_amount_minor,
    refunded.reports
from refunded
inner join traced on refunded.conversion_id = traced.conversion_id and traced.preference = 1
left join sessions on traced.first_page_view_seq = sessions.first_page_view_seq
