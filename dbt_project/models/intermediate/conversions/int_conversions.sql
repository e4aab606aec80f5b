-- One row per conversion: whose it is, which visit it came from, and what it is worth after refunds.
with conversions as (
    select * from {{ ref('int_conversions_stated') }}
),

traced as (
    select * from {{ ref('int_conversions_traced') }}
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
    traced.unmatched_reason,
    traced.has_other_page_kind,
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
inner join traced on refunded.conversion_id = traced.conversion_id
left join sessions on traced.first_page_view_seq = sessions.first_page_view_seq
