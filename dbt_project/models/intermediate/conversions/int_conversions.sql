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

conversion_values as (
    select * from {{ ref('int_conversion_values') }}
),

recognised as (
    select
        conversion_id,
        currency,
        cast({{ sum_exact('amount_minor') }} as decimal(38, 0)) as amount_minor
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
    traced.hit_id,
    traced.visitor_id,
    -- Who its reports name, else the user that its person is named by.
    coalesce(traced.user_id, case
        when {{ begins_with('traced.person_id', "conversions.project_id || '/user:'") }}
            then substr(traced.person_id, length(conversions.project_id) + 7)
    end) as user_id,
    coalesce(sessions.click_id, traced.click_id) as click_id,
    case when sessions.click_id is null then traced.click_id_type else sessions.click_id_type end
        as click_id_type,
    case when sessions.click_id is not null then sessions.started_us end as clicked_us,
    coalesce(conversions.country, sessions.country) as country,
    conversions.currency,
    conversions.amount_minor,
    conversions.is_default_payout,
    worth.refunded_minor,
    cast(coalesce(recognised.amount_minor, 0) as bigint) as net_amount_minor,
    -- A pending conversion as 0.1 major units, which FunnelFlux shows as 00.1.
    case
        when conversions.state = 'pending'
            then cast(round(coalesce(currencies.minor_per_major, 100) * 0.1, 0) as bigint)
        else cast(coalesce(recognised.amount_minor, 0) as bigint)
    end as net_amount_with_placeholder_minor,
    -- A conversion of which every report forbids it is told to nobody.
    not worth.has_withheld_report or forwarded.conversion_id is not null as is_forwardable,
    conversions.reports
from conversions
inner join traced on conversions.conversion_id = traced.conversion_id
inner join conversion_values as worth
    on conversions.conversion_id = worth.conversion_id and worth.report_set = 'all'
left join sessions on traced.first_page_view_seq = sessions.first_page_view_seq
left join doubles on conversions.conversion_id = doubles.conversion_id
left join conversion_values as forwarded
    on conversions.conversion_id = forwarded.conversion_id and forwarded.report_set = 'forwardable'
left join recognised
    on conversions.conversion_id = recognised.conversion_id and conversions.currency = recognised.currency
left join currencies on conversions.currency = currencies.currency
