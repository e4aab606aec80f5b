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

doubles as (
    select * from {{ ref('int_suspected_doubles') }}
),

refunds as (
    select
        conversions.conversion_id,
        cast(sum(coalesce(refunds.amount_minor, 0)) as decimal(38, 0)) as asked_minor,
        max(case when refunds.amount_minor is null then 1 else 0 end) = 1 as takes_all
    from conversions
    inner join {{ ref('int_refunds_matched') }} as refunds
        on
            conversions.conversion_id = refunds.conversion_id
            and (refunds.amount_minor is null or conversions.currency = refunds.currency)
            -- What a browser says no longer counts.
            and not (refunds.is_browsers_word and conversions.has_server_report)
    group by conversions.conversion_id
),

recognised as (
    select
        conversion_id,
        currency,
        cast(sum(amount_minor) as decimal(38, 0)) as amount_minor
    from {{ ref('int_ledger_entries') }}
    group by conversion_id, currency
),

currencies as (
    select * from {{ ref('currencies') }}
)

select
    conversions.conversion_id,
    conversions.seq,
    conversions.project_id,
    conversions.event_id,
    conversions.dialect,
    traced.person_id,
    conversions.occurred_us,
    conversions.name,
    conversions.goal_id,
    conversions.transaction_id,
    conversions.page_id,
    conversions.state,
    conversions.status,
    conversions.is_status_unknown,
    doubles.conversion_id is not null as is_suspected_double,
    traced.matched_by,
    traced.unmatched_reason,
    traced.has_other_page_kind,
    sessions.session_id,
    coalesce(conversions.country, sessions.country) as country,
    conversions.currency,
    conversions.amount_minor,
    conversions.is_default_payout,
    case
        when conversions.amount_minor is null then 0
        when refunds.takes_all then conversions.amount_minor
        else cast(least(coalesce(refunds.asked_minor, 0), conversions.amount_minor) as bigint)
    end as refunded_minor,
    cast(coalesce(recognised.amount_minor, 0) as bigint) as net_amount_minor,
    -- A pending conversion as 0.1 major units, which FunnelFlux shows as 00.1.
    case
        when conversions.state = 'pending'
            then cast(round(coalesce(currencies.minor_per_major, 100) * 0.1, 0) as bigint)
        else cast(coalesce(recognised.amount_minor, 0) as bigint)
    end as net_amount_with_placeholder_minor,
    conversions.reports
from conversions
inner join traced on conversions.conversion_id = traced.conversion_id
left join sessions on traced.first_page_view_seq = sessions.first_page_view_seq
left join doubles on conversions.conversion_id = doubles.conversion_id
left join refunds on conversions.conversion_id = refunds.conversion_id
left join recognised
    on conversions.conversion_id = recognised.conversion_id and conversions.currency = recognised.currency
left join currencies on conversions.currency = currencies.currency
